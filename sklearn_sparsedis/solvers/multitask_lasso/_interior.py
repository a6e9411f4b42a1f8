"""Interior-point method for batches of Lasso problems of several outputs."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.lasso._state import LassoState
from sklearn_sparsedis.solvers.multitask_lasso._state import MultitaskProblem, evaluate

__all__ = ["INTERIOR_STEPS", "interior_point"]

# limit on the steps, and steps between two looks at the gaps
INTERIOR_STEPS = 40
STEPS_A_LOOK = 8
# a variable is clearly in use, or clearly not, where its weight and its slack are so far apart
CLEAR = 100.0
# share of the way to the boundary, and of the barrier that is left after a whole, a long and a
# short step
TO_BOUNDARY = 0.97
WHOLE, LONG = 0.9, 0.5
BARRIER_LEFT = (0.2, 0.5, 1.0)
# shift of the Gram matrix's diagonal, in units of rounding
SHIFT = 100


class _Point(NamedTuple):
    """W (T, m, q); slopes P, ||P_j|| < 1, that end as W_j/||W_j||; barrier mu (T, 1, 1)."""

    coef: Tensor
    slope: Tensor
    barrier: Tensor


def interior_point(problem: MultitaskProblem, tol: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the central path until gaps are closed and supports clear, or rounding stops it.

    With ||W_j|| <= t_j and the barrier -mu log(t_j^2 - ||W_j||^2), t_j = nu + sqrt(nu^2 +
    ||W_j||^2) for nu = mu / alpha. The equations of the path, Q - G W = alpha P and t_j P_j = W_j,
    are solved by Newton's method in W and P together. W takes whole steps, each P_j as much of its
    own as keeps ||P_j|| < 1.

    Parameters
    ----------
    problem : MultitaskProblem
    tol : Tensor of shape (T,)
        Relative duality gaps.

    Returns
    -------
    coef : Tensor of shape (T, m, q)
        Without exact zeros, the best of the path.
    n_iter : Tensor of int64, shape (T,)

    Notes
    -----
    Eliminating P leaves (G + C) W with C = alpha/t less a term of rank one a variable, so that a
    step factors two matrices of the size of G, however many outputs there are. Some twenty steps
    whatever the data; the start does not matter.
    """
    n_iter = torch.zeros_like(problem.alpha, dtype=torch.int64)
    largest = vector_norm(problem.corr, dim=-1).amax(-1)[:, None, None]
    slope = 0.9 * problem.corr / torch.where(largest > 0, largest, 1.0)
    barrier = 0.5 * problem.y_sq / problem.corr.shape[1]
    point = _Point(torch.zeros_like(problem.corr), slope, barrier[:, None, None])
    best = evaluate(problem, point.coef, n_iter)
    coef, gap = best.coef.clone(), best.gap
    active = gap > tol
    for _ in range(0, INTERIOR_STEPS, STEPS_A_LOOK):
        if not any_true(active):
            break
        n_iter = n_iter + STEPS_A_LOOK * active
        # on the CPU, only the problems that are not done
        index = torch.nonzero(active)[:, 0] if active.device.type == "cpu" else slice(None)
        some, moved = problem.part(index), _Point(*(value[index] for value in point))
        kept, least = coef[index], gap[index]
        for _ in range(STEPS_A_LOOK):
            moved = _step(some, moved)
            state = evaluate(some, moved.coef, n_iter[index])
            better = state.gap < least
            kept = torch.where(better[:, None, None], state.coef, kept)
            least = torch.where(better, state.gap, least)
        falls = least < 0.5 * gap[index]
        active[index] &= (least > tol[index]) | (falls & _unclear(some, state))
        for values, new in zip((*point, coef, gap), (*moved, kept, least), strict=True):
            values[index] = new
    return coef, n_iter


def _unclear(problem: MultitaskProblem, state: LassoState) -> Tensor:
    """Whether the weight G_jj ||W_j|| of some variable is not far from its slack alpha - ||g_j||.

    One of the two is zero at the solution, and along the path their product falls with the gap.
    """
    diagonal = problem.gram.diagonal(dim1=-2, dim2=-1)
    weight = diagonal * vector_norm(state.coef, dim=-1)
    slack = (problem.alpha[:, None] - vector_norm(state.gradient, dim=-1)).abs()
    return ((weight < CLEAR * slack) & (slack < CLEAR * weight)).any(-1)


def _step(problem: MultitaskProblem, point: _Point) -> _Point:
    coef, slope, barrier = point
    alpha = problem.alpha[:, None, None]
    nu = barrier / alpha
    root = (nu.square() + coef.square().sum(-1, keepdim=True)).sqrt()
    length, along = nu + root, coef / root
    curvature = alpha / length
    rhs = problem.corr - problem.gram @ coef - curvature * coef
    to_coef = _solve(problem.gram, curvature, slope, along, rhs)
    inner = (along * to_coef).sum(-1, keepdim=True)
    to_slope = (to_coef - slope * inner + coef) / length - slope
    share = _longest(slope, to_slope)
    shortest = share.amin(1, keepdim=True)
    left = torch.where(shortest > LONG, BARRIER_LEFT[1], BARRIER_LEFT[2])
    left = torch.where(shortest > WHOLE, BARRIER_LEFT[0], left)
    # one variable at the boundary must not stop the others
    return _Point(coef + to_coef, slope + share * to_slope, barrier * left)


def _solve(gram: Tensor, curvature: Tensor, slope: Tensor, along: Tensor, rhs: Tensor) -> Tensor:
    """Solve G X + C (X - P (A∘X)1') = R by Woodbury's formula, and refine once."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    rounding = SHIFT * torch.finfo(gram.dtype).eps
    shifted = gram + torch.diag_embed(rounding * torch.where(diagonal > 0, diagonal, 1.0))
    outer, _ = torch.linalg.cholesky_ex(shifted + torch.diag_embed(curvature[..., 0]))
    # C^-1 - K, without cancellation
    reduced = torch.cholesky_solve(shifted / curvature.mT, outer)
    reduced = 0.5 * (reduced + reduced.mT)
    overlap = along @ slope.mT
    slack = (1 - overlap.diagonal(dim1=-2, dim2=-1)) / curvature[..., 0]
    factor, pivots, _ = torch.linalg.lu_factor_ex(reduced * overlap + torch.diag_embed(slack))

    def substitute(b: Tensor) -> Tensor:
        x = torch.cholesky_solve(b, outer)
        inner = torch.linalg.lu_solve(factor, pivots, (along * x).sum(-1, keepdim=True))
        return x + torch.cholesky_solve(slope * inner, outer)

    x = substitute(rhs)
    bent = curvature * (x - slope * (along * x).sum(-1, keepdim=True))
    return x + substitute(rhs - gram @ x - bent)


def _longest(slope: Tensor, to_slope: Tensor) -> Tensor:
    """Longest steps, up to one, that keep ||P_j|| below one; shape (T, m, 1)."""
    square = to_slope.square().sum(-1, keepdim=True)
    product = (slope * to_slope).sum(-1, keepdim=True)
    room = (1 - slope.square().sum(-1, keepdim=True)).clamp_min(0)
    root = product + (product.square() + square * room).sqrt()
    share = torch.where(root > 0, room / torch.where(root > 0, root, 1.0), torch.inf)
    return (TO_BOUNDARY * share).clamp_max(1)
