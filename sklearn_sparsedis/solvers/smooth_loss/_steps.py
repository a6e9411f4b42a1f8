"""Steps of the solver: proximal Newton, with what to do where they fail."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional._near_copies import near_copies, rounded_gap
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.smooth_loss._penalties import Model
from sklearn_sparsedis.solvers.smooth_loss._problem import SmoothProblem
from sklearn_sparsedis.solvers.smooth_loss._state import SmoothState, choose, evaluate

__all__ = ["iterate"]

# blocks of steps after which the local models are solved exactly
EASY_BLOCKS = 10
# blocks of steps after which easier problems are solved first, where there are any
RELAXED_BLOCK = 8
# relative gap to which easier problems are solved, and limit on the steps
EASY_TOL = 1e-2
EASY_ITER = 10
# Newton steps between two looks of the host, where it does not see the values anyway
STEPS_A_LOOK = 2
# blocks of plain steps before one that cannot fail, on an accelerator
PLAIN_BLOCKS = 3
# shares of a step that are tried
LENGTHS = (0.5, 0.25, 0.1, 0.03, 0.01, 1e-3)

Step = Callable[[SmoothProblem, SmoothState], SmoothState]


def iterate(
    problem: SmoothProblem,
    state: SmoothState,
    tol: float,
    max_iter: int,
    *,
    cold: bool,
    hard: bool = True,
) -> SmoothState:
    """A step of every problem, then blocks of steps until the gaps are closed or rounding stops.

    Parameters
    ----------
    problem : SmoothProblem
    state : SmoothState
        Start.
    tol : float
        Relative duality gap.
    max_iter : int
        Limit on steps, at least one.
    cold : bool
        Whether the start says nothing about the solution.
    hard : bool
        Whether problems that are left after some blocks start again from those of easier ones.
    """
    on_cpu = state.coef.device.type == "cpu"
    state = (_swept_step if cold else _plain_step)(problem, state)
    active, block = _left(problem, state, tol), 0
    while max_iter > 1 and any_true(active):
        if hard and block == RELAXED_BLOCK:
            state = _where(active, _relaxed_step, problem, state)
        search = _swept_step if block < EASY_BLOCKS else _searched_step
        safe = not on_cpu and block % (PLAIN_BLOCKS + 1) == PLAIN_BLOCKS
        kind = _checked_step if on_cpu else _safe_step if safe else _plain_steps
        new = _where(active, partial(kind, search), problem, state)
        # a step that cannot fail and changed nothing has reached what the dtype can
        last = _moved(new, state) if on_cpu or safe else active
        active = _left(problem, new, tol) & last
        state = new
        block += 1
        max_iter -= STEPS_A_LOOK
    return state


def _left(problem: SmoothProblem, state: SmoothState, tol: float) -> Tensor:
    """Problems whose gap is open, or whose gradient it does not make exact."""
    rounded = rounded_gap(state.gap.dtype)
    tol = min(tol, max(problem.penalty.exact_gap, rounded))
    return (state.gap > tol) | (state.near & (state.gap > rounded))


def _relaxed_step(problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """To where solutions of ever less relaxed problems lead."""
    trial = state
    for loss, factor in problem.loss.relaxed(state.score, problem.y, problem.share):
        easier = replace(problem, loss=loss, alpha=factor * problem.alpha)
        trial = evaluate(easier, trial.coef, trial.intercept, trial.n_iter)
        trial = iterate(easier, trial, EASY_TOL, EASY_ITER, cold=False, hard=False)
    if trial is state:
        return state
    trial = evaluate(problem, trial.coef, trial.intercept, trial.n_iter)
    return replace(_better(state, trial, state.near), n_iter=trial.n_iter)


def _where(
    mask: Tensor,
    step: Step,
    problem: SmoothProblem,
    state: SmoothState,
) -> SmoothState:
    """A step of some problems; on the CPU the others cost nothing."""
    if mask.device.type != "cpu":
        return choose(mask, step(problem, state), state)
    if not any_true(~mask):
        return step(problem, state)
    index = torch.nonzero(mask)[:, 0]
    return state.put(index, step(problem.part(index), state.part(index)))


def _moved(new: SmoothState, state: SmoothState) -> Tensor:
    return (new.objective != state.objective) | (new.gap != state.gap)


def _checked_step(search: Step, problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """A plain step; where that did not help a search; where none did, a bounded step."""
    new = _plain_step(problem, state)
    for step in (search, _bounded_step):
        stuck = ~_moved(new, state)
        if not any_true(stuck):
            break
        new = _where(stuck, step, problem, new)
    return new


def _plain_steps(search: Step, problem: SmoothProblem, state: SmoothState) -> SmoothState:
    for _ in range(STEPS_A_LOOK):
        state = _plain_step(problem, state)
    return state


def _safe_step(search: Step, problem: SmoothProblem, state: SmoothState) -> SmoothState:
    return _bounded_step(problem, search(problem, state))


def _plain_step(problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """To where a Newton step on the guess at support and signs leads."""
    coef, intercept, near = _minimised(problem, state, state.curvature, problem.penalty.newton)
    return _better(state, evaluate(problem, coef, intercept, state.n_iter), near)


def _swept_step(problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """Towards a point where the local model is lower."""
    return _search(problem, state, problem.penalty.descend)


def _searched_step(problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """Towards the minimum of the local model."""
    return _search(problem, state, problem.penalty.minimise)


def _search(
    problem: SmoothProblem, state: SmoothState, minimise: Callable[[Model], Tensor]
) -> SmoothState:
    """To where the local model leads, or towards it where that is too far."""
    least = problem.loss.least_curvature(state.score, state.residual, problem.y)
    curvature = state.curvature.maximum(least)
    coef, intercept, near = _minimised(problem, state, curvature, minimise)
    whole = evaluate(problem, coef, intercept, state.n_iter)
    stuck = ~(whole.objective < state.objective)
    if stuck.device.type == "cpu" and not any_true(stuck):
        return _better(state, whole, near)
    part = evaluate(problem, *_line_search(problem, state, coef, intercept), state.n_iter)
    return _better(state, choose(stuck, part, whole), near)


def _bounded_step(problem: SmoothProblem, state: SmoothState) -> SmoothState:
    """To the minimum of a model that is an upper bound."""
    curvature = problem.loss.majorant(state.score, problem.y) * problem.share.expand_as(problem.y)
    coef, intercept, near = _minimised(problem, state, curvature, problem.penalty.minimise)
    return _better(state, evaluate(problem, coef, intercept, state.n_iter), near)


def _minimised(
    problem: SmoothProblem,
    state: SmoothState,
    curvature: Tensor,
    minimise: Callable[[Model], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients and intercept to which the model with some curvature of the rows leads, and
    whether it has near copies."""
    gram, mean, total = problem.design.moments(curvature)
    inverse = torch.where(total > 0, 1 / total, 0.0)
    offset = state.residual.sum(-1)
    gradient = state.gradient - mean * offset[:, None]
    squares = torch.where(curvature > 0, state.residual.square() / curvature, 0.0)
    square = (squares.sum(-1) - offset.square() * inverse).clamp_min(0)
    coef = minimise(Model(gram, gradient, square, state.coef, problem.alpha))
    shift = offset * inverse - (mean * (coef - state.coef)).sum(-1)
    return coef, state.intercept + shift, near_copies(gram)


