"""Batched sparse and ridge regression under Huber's loss."""

from torch import Tensor

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.smooth_loss._losses import HuberLoss
from sklearn_sparsedis.solvers.smooth_loss._penalties import L1, L2
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_smooth

__all__ = ["solve_huber_lasso", "solve_huber_ridge"]


def solve_huber_lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    delta: Tensor | float,
    *,
    sample_weight: Tensor | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> SolveResult:
    r"""Solve sparse robust regressions with an intercept, one or a batch.

    .. math:: \min_{w, b} \sum_i s_i h_\delta(y_i - z_i w - b) + \alpha \|w\|_1

    with shares :math:`s_i` = sample_weight / its sum (1/n without weights) and Huber's loss [1]_
    :math:`h_\delta(r) = r^2/2` for :math:`|r| \le \delta`, :math:`\delta |r| - \delta^2/2` beyond.

    Parameters
    ----------
    Z : Tensor of shape (n, m), shared by all problems, or (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Targets.
    alpha : float or Tensor of shape (*batch,)
        Strength, positive, in the units of Z'y / n; `functional.huber_alpha_max` is the smallest
        one with coefficients of zero.
    delta : float or Tensor of shape (*batch,)
        Positive, in the units of y; `solvers.huber_delta` takes it from the data.
    sample_weight, tol, max_iter, coef_init, intercept_init
        As in `solve_smooth`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m) and intercept of shape (*batch,).

    Raises
    ------
    ValueError
        If alpha or delta is a number and not positive.

    Notes
    -----
    The method is that of `solve_smooth`; the solution is exact as soon as Newton's method meets the
    rows within delta. Where no row is within delta of the fit, the intercept may not be determined;
    it is then one of those that are optimal. Nothing is recorded for autograd;
    `implicit.huber_lasso` differentiates the solution.

    References
    ----------
    .. [1] Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 1964.
    """
    return solve_smooth(
        HuberLoss(delta),
        L1(),
        Z,
        y,
        alpha,
        sample_weight=sample_weight,
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
        intercept_init=intercept_init,
    )


def solve_huber_ridge(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    delta: Tensor | float,
    *,
    sample_weight: Tensor | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> SolveResult:
    r"""Solve robust ridge regressions with an intercept, one or a batch.

    .. math:: \min_{w, b} \sum_i s_i h_\delta(y_i - z_i w - b) + \tfrac\alpha2 \|w\|_2^2

    Parameters
    ----------
    Z, y
        As in `solve_huber_lasso`.
    alpha : float or Tensor of shape (*batch,)
        Strength, positive, in the units of Z'Z / n.
    delta, sample_weight, tol, max_iter, coef_init, intercept_init
        As in `solve_huber_lasso`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m) and intercept of shape (*batch,).

    Raises
    ------
    ValueError
        If alpha or delta is a number and not positive.

    Notes
    -----
    As `solve_huber_lasso`.
    """
    return solve_smooth(
        HuberLoss(delta),
        L2(),
        Z,
        y,
        alpha,
        sample_weight=sample_weight,
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
        intercept_init=intercept_init,
    )
