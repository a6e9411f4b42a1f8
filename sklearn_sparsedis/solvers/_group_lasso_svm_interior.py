"""Primal-dual interior-point method and active-set finish for the group-Lasso SVM dual."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import any_true, shrinkage
from sklearn_sparsedis.solvers._group_lasso_svm_problem import (
    Point,
    Problem,
    evaluate,
    relative_gap,
)
from sklearn_sparsedis.solvers._group_lasso_svm_system import (
    Factor,
    PivotBasis,
    add_barrier,
    reduced_hessian,
)

_TO_BOUNDARY = 0.99
_BACKTRACKS = 14
_RIDGE = 1e-14
_FACE_RIDGE = 1e-12
_BLOCK_OF_ITERATIONS = 4


@dataclass
class State:
    """Iterates of a batch of problems, and the best dual point that each has met.

    Attributes
    ----------
    dual, slack : Tensor of shape (b, n, k)
        Lambda and the multipliers of Lambda >= 0, both positive.
    best : Tensor of shape (b, n, k)
        Dual point of the smallest gap.
    free : Tensor of bool, shape (b, n, k)
        Its entries that count as nonzero.
    gap : Tensor of shape (b,)
        Its relative gap.
    n_iter : Tensor of shape (b,)
        Iterations taken.
    """

    dual: Tensor
    slack: Tensor
    best: Tensor
    free: Tensor
    gap: Tensor
    n_iter: Tensor

    def record(self, dual: Tensor, gap: Tensor, free: Tensor) -> None:
        """Keep `dual` where its gap is the smallest so far."""
        better = gap < self.gap
        self.best = torch.where(better[:, None, None], dual, self.best)
        self.free = torch.where(better[:, None, None], free, self.free)
        self.gap = torch.where(better, gap, self.gap)


def start_on_segment(problem: Problem) -> Tensor:
    """Best dual point between the labels and the uniform spread over the wrong classes."""
    Y = problem.Y
    k = Y.shape[-1]
    spread = (1 - Y) / (k - 1)
    norm = torch.linalg.vector_norm(problem.Ft @ (Y - spread).to(problem.F.dtype), dim=-1)
    total = problem.c.sum((-1, -2)).unsqueeze(-1)
    low = torch.zeros_like(total)
    high = torch.full_like(total, 1 - 1 / k)
    for _ in range(30):
        middle = (low + high) / 2
        slope = ((middle * norm - problem.tau).clamp_min(0) * norm).sum(-1, keepdim=True)
        descends = slope < total
        low, high = torch.where(descends, middle, low), torch.where(descends, high, middle)
    share = low.clamp_min(1e-8).unsqueeze(-1)
    return (1 - share) * Y + share * spread


def initial_state(problem: Problem, dual: Tensor) -> State:
    """Slacks near the central path of the barrier whose strength the gap at `dual` suggests."""
    n, k = dual.shape[1:]
    point = evaluate(problem, dual)
    mu = (point.gap / (n * k)).clamp_min(1e-12)[:, None, None]
    multiplier = (dual * point.grad).sum(-1, keepdim=True) - k * mu
    slack = torch.maximum(point.grad - multiplier, 0.1 * mu / dual)
    b = dual.shape[0]
    infinite = torch.full((b,), torch.inf, dtype=dual.dtype, device=dual.device)
    n_iter = torch.zeros(b, dtype=torch.int64, device=dual.device)
    state = State(dual, slack, dual, dual > slack, infinite, n_iter)
    state.record(dual, relative_gap(problem, point), dual > slack)
    return state


def interior_point(problem: Problem, state: State, tol: float, max_iter: int) -> None:
    """Advance `state` in place until each problem's gap is at most `tol`.

    Mehrotra's predictor and corrector; the length of a step in Lambda is cut back until the
    barrier function no longer rises along it, which the kinks of the block threshold require.
    """
    on_cpu = problem.F.device.type == "cpu"
    V = None
    for iteration in range(max_iter):
        point = evaluate(problem, state.dual, V)
        state.record(state.dual, relative_gap(problem, point), state.dual > state.slack)
        running = (state.gap > tol) & (state.n_iter < max_iter)
        if (on_cpu or iteration % _BLOCK_OF_ITERATIONS == 0) and not any_true(running):
            return
        V = _advance(problem, point, state, running)
    point = evaluate(problem, state.dual, V)
    state.record(state.dual, relative_gap(problem, point), state.dual > state.slack)


def _advance(problem: Problem, point: Point, state: State, running: Tensor) -> Tensor:
    """One iteration; returns V at the new dual point."""
    dual, slack = state.dual, state.slack
    mu = (dual * slack).mean((-1, -2), keepdim=True)
    basis = PivotBasis(dual)
    curvature = slack / dual
    hessian = reduced_hessian(problem, point, basis)
    factor = Factor(add_barrier(hessian, basis, curvature), _RIDGE)

    def newton(target: Tensor) -> tuple[Tensor, Tensor]:
        right = basis.reduce(target / dual - point.grad)
        move = factor.solve(right.flatten(1)).view_as(right)
        dual_move = basis.expand(move)
        return dual_move, target / dual - slack - curvature * dual_move

    dual_move, slack_move = newton(torch.zeros_like(mu))
    along, across = _longest(dual, dual_move, 1.0), _longest(slack, slack_move, 1.0)
    predicted = (dual + along * dual_move) * (slack + across * slack_move)
    centring = (predicted.mean((-1, -2), keepdim=True) / mu).pow(3).clamp(1e-4, 1.0)
    correction = along * across * dual_move * slack_move
    dual_move, slack_move = newton(centring * mu - correction)
    along = _longest(dual, dual_move, _TO_BOUNDARY)
    across = _longest(slack, slack_move, _TO_BOUNDARY)
    V_move = -(problem.Ft @ dual_move.to(problem.F.dtype))
    along = _cut_back(problem, point, dual, (dual_move, V_move), centring * mu, along)

    finite = torch.isfinite(dual_move.sum((-1, -2))) & torch.isfinite(slack_move.sum((-1, -2)))
    moves = (running & finite)[:, None, None]
    state.dual = torch.where(moves, dual + along * dual_move, dual)
    state.slack = torch.where(moves, slack + across * slack_move, slack)
    state.n_iter = state.n_iter + running
    return torch.where(moves, point.V + along.to(V_move.dtype) * V_move, point.V)


def _longest(x: Tensor, move: Tensor, share: float) -> Tensor:
    """Step length, at most one, that takes x > 0 at most `share` of the way to the boundary."""
    room = torch.where(move < 0, -x / torch.where(move < 0, move, 1), torch.inf)
    return (share * room.amin((-1, -2), keepdim=True)).clamp_max(1.0)


def _cut_back(
    problem: Problem,
    point: Point,
    dual: Tensor,
    moves: tuple[Tensor, Tensor],
    mu: Tensor,
    along: Tensor,
) -> Tensor:
    """Shorten a step until the barrier function's slope along it is no longer clearly positive.

    Along a line each ``||V_j||^2`` is a parabola, so a trial costs O(m + n k).
    """
    dual_move, V_move = moves
    constant = point.norm.square()
    linear = (point.V * V_move).sum(-1)
    square = V_move.square().sum(-1)
    labels = (problem.c * problem.Y * dual_move).sum((-1, -2), keepdim=True)

    def slope(length: Tensor) -> Tensor:
        t = length[..., 0].to(square.dtype)
        norm = (constant + t * (2 * linear + t * square)).clamp_min(0).sqrt()
        smooth = (shrinkage(norm, problem.tau) * (linear + t * square)).sum(-1)
        barrier = (dual_move / (dual + length * dual_move)).sum((-1, -2), keepdim=True)
        return smooth[:, None, None].to(dual.dtype) + labels - mu * barrier

    on_cpu = dual.device.type == "cpu"
    allowed = 0.2 * slope(torch.zeros_like(along)).abs()
    for _ in range(_BACKTRACKS):
        too_long = slope(along) > allowed
        if on_cpu and not any_true(too_long):
            break
        along = torch.where(too_long, 0.6 * along, along)
    return along


def finish_on_face(problem: Problem, state: State, n_steps: int) -> None:
    """Newton steps on the face of entries whose Lambda exceeds its slack, kept where they help.

    The exact zeros that this gives to Lambda are what the derivative of the solution rests on.
    """
    dual = state.best
    free = state.dual > state.slack
    for _ in range(n_steps):
        basis = PivotBasis(dual)
        free = free.scatter(-1, basis.pivot, True)
        kept = torch.where(free, dual, 0)
        dual = kept / kept.sum(-1, keepdim=True)
        point = evaluate(problem, dual)
        state.record(dual, relative_gap(problem, point), free)
        factor, mask = face_factor(problem, point, basis, free)
        right = torch.where(mask, -basis.reduce(point.grad), 0)
        move = basis.expand(factor.solve(right.flatten(1)).view_as(right))
        along = _longest(dual, torch.where(free, move, 0), 1.0)
        dual = (dual + along * move).clamp_min(0)
        free = free & (dual > 0)
    dual = dual / dual.sum(-1, keepdim=True)
    state.record(dual, relative_gap(problem, evaluate(problem, dual)), dual > 0)


def face_factor(
    problem: Problem, point: Point, basis: PivotBasis, free: Tensor
) -> tuple[Factor, Tensor]:
    """Factor of the Hessian restricted to the free entries, and their mask in the basis.

    Parameters
    ----------
    problem, point, basis
        Where.
    free : Tensor of bool, shape (b, n, k)
        Free entries; pivots are always free.

    Returns
    -------
    factor : Factor
        Of the Hessian with the rows and columns of other entries replaced by the identity's.
    mask : Tensor of bool, shape (b, n, k-1)
        Free coordinates.

    Notes
    -----
    Where the face leaves Lambda undetermined the matrix is singular, and a relative ridge of 1e-12
    picks the smallest move.
    """
    mask = free.gather(-1, basis.others)
    flat = mask.flatten(1)
    hessian = reduced_hessian(problem, point, basis)
    hessian = torch.where(flat.unsqueeze(1) & flat.unsqueeze(2), hessian, 0)
    diagonal = hessian.diagonal(dim1=-1, dim2=-2)
    diagonal.copy_(torch.where(flat & (diagonal > 0), diagonal, 1))
    return Factor(hessian, _FACE_RIDGE), mask
