"""Interior-point method in Lambda alone, for the group-Lasso SVM's dual."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._problem import (
    GramProblem,
    Point,
    Problem,
)

# Iterations between two looks of the host at a device's progress
BLOCK_OF_ITERATIONS = 4
_TO_BOUNDARY = 0.99
_BACKTRACKS = 14
_BISECTIONS = 20


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
    n_iter : Tensor of int64, shape (b,)
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


def start_on_segment(problem: Problem | GramProblem) -> Tensor:
    """Best dual point between the labels and the uniform spread over the wrong classes."""
    Y = problem.Y
    k = Y.shape[-1]
    spread = (1 - Y) / (k - 1)
    norm, tau = problem.block_norms(Y - spread)
    total = problem.c.sum((-1, -2)).unsqueeze(-1)
    low = torch.zeros_like(total)
    high = torch.full_like(total, 1 - 1 / k)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        slope = ((middle * norm - tau).clamp_min(0) * norm).sum(-1, keepdim=True)
        descends = slope < total
        low, high = torch.where(descends, middle, low), torch.where(descends, high, middle)
    share = low.clamp_min(1e-8).unsqueeze(-1)
    return (1 - share) * Y + share * spread


def initial_state(problem: Problem | GramProblem, dual: Tensor) -> State:
    """Slacks near the central path of the barrier whose strength the gap at `dual` suggests."""
    point = problem.evaluate(dual)
    mu = (gap_of_rows(point.grad, dual) / dual[0].numel()).clamp_min(1e-12)[:, None, None]
    b = dual.shape[0]
    state = State(
        dual=dual,
        slack=central_slack(point, dual, mu),
        best=dual,
        free=dual > 0,
        gap=torch.full((b,), torch.inf, dtype=dual.dtype, device=dual.device),
        n_iter=torch.zeros(b, dtype=torch.int64, device=dual.device),
    )
    state.record(dual, point.gap, dual > 0)
    return state


def gap_of_rows(grad: Tensor, dual: Tensor) -> Tensor:
    """Duality gap (b,) of a dual point of known gradient, not divided by the objective."""
    return ((grad - grad.amin(-1, keepdim=True)) * dual).sum((-1, -2))


def central_slack(point: Point, dual: Tensor, mu: Tensor) -> Tensor:
    """Slack of Lambda >= 0 near the central path at barrier strength `mu` (b, 1, 1)."""
    multiplier = (dual * point.grad).sum(-1, keepdim=True) - dual.shape[-1] * mu
    return torch.maximum(point.grad - multiplier, 0.1 * mu / dual)


def interior_point(
    problem: Problem | GramProblem,
    state: State,
    tol: float,
    max_iter: int,
    *,
    coarse: bool = False,
) -> None:
    """Advance `state` in place until each problem's gap is at most `tol`.

    Mehrotra's predictor and corrector; the length of a step in Lambda is cut back until the
    barrier function no longer rises along it, which the kinks of the block threshold require.
    `coarse` steps take the features' curvature in single precision, and everything else in double:
    far from the solution the directions are as good, at half the cost.
    """
    on_cpu = problem.F.device.type == "cpu"
    V = None
    for iteration in range(max_iter):
        point = problem.evaluate(state.dual, V)
        state.record(state.dual, point.gap, state.dual > state.slack)
        running = (state.gap > tol) & (state.n_iter < max_iter)
        if (on_cpu or iteration % BLOCK_OF_ITERATIONS == 0) and not any_true(running):
            return
        V = _advance(problem, point, state, running, coarse)
    point = problem.evaluate(state.dual, V)
    state.record(state.dual, point.gap, state.dual > state.slack)


def _advance(
    problem: Problem | GramProblem, point: Point, state: State, running: Tensor, coarse: bool
) -> Tensor:
    """One iteration; returns V at the new dual point."""
    dual, slack = state.dual, state.slack
    mu = (dual * slack).mean((-1, -2), keepdim=True)
    curvature = slack / dual
    solve = problem.barrier_solver(point, dual, curvature, coarse=coarse)

    def newton(target: Tensor) -> tuple[Tensor, Tensor]:
        centre = target / dual
        move = solve(point.grad - centre)
        return move, centre - slack - curvature * move

    move, slack_move = newton(torch.zeros_like(mu))
    along, across = longest(dual, move, 1.0), longest(slack, slack_move, 1.0)
    predicted = (dual + along * move) * (slack + across * slack_move)
    centring = (predicted.mean((-1, -2), keepdim=True) / mu).pow(3).clamp(1e-4, 1.0)
    move, slack_move = newton(centring * mu - along * across * move * slack_move)
    along = longest(dual, move, _TO_BOUNDARY)
    across = longest(slack, slack_move, _TO_BOUNDARY)
    V_move = -problem.image(move)
    along = _cut_back(problem, point, dual, (move, V_move), centring * mu, along)

    finite = torch.isfinite(move.sum((-1, -2))) & torch.isfinite(slack_move.sum((-1, -2)))
    moves = (running & finite)[:, None, None]
    state.dual = torch.where(moves, dual + along * move, dual)
    state.slack = torch.where(moves, slack + across * slack_move, slack)
    state.n_iter = state.n_iter + running
    return torch.where(moves, point.V + along * V_move, point.V)


def longest(x: Tensor, move: Tensor, share: float) -> Tensor:
    """Step length (b, 1, 1), at most one, that takes x > 0 `share` of the way to the boundary."""
    falls = move < 0
    room = torch.where(falls, -x / torch.where(falls, move, 1), torch.inf)
    return (share * room.amin((-1, -2), keepdim=True)).clamp_max(1.0)


def _cut_back(
    problem: Problem | GramProblem,
    point: Point,
    dual: Tensor,
    moves: tuple[Tensor, Tensor],
    mu: Tensor,
    along: Tensor,
) -> Tensor:
    """Shorten a step until the barrier function's slope along it is not clearly positive."""
    move, V_move = moves
    smooth = problem.slope(point, V_move)
    if smooth is None:
        return along
    labels = (problem.c * problem.Y * move).sum((-1, -2), keepdim=True)

    def slope(length: Tensor) -> Tensor:
        barrier = (move / (dual + length * move)).sum((-1, -2), keepdim=True)
        return smooth(length) + labels - mu * barrier

    on_cpu = dual.device.type == "cpu"
    allowed = 0.2 * slope(torch.zeros_like(along)).abs()
    for _ in range(_BACKTRACKS):
        too_long = slope(along) > allowed
        if on_cpu and not any_true(too_long):
            break
        along = torch.where(too_long, 0.6 * along, along)
    return along
