"""The method for batches of Lasso problems of several outputs: Newton steps, and what is sure."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from sklearn_sparsedis.functional._block_support import factor_blocks
from sklearn_sparsedis.functional._support import cached_parts
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._parts import solve_each_part
from sklearn_sparsedis.solvers.lasso._state import LassoState, choose
from sklearn_sparsedis.solvers.multitask_lasso._interior import INTERIOR_STEPS, interior_point
from sklearn_sparsedis.solvers.multitask_lasso._state import MultitaskProblem, evaluate

__all__ = ["solve_multitask_in_parts"]

# one block of iterations: coordinate sweeps, then Newton steps, then one look at the gaps
SWEEPS = 5
NEWTON_STEPS = 3
# blocks after which the problems left are those where Newton steps run into ever new supports
BLOCKS = 2
# share of the tolerance to which the interior-point method goes: making zeros exact costs some
INTERIOR_TOL = 1e-2
# errors of a gradient, in units of rounding
ROUNDING = 16


def solve_multitask_in_parts(
    problem: MultitaskProblem, start: Tensor | None, max_iter: int
) -> LassoState:
    """Solve, on the CPU as many problems at a time as have Gram matrices that fit its cache.

    Where memory does not suffice for a part, its half is tried.

    Parameters
    ----------
    problem : MultitaskProblem
        With alpha > 0.
    start : Tensor of shape (T, m, q), optional
    max_iter : int
        Limit on sweeps, Newton steps and steps of the interior-point method together.
    """

    def solve(part: slice) -> LassoState:
        if part == slice(0, len(problem.corr)):
            return _solve(problem, start, max_iter)
        some = None if start is None else start[part]
        return _solve(problem.part(part), some, max_iter)

    states = solve_each_part(solve, cached_parts(problem.corr[:, :, 0]))
    if len(states) == 1:
        return states[0]
    columns = zip(*(vars(state).values() for state in states), strict=True)
    return LassoState(*(torch.cat(values) for values in columns))


def _solve(problem: MultitaskProblem, start: Tensor | None, max_iter: int) -> LassoState:
    n_iter = torch.zeros_like(problem.alpha, dtype=torch.int64)
    zero = torch.zeros_like(problem.corr)
    if not max_iter:
        return evaluate(problem, zero if start is None else start, n_iter)
    if start is None:
        start, n_iter = _sweep(problem, zero, problem.corr), n_iter + SWEEPS
    # every problem takes a step, which makes a start that is good enough exact
    state = _close(problem, start, n_iter)
    trial = evaluate(problem, _newton_step(problem, state), n_iter + 1)
    if not any_true(~(trial.gap <= problem.tol)):
        return trial
    state = _newton_steps(problem, _better(problem, state, trial, 1), trial, NEWTON_STEPS)
    spent, active, block = SWEEPS + 1 + NEWTON_STEPS, state.gap > problem.tol, 0
    while spent < max_iter and any_true(active):
        step = _block if block < BLOCKS else _interior
        new = _on_active(step, problem, state, active)
        active = new.gap > problem.tol
        if block > BLOCKS:  # what did not help a second time would never help
            active = active & ((new.gap != state.gap) | (new.objective != state.objective))
        spent = spent + int(step is _interior) * INTERIOR_STEPS + SWEEPS + NEWTON_STEPS
        state, block = new, block + 1
    swept = state.gap == 2 * problem.tol
    return replace(
        state, gap=torch.where(swept, evaluate(problem, state.coef, n_iter).gap, state.gap)
    )


def _close(problem: MultitaskProblem, coef: Tensor, n_iter: Tensor) -> LassoState:
    """An iterate that does not end a problem, even where its gap would.

    Where near copies share a weight, sweeps meet the tolerance long before they tell which of them
    are in use; the gradient of the solution rests on that, and Newton steps do.
    """
    state = evaluate(problem, coef, n_iter)
    return replace(state, gap=state.gap.maximum(2 * problem.tol))


def _on_active(
    step: Callable[..., LassoState],
    problem: MultitaskProblem,
    state: LassoState,
    active: Tensor,
) -> LassoState:
    """One block of iterations; on the CPU, only of the problems that are not done."""
    if active.device.type != "cpu" or not any_true(~active):
        return step(problem, state)
    index = torch.nonzero(active)[:, 0]
    return state.put(index, step(problem.part(index), state.part(index)))


def _block(problem: MultitaskProblem, state: LassoState) -> LassoState:
    """Sweeps and Newton steps."""
    coef = _sweep(problem, state.coef, state.gradient)
    swept = _close(problem, coef, state.n_iter)
    state = _better(problem, state, swept, SWEEPS)
    return _newton_steps(problem, state, swept, NEWTON_STEPS)


def _interior(problem: MultitaskProblem, state: LassoState) -> LassoState:
    """The interior-point method from its own start, its zeros made exact, and Newton steps."""
    coef, n_steps = interior_point(problem, INTERIOR_TOL * problem.tol)
    inside = evaluate(problem, coef, state.n_iter)
    used = _proximal_step(problem, inside)[1] > problem.alpha[:, None]
    state = replace(state, n_iter=state.n_iter + n_steps)
    # what is not in use goes first; where near copies share a weight, what costs nothing
    for kept in (used, used | _matters(problem, coef)):
        cut = evaluate(problem, torch.where(kept[..., None], coef, 0.0), state.n_iter)
        trial = evaluate(problem, _newton_step_on(problem, cut.coef), state.n_iter)
        state = _better(problem, _better(problem, state, trial, 1), cut, 0)
    swept = evaluate(problem, _sweep(problem, cut.coef, cut.gradient), state.n_iter)
    state = _better(problem, state, swept, SWEEPS)
    return _newton_steps(problem, state, inside, NEWTON_STEPS)


def _matters(problem: MultitaskProblem, coef: Tensor) -> Tensor:
    """Whether a variable changes any gradient by more than a tenth of the tolerance, in units of
    alpha, and more than rounding does."""
    root = problem.gram.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    change = vector_norm(coef, dim=-1) * root
    rounding = ROUNDING * torch.finfo(coef.dtype).eps * problem.y_sq.sqrt()[:, None]
    share = 0.1 * (problem.tol * problem.alpha)[:, None]
    return change > rounding.maximum(share / root.amax(-1, keepdim=True))


def _newton_steps(
    problem: MultitaskProblem, state: LassoState, trial: LassoState, n_steps: int
) -> LassoState:
    """Newton steps from `trial`, each kept in `state` where it is better."""
    if not n_steps:
        return state
    if state.gap.device.type == "cpu":  # leave out what is done
        active = ~(state.gap <= problem.tol)
        if any_true(~active):
            index = torch.nonzero(active)[:, 0]
            if not len(index):
                return state
            left, trial = state.part(index), trial.part(index)
            return state.put(index, _newton_steps(problem.part(index), left, trial, n_steps))
    trial = evaluate(problem, _newton_step(problem, trial), state.n_iter)
    return _newton_steps(problem, _better(problem, state, trial, 1), trial, n_steps - 1)


def _better(
    problem: MultitaskProblem, state: LassoState, trial: LassoState, n_iter: int
) -> LassoState:
    """The iterate that is done, or has the lower objective, or the smaller gap where rounding
    hides that."""
    active = state.gap > problem.tol
    rounding = 16 * torch.finfo(state.objective.dtype).eps * state.objective
    lower = trial.objective < state.objective - rounding
    equal = trial.objective <= state.objective + rounding
    better = (trial.gap <= problem.tol) | lower | (equal & (trial.gap < state.gap))
    return replace(choose(active & better, trial, state), n_iter=state.n_iter + n_iter * active)


def _newton_step(problem: MultitaskProblem, state: LassoState) -> Tensor:
    """Zero of the stationarity equations linearised about a proximal step from the iterate.

    Each variable alone would go to v (1 - alpha/||v||)_+ / G_jj with v = g_j + G_jj W_j. On those
    that this leaves in use, with directions u = v/||v|| and curvatures
    c = alpha G_jj / (||v|| - alpha): (G W)_j + c_j (W_j - u_j u_j'W_j) = Q_j - alpha u_j.
    """
    diagonal, alpha = problem.gram.diagonal(dim1=-2, dim2=-1), problem.alpha[:, None]
    moved, norm = _proximal_step(problem, state)
    support = norm > alpha
    direction = moved / torch.where(support, norm, 1.0)[..., None]
    curvature = alpha * diagonal / torch.where(support, norm - alpha, 1.0)
    return _stationary(problem, support, direction, curvature)


def _newton_step_on(problem: MultitaskProblem, coef: Tensor) -> Tensor:
    """Newton step of the objective on the variables in use."""
    norm = vector_norm(coef, dim=-1)
    support = norm > 0
    length = torch.where(support, norm, 1.0)
    return _stationary(problem, support, coef / length[..., None], problem.alpha[:, None] / length)


def _stationary(
    problem: MultitaskProblem, support: Tensor, direction: Tensor, curvature: Tensor
) -> Tensor:
    factor = factor_blocks(problem.gram, support, direction, curvature)
    rhs = problem.corr - problem.alpha[:, None, None] * direction
    return factor.solve(rhs, least_norm=False)


def _proximal_step(problem: MultitaskProblem, state: LassoState) -> tuple[Tensor, Tensor]:
    """What each variable alone would shrink, v = g_j + G_jj W_j, and its norm."""
    diagonal = problem.gram.diagonal(dim1=-2, dim2=-1)
    moved = torch.addcmul(state.gradient, state.coef, diagonal[..., None])
    return moved, vector_norm(moved, dim=-1)


def _sweep(problem: MultitaskProblem, start: Tensor, gradient: Tensor) -> Tensor:
    """Block coordinate descent, all problems at once, in units of alpha / G_jj."""
    diagonal, alpha = problem.gram.diagonal(dim1=-2, dim2=-1), problem.alpha[:, None]
    # a zero feature has the gradient zero, and stays at zero
    inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
    rows = (problem.gram * inverse[..., None])[..., None, :].unbind(-3)
    coef = list((start * (diagonal / alpha)[..., None]).unbind(1))
    # variables last, as in the rows
    gradient = (gradient / alpha[..., None]).mT.contiguous()
    columns = gradient.unbind(2)
    for _ in range(SWEEPS):
        for j, old in enumerate(coef):
            moved = columns[j] + old
            norm = vector_norm(moved, dim=-1, keepdim=True)
            coef[j] = moved * (1 - norm.reciprocal_()).clamp_min_(0)
            gradient.addcmul_(rows[j], (old - coef[j])[..., None])
    return torch.stack(coef, 1) * (inverse * alpha)[..., None]
