"""Interior-point method in Lambda alone, for the group-Lasso SVM's dual."""

from dataclasses import dataclass
from math import inf

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    at_least,
    at_most,
    full,
    integers,
    is_finite,
    maximum,
    on_host,
    smallest,
    where,
)
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
    dual, slack : Array of shape (b, n, k)
        Lambda and the multipliers of Lambda >= 0, both positive.
    best : Array of shape (b, n, k)
        Dual point of the smallest gap.
    free : Array of bool, shape (b, n, k)
        Its entries that count as nonzero.
    gap : Array of shape (b,)
        Its relative gap.
    n_iter : Array of int64, shape (b,)
        Iterations taken.
    """

    dual: Array
    slack: Array
    best: Array
    free: Array
    gap: Array
    n_iter: Array

    def record(self, dual: Array, gap: Array, free: Array) -> None:
        """Keep `dual` where its gap is the smallest so far."""
        better = gap < self.gap
        self.best = where(better[:, None, None], dual, self.best)
        self.free = where(better[:, None, None], free, self.free)
        self.gap = where(better, gap, self.gap)


def start_on_segment(problem: Problem | GramProblem) -> Array:
    """Best dual point between the labels and the uniform spread over the wrong classes."""
    Y = problem.Y
    k = Y.shape[-1]
    spread = (1 - Y) / (k - 1)
    norm, tau = problem.block_norms(Y - spread)
    total = problem.c.sum((-1, -2))[:, None]
    low = full(total, total.shape, 0.0)
    high = full(total, total.shape, 1 - 1 / k)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        slope = (at_least(middle * norm - tau, 0) * norm).sum(-1, keepdims=True)
        descends = slope < total
        low, high = where(descends, middle, low), where(descends, high, middle)
    share = at_least(low, 1e-8)[..., None]
    return (1 - share) * Y + share * spread


def initial_state(problem: Problem | GramProblem, dual: Array) -> State:
    """Slacks near the central path of the barrier whose strength the gap at `dual` suggests."""
    point = problem.evaluate(dual)
    mu = gap_of_rows(point.grad, dual) / (dual.shape[1] * dual.shape[2])
    mu = at_least(mu, 1e-12)[:, None, None]
    b = dual.shape[0]
    state = State(
        dual=dual,
        slack=central_slack(point, dual, mu),
        best=dual,
        free=dual > 0,
        gap=full(dual, (b,), inf),
        n_iter=0 * integers(dual, b),
    )
    state.record(dual, point.gap, dual > 0)
    return state


def gap_of_rows(grad: Array, dual: Array) -> Array:
    """Duality gap (b,) of a dual point of known gradient, not divided by the objective."""
    return ((grad - smallest(grad, -1, keepdims=True)) * dual).sum((-1, -2))


def central_slack(point: Point, dual: Array, mu: Array) -> Array:
    """Slack of Lambda >= 0 near the central path at barrier strength `mu` (b, 1, 1)."""
    multiplier = (dual * point.grad).sum(-1, keepdims=True) - dual.shape[-1] * mu
    return maximum(point.grad - multiplier, 0.1 * mu / dual)


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
    on_cpu = on_host(problem.F)
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
    problem: Problem | GramProblem, point: Point, state: State, running: Array, coarse: bool
) -> Array:
    """One iteration; returns V at the new dual point."""
    dual, slack = state.dual, state.slack
    mu = (dual * slack).mean((-1, -2), keepdims=True)
    curvature = slack / dual
    solve = problem.barrier_solver(point, dual, curvature, coarse=coarse)

    def newton(target: Array) -> tuple[Array, Array]:
        centre = target / dual
        move = solve(point.grad - centre)
        return move, centre - slack - curvature * move

    move, slack_move = newton(0 * mu)
    along, across = longest(dual, move, 1.0), longest(slack, slack_move, 1.0)
    predicted = (dual + along * move) * (slack + across * slack_move)
    centring = (predicted.mean((-1, -2), keepdims=True) / mu) ** 3
    centring = at_most(at_least(centring, 1e-4), 1.0)
    move, slack_move = newton(centring * mu - along * across * move * slack_move)
    along = longest(dual, move, _TO_BOUNDARY)
    across = longest(slack, slack_move, _TO_BOUNDARY)
    V_move = -problem.image(move)
    along = _cut_back(problem, point, dual, (move, V_move), centring * mu, along)

    finite = is_finite(move.sum((-1, -2))) & is_finite(slack_move.sum((-1, -2)))
    moves = (running & finite)[:, None, None]
    state.dual = where(moves, dual + along * move, dual)
    state.slack = where(moves, slack + across * slack_move, slack)
    state.n_iter = state.n_iter + running
    return where(moves, point.V + along * V_move, point.V)


def longest(x: Array, move: Array, share: float) -> Array:
    """Step length (b, 1, 1), at most one, that takes x > 0 `share` of the way to the boundary."""
    falls = move < 0
    room = where(falls, -x / where(falls, move, 1), inf)
    return at_most(share * smallest(room, (-1, -2), keepdims=True), 1.0)


def _cut_back(
    problem: Problem | GramProblem,
    point: Point,
    dual: Array,
    moves: tuple[Array, Array],
    mu: Array,
    along: Array,
) -> Array:
    """Shorten a step until the barrier function's slope along it is not clearly positive."""
    move, V_move = moves
    smooth = problem.slope(point, V_move)
    if smooth is None:
        return along
    labels = (problem.c * problem.Y * move).sum((-1, -2), keepdims=True)

    def slope(length: Array) -> Array:
        barrier = (move / (dual + length * move)).sum((-1, -2), keepdims=True)
        return smooth(length) + labels - mu * barrier

    allowed = 0.2 * abs(slope(0 * along))
    for _ in range(_BACKTRACKS):
        too_long = slope(along) > allowed
        if on_host(dual) and not any_true(too_long):
            break
        along = where(too_long, 0.6 * along, along)
    return along