def _line_search(
    problem: SmoothProblem, state: SmoothState, coef: Tensor, intercept: Tensor
) -> tuple[Tensor, Tensor]:
    """The point of the lowest objective among some shares of a step."""
    step, shift = coef - state.coef, intercept - state.intercept
    slope = problem.design.combine(step) + shift[:, None]
    best = torch.full_like(state.objective, torch.inf)
    share = torch.zeros_like(best)
    for length in LENGTHS:
        loss = problem.loss.value(state.score + length * slope, problem.y)
        penalty = problem.penalty.value(state.coef + length * step, problem.alpha)
        objective = (problem.share * loss).sum(-1) + penalty
        share = torch.where(objective < best, length, share)
        best = best.fmin(objective)
    return state.coef + share[:, None] * step, state.intercept + share * shift


def _better(state: SmoothState, trial: SmoothState, near: Tensor) -> SmoothState:
    """The iterate with the lower objective; the smaller gap decides where rounding hides that."""
    rounding = 16 * torch.finfo(state.objective.dtype).eps * state.objective
    lower = trial.objective < state.objective - rounding
    equal = trial.objective <= state.objective + rounding
    taken = choose(lower | (equal & (trial.gap < state.gap)), trial, state)
    return replace(taken, n_iter=state.n_iter + 1, near=near)
