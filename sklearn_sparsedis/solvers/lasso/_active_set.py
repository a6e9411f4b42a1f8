"""The active-set method for batches of Lasso problems."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import softshrink

from sklearn_sparsedis.functional import solve_support
from sklearn_sparsedis.functional._near_copies import rounded_gap
from sklearn_sparsedis.functional._support import (
    RegularFactor,
    SupportFactor,
    cached_parts,
    factor_regular,
    factor_support,
)
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._parts import solve_each_part
from sklearn_sparsedis.solvers.lasso._feature_sign import (
    SignState,
    feature_sign_search,
    feature_sign_steps,
)
from sklearn_sparsedis.solvers.lasso._state import LassoProblem, LassoState, choose, evaluate

__all__ = ["Factor", "newton_step", "solve_in_parts", "sweep"]

Factor = RegularFactor | SupportFactor

# plain Newton steps before those that must lower the objective, on the CPU and with no more
# variables than this: larger systems are worth gathering
PLAIN_STEPS = 3
PLAIN_VARIABLES = 32
# one block of iterations: coordinate sweeps, then Newton steps, then one look at the gaps
SWEEPS = 8
NEWTON_STEPS = 3
# steps of feature-sign search between two looks at the gaps
SEARCH_STEPS = 8
# and most steps of that of small problems, in units of their variables
SEARCHED = 4
# errors of a gradient, in units of rounding
ROUNDING = 1e3


def solve_in_parts(
    problem: LassoProblem, start: Tensor | None, tol: float, max_iter: int
) -> tuple[LassoState, Factor | None]:
    """Solve, on the CPU as many problems at a time as have Gram matrices that fit its cache.

    Where memory does not suffice for a part, its half is tried.

    Parameters
    ----------
    problem : LassoProblem
        With alpha > 0.
    start : Tensor of shape (T, m), optional
    tol : float
        Relative duality gap; supports are decided whatever it is, as far as rounding allows.
    max_iter : int
        Limit on sweeps and Newton steps together.

    Returns
    -------
    state : LassoState
    factor : RegularFactor, SupportFactor or None
        Of the systems on the supports, if Newton steps were enough everywhere.
    """
    n_problems = len(problem.corr)

    def solve(part: slice) -> tuple[LassoState, Factor | None]:
        if part == slice(0, n_problems):
            return _solve(problem, start, tol, max_iter)
        some = None if start is None else start[part]
        return _solve(problem.part(part), some, tol, max_iter)[0], None

    solved = solve_each_part(solve, cached_parts(problem.corr))
    if len(solved) == 1:
        return solved[0]
    columns = zip(*(vars(state).values() for state, _ in solved), strict=True)
    return LassoState(*(torch.cat(values) for values in columns)), None


def _solve(
    problem: LassoProblem, start: Tensor | None, tol: float, max_iter: int
) -> tuple[LassoState, Factor | None]:
    if not max_iter:
        coef = torch.zeros_like(problem.corr) if start is None else start
        return evaluate(problem, coef, _count(problem, 0)), None
    if problem.corr.device.type == "cpu" and problem.corr.shape[1] <= PLAIN_VARIABLES:
        n_iter = 0
        if start is None:
            start = sweep(problem, torch.zeros_like(problem.corr), problem.corr)
            n_iter = SWEEPS
        n_steps = min(PLAIN_STEPS, max_iter)
        return _solve_plainly(problem, start, start, n_iter, tol, max_iter, n_steps)
    return _solve_safely(problem, start, _count(problem, 0), tol, max_iter)


def _count(problem: LassoProblem, n_iter: int) -> Tensor:
    """Iterations that all problems have had."""
    device = problem.corr.device
    return torch.full((len(problem.corr),), n_iter, dtype=torch.int64, device=device)


def _solve_plainly(
    problem: LassoProblem,
    start: Tensor,
    first: Tensor,
    n_iter: int,
    tol: float,
    max_iter: int,
    n_steps: int,
) -> tuple[LassoState, Factor | None]:
    """Plain Newton steps, each of the problems that are left, whose start was `first`.

    The time of small problems goes by the number of kernels. A training step starts at the solution
    of the last one: for most problems one step is enough, for a few two. Of others `first` is
    nearer to the solution than where the steps led.
    """
    if not n_steps:
        return _search_plainly(problem, start, first, n_iter, tol, max_iter)
    support, rhs = _guess(problem, start, problem.gradient(start))
    factor, regular = factor_regular(problem.gram, support)
    trial = evaluate(problem, factor.solve(rhs), _count(problem, n_iter + 1))
    left = _left(problem, trial, tol) | ~regular
    if not any_true(left):
        return trial, factor
    index = torch.nonzero(left)[:, 0]
    start = torch.where(regular[:, None], trial.coef, start)[index]
    rest, their_factor = _solve_plainly(
        problem.part(index), start, first[index], n_iter + 1, tol, max_iter - 1, n_steps - 1
    )
    return _together(trial, factor, index, rest, their_factor)


def _search_plainly(
    problem: LassoProblem, start: Tensor, first: Tensor, n_iter: int, tol: float, max_iter: int
) -> tuple[LassoState, Factor | None]:
    """Feature-sign search of small problems from `first`; for what it leaves, the safe way."""
    n_steps = min(SEARCHED * problem.corr.shape[1], max_iter)
    gram, corr, alpha = (x.numpy() for x in (problem.gram, problem.corr, problem.alpha))
    coef, spent = feature_sign_search(gram, corr, alpha, first.numpy(), n_steps)
    trial = evaluate(problem, torch.from_numpy(coef), _count(problem, n_iter + spent))
    factor, regular = factor_regular(problem.gram, trial.coef != 0)
    left = _left(problem, trial, tol) | ~regular
    if not any_true(left):
        return trial, factor
    index = torch.nonzero(left)[:, 0]
    count = _count(problem, n_iter)[index]
    rest, their_factor = _solve_safely(problem.part(index), start[index], count, tol, max_iter)
    return _together(trial, factor, index, rest, their_factor)


def _together(
    state: LassoState,
    factor: RegularFactor,
    index: Tensor,
    rest: LassoState,
    their_factor: Factor | None,
) -> tuple[LassoState, Factor | None]:
    """Solutions of all problems, of which those at an index were solved later."""
    state.put_(index, rest)
    if not isinstance(their_factor, RegularFactor):
        return state, None
    factor.put_(index, their_factor)
    return state, factor


def _solve_safely(
    problem: LassoProblem, start: Tensor | None, n_iter: Tensor, tol: float, max_iter: int
) -> tuple[LassoState, Factor | None]:
    """Newton steps that must lower the objective, sweeps, and in the end feature-sign search."""
    n_iter, spent = (n_iter + SWEEPS, SWEEPS) if start is None else (n_iter, 0)
    start, coef, factor = _first_block(problem, start)
    trial = evaluate(problem, coef, n_iter + 1)
    if not any_true(_left(problem, trial, tol)):
        return trial, factor
    state = _better(evaluate(problem, start, n_iter), trial, tol, 1)
    state = _newton_steps(problem, state, trial, tol, NEWTON_STEPS)
    spent += 1 + NEWTON_STEPS
    active, blocks = _left(problem, state, tol), 1
    while spent < max_iter and any_true(active):
        step = SEARCHES.get(blocks, _block)
        new = _on_active(step, problem, state, active, tol)
        spent += NEWTON_STEPS + SWEEPS
        blocks += 1
        active = active & _left(problem, new, tol)
        if blocks > max(SEARCHES):  # a block that changed nothing would never change anything
            active = active & ((new.gap != state.gap) | (new.objective != state.objective))
        state = new
    return state, None


def _left(problem: LassoProblem, state: LassoState, tol: float) -> Tensor:
    """Problems whose gap is open, or whose support is not that of the solution.

    The gradient of the solution rests on the support, and where near copies share a weight the gap
    closes long before it is known: it is where the conditions of optimality hold up to rounding.
    A gap of rounding says as much, because it grows as fast as what violates them.
    """
    exact = rounded_gap(state.gap.dtype)
    left = ~(state.gap <= min(tol, exact))
    if tol <= exact or (left.device.type == "cpu" and not any_true(left)):
        return left
    alpha, sign = problem.alpha[:, None], state.coef.sign()
    excess = (state.gradient - alpha * sign).abs() - alpha * (sign == 0)
    rounding = ROUNDING * torch.finfo(state.gap.dtype).eps * problem.corr.abs().amax(-1)
    return left & ~((state.gap <= tol) & (excess.amax(-1) <= rounding))


def _on_active(
    step: Callable[..., LassoState],
    problem: LassoProblem,
    state: LassoState,
    active: Tensor,
    tol: float,
) -> LassoState:
    """One block of iterations; on the CPU, only of the problems that are not done."""
    if active.device.type != "cpu" or not any_true(~active):
        return step(problem, state, tol)
    index = torch.nonzero(active)[:, 0]
    return state.put(index, step(problem.part(index), state.part(index), tol))


def _first_block(
    problem: LassoProblem, start: Tensor | None
) -> tuple[Tensor, Tensor, SupportFactor]:
    """Sweeps from zero, or the start given, and what a Newton step makes of that.

    Every problem takes the step: it makes a start that is good enough exact, and with it the
    gradient of the solution.
    """
    if start is None:
        start = sweep(problem, torch.zeros_like(problem.corr), problem.corr)
    coef, factor = newton_step(problem, start, problem.gradient(start))
    return start, coef, factor


def _block(problem: LassoProblem, state: LassoState, tol: float) -> LassoState:
    """Sweeps and Newton steps."""
    swept = evaluate(problem, sweep(problem, state.coef, state.gradient), state.n_iter)
    state = _better(state, swept, tol, SWEEPS)
    # where sweeps were enough, too: the step makes the solution exact
    coef, _ = newton_step(problem, state.coef, state.gradient)
    trial = evaluate(problem, coef, state.n_iter)
    return _newton_steps(problem, _better(state, trial, tol, 1), trial, tol, NEWTON_STEPS - 1)


def _newton_steps(
    problem: LassoProblem, state: LassoState, trial: LassoState, tol: float, n_steps: int
) -> LassoState:
    """Newton steps from `trial`, each kept in `state` where it is better."""
    if not n_steps:
        return state
    if state.gap.device.type == "cpu":  # leave out what is done, by a Newton step if it can be
        active = _left(problem, state, tol) | _left(problem, trial, tol)
        if any_true(~active):
            index = torch.nonzero(active)[:, 0]
            if not len(index):
                return state
            left, trial = state.part(index), trial.part(index)
            return state.put(index, _newton_steps(problem.part(index), left, trial, tol, n_steps))
    coef, _ = newton_step(problem, trial.coef, trial.gradient)
    trial = evaluate(problem, coef, state.n_iter)
    return _newton_steps(problem, _better(state, trial, tol, 1), trial, tol, n_steps - 1)


def _search(problem: LassoProblem, state: LassoState, tol: float) -> LassoState:
    """Feature-sign search, from the iterate."""
    unknown = torch.zeros_like(state.gap, dtype=torch.bool)
    search = SignState(state.coef, state.coef.sign(), unknown)
    return _search_steps(problem, state, search, tol, 2 * state.coef.shape[1])


def _search_from_zero(problem: LassoProblem, state: LassoState, tol: float) -> LassoState:
    """Feature-sign search from zero, where rounding stopped the one from the iterate."""
    zeros = torch.zeros_like(state.coef)
    search = SignState(zeros, zeros, torch.ones_like(state.gap, dtype=torch.bool))
    return _search_steps(problem, state, search, tol, 2 * state.coef.shape[1])


def _search_steps(
    problem: LassoProblem, state: LassoState, search: SignState, tol: float, n_steps: int
) -> LassoState:
    if n_steps <= 0:
        return state
    if state.gap.device.type == "cpu":  # leave out what is done
        active = _left(problem, state, tol)
        if any_true(~active):
            index = torch.nonzero(active)[:, 0]
            if not len(index):
                return state
            left, search = state.part(index), SignState(*(x[index] for x in search))
            return state.put(index, _search_steps(problem.part(index), left, search, tol, n_steps))
    some = max(SEARCH_STEPS, state.coef.shape[1] // 8)
    search = feature_sign_steps(problem.gram, problem.corr, problem.alpha, search, some)
    state = _better(state, evaluate(problem, search.coef, state.n_iter), tol, some)
    return _search_steps(problem, state, search, tol, n_steps - some)


def _better(state: LassoState, trial: LassoState, tol: float, n_iter: int | Tensor) -> LassoState:
    """The iterate with the lower objective; the smaller gap decides where rounding hides that."""
    rounding = 16 * torch.finfo(state.objective.dtype).eps * state.objective
    lower = trial.objective < state.objective - rounding
    equal = trial.objective <= state.objective + rounding
    count = state.n_iter + n_iter * (state.gap > tol)
    return replace(choose(lower | (equal & (trial.gap < state.gap)), trial, state), n_iter=count)


def newton_step(
    problem: LassoProblem, coef: Tensor, gradient: Tensor
) -> tuple[Tensor, SupportFactor]:
    """Stationary point on the support and signs that a proximal step from here would give."""
    support, rhs = _guess(problem, coef, gradient)
    factor = factor_support(problem.gram, support)
    return solve_support(factor, rhs, coef), factor


def _guess(problem: LassoProblem, coef: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Support after a proximal step, and right-hand side of its stationarity equations."""
    step = torch.addcmul(gradient, coef, problem.gram.diagonal(dim1=-2, dim2=-1))
    support = step.abs() > problem.alpha[:, None]
    return support, torch.addcmul(problem.corr, problem.alpha[:, None], step.sign(), value=-1)


def sweep(problem: LassoProblem, start: Tensor, gradient: Tensor) -> Tensor:
    """Coordinate descent, all problems at once.

    Variables are counted in units of alpha / G_jj, so that a coordinate takes four kernels.
    """
    diagonal, alpha = problem.gram.diagonal(dim1=-2, dim2=-1), problem.alpha[:, None]
    # a zero feature has the gradient zero, and stays at zero
    inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
    rows = (problem.gram * inverse[..., None]).unbind(-2)
    coef = list((start * diagonal / alpha).split(1, 1))
    gradient = gradient / alpha
    columns = gradient.split(1, 1)
    for _ in range(SWEEPS):
        for j, old in enumerate(coef):
            coef[j] = softshrink(columns[j] + old, 1.0)
            gradient.addcmul_(rows[j], old - coef[j])
    return torch.cat(coef, 1) * inverse * alpha


# after so many blocks, the problems left are those where Newton steps run into ever new supports
SEARCHES = {2: _search, 4: _search_from_zero}
