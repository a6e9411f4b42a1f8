"""Feature-sign search: the slow and sure way to a Lasso solution."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.functional import solve_support
from sklearn_sparsedis.functional._support import factor_support, gram_matvec

__all__ = ["SignState", "feature_sign_search", "feature_sign_steps"]

# of a gradient: a copy of a variable in use reaches alpha up to rounding, and must not enter
ROUNDING = 1e3


class SignState(NamedTuple):
    """Where the search stands.

    Attributes
    ----------
    coef : Tensor of shape (T, m)
    signs : Tensor of shape (T, m)
        Sign that each variable in use must keep, zero for the others.
    stationary : Tensor of bool, shape (T,)
        Whether `coef` solves the stationarity equations of its signs.
    """

    coef: Tensor
    signs: Tensor
    stationary: Tensor


def feature_sign_steps(
    gram: Tensor, corr: Tensor, alpha: Tensor, state: SignState, n_steps: int
) -> SignState:
    """Steps of the active-set method of Lee et al. [1]_, all problems at once.

    Where the iterate is stationary for its signs, the variable that violates optimality most
    enters. Then the iterate moves towards the stationary point of its signs until a variable
    would change sign: that one leaves. The objective falls in every step and no set of signs
    comes back, so the search ends.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (T, m, m)
    corr : Tensor of shape (T, m)
    alpha : Tensor of shape (T,)
        Positive.
    state : SignState
        Start; zeros, zeros and True for a cold one.
    n_steps : int
        Steps to take; a problem that is done stays as it is.

    References
    ----------
    .. [1] Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006.
    """
    for _ in range(n_steps):
        state = _step(gram, corr, alpha, state)
    return state


def _step(gram: Tensor, corr: Tensor, alpha: Tensor, state: SignState) -> SignState:
    coef, signs, stationary = state
    tau = alpha[:, None]
    gradient = corr - gram_matvec(gram, coef)
    outside = gradient.abs() * (signs == 0)
    worst, entering = outside.max(-1, keepdim=True)
    slack = 1 + ROUNDING * torch.finfo(coef.dtype).eps
    enters = (worst > tau * slack) & stationary[:, None]
    sign = gradient.gather(1, entering).sign()
    signs = signs.scatter(1, entering, torch.where(enters, sign, signs.gather(1, entering)))
    support = signs != 0
    target = solve_support(factor_support(gram, support), corr - tau * signs, coef)
    crossing = support & (target * signs < 0)
    ratio = coef / torch.where(crossing, coef - target, torch.ones_like(coef))
    ratio = torch.where(crossing, ratio, torch.full_like(ratio, torch.inf))
    step, leaving = ratio.min(-1, keepdim=True)
    full = step >= 1
    moved = torch.where(full, target, coef + step.clamp_max(1) * (target - coef))
    keep = torch.ones_like(coef).scatter(1, leaving, full.to(coef.dtype))
    return SignState(moved * keep, signs * keep, full[:, 0])


def feature_sign_search(
    gram: NDArray[np.floating],
    corr: NDArray[np.floating],
    alpha: NDArray[np.floating],
    coef: NDArray[np.floating],
    max_iter: int,
) -> tuple[NDArray[np.floating], int]:
    """`feature_sign_steps` of small problems on the CPU, until all are done.

    Calls cost a third of what they do in torch, and systems that are close to singular get no help.

    Parameters
    ----------
    gram, corr, alpha
        As there.
    coef : ndarray of shape (T, m)
        Start.
    max_iter : int
        Most steps.

    Returns
    -------
    coef : ndarray of shape (T, m)
    n_iter : int
        Steps taken.
    """
    coef, signs, tau = coef.copy(), np.sign(coef), alpha[:, None]
    slack, eye = 1 + ROUNDING * np.finfo(coef.dtype).eps, np.eye(coef.shape[1], dtype=coef.dtype)
    each, stationary = np.arange(len(coef)), np.zeros(len(coef), dtype=bool)
    for n_iter in range(max_iter):
        gradient = corr - (gram @ coef[:, :, None])[:, :, 0]
        outside = np.abs(gradient) * (signs == 0)
        entering = outside.argmax(1)
        enters = stationary & (outside[each, entering] > alpha * slack)
        if (stationary & ~enters).all():
            return coef, n_iter
        signs[each[enters], entering[enters]] = np.sign(gradient[each[enters], entering[enters]])
        support = signs != 0
        system = np.where(support[:, :, None] & support[:, None, :], gram, eye)
        rhs = np.where(support, corr - tau * signs, 0)
        try:
            target = np.linalg.solve(system, rhs[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:  # singular: for those who help
            return coef, n_iter
        crossing = target * signs < 0
        ratio = np.where(crossing, coef / np.where(crossing, coef - target, 1), np.inf)
        leaving = ratio.argmin(1)
        step = ratio[each, leaving]
        stationary = step >= 1
        coef = np.where(
            stationary[:, None], target, coef + np.minimum(step, 1)[:, None] * (target - coef)
        )
        left = ~stationary
        coef[each[left], leaving[left]] = signs[each[left], leaving[left]] = 0
    return coef, max_iter
