"""The group-Lasso SVM's dual, by interior points and on the face where they end."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional._simplex import project_simplex
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    in_numpy,
    is_numpy,
    lengths,
    on_host,
    shrinkage,
    to_torch,
    where,
)
from sklearn_sparsedis.solvers.group_lasso_svm._conic import conic_interior_point
from sklearn_sparsedis.solvers.group_lasso_svm._face import (
    BEYOND,
    EXACT,
    coefficients_on_face,
    finish_on_face,
)
from sklearn_sparsedis.solvers.group_lasso_svm._interior import (
    State,
    gap_of_rows,
    initial_state,
    interior_point,
    start_on_segment,
)
from sklearn_sparsedis.solvers.group_lasso_svm._problem import (
    TOUCHING,
    GramProblem,
    Problem,
    certify,
    gap_at_zero,
    relative,
)
from sklearn_sparsedis.solvers.group_lasso_svm._solved import Solved

# The interior method hands over to the active set at these gaps, and resumes where that falls short
_HANDOVERS = (1e-3, 1e-6, 1e-9, 0.0)
_FACE_STEPS = 6
# A device, which does not ask whether steps on the face help, hands over late and takes few
_DEVICE_HANDOVERS, _DEVICE_FACE_STEPS = (1e-6, 1e-9, 0.0), 2
# Iterations in which a problem may get to the first of them by coarse steps
_COARSE_ITERATIONS = 15
_STIFF_FACE_STEPS = 6
# Order of systems up to which the conic method, which factors them, is worth its time
_STIFF_ORDER = 3000
# Gap at which the conic method, whose last digits are the hardest, hands over
_STIFF_HANDOVER = 1e-8
# Iterations after which the plain method gives way to the conic one
_PLAIN_ITERATIONS = 40


def solve_in_dual(problem: Problem, tol: float, max_iter: int, init: Tensor | None) -> Solved:
    """Solve by the method in Lambda alone, and over cones what it leaves.

    Parameters
    ----------
    problem : Problem
        The problems.
    tol, max_iter
        As in `solve_group_lasso_svm`.
    init : Tensor of shape (b, n, k), or None
        Dual point to start near.
    """
    with in_numpy(problem, problem.small) as light:
        solved, start = _solve_plainly(light, tol, max_iter, init)
    failed = solved.gap > tol
    if problem.order > _STIFF_ORDER or not any_true(failed):
        return solved
    everything = torch.arange(failed.shape[0], device=failed.device)
    index = everything[failed] if failed.device.type == "cpu" else everything
    return _solve_stiff(problem.select(index), start[index], tol, max_iter, solved, index)


def _solve_plainly(
    problem: Problem, tol: float, max_iter: int, init: Tensor | None
) -> tuple[Solved, Tensor]:
    """Solve by the method in Lambda alone; also return where it started."""
    thresholds = any_true(problem.tau > 0)
    inner = problem if thresholds else GramProblem(problem)
    start = start_on_segment(inner)
    if init is not None:
        init = project_simplex(init)
        start = 0.98 * (init.numpy() if is_numpy(start) else init) + 0.02 * start
    state = initial_state(inner, start)
    enough = max(EXACT, BEYOND * tol)
    host = on_host(start)
    handovers = _HANDOVERS if host else _DEVICE_HANDOVERS
    n_steps = _FACE_STEPS if host else _DEVICE_FACE_STEPS
    levels = sorted({max(tol, level) for level in handovers}, reverse=True)
    for coarse, level in [(True, levels[0])] * (thresholds and not problem.large) + [
        (False, level) for level in levels
    ]:
        most = _COARSE_ITERATIONS if coarse else _PLAIN_ITERATIONS
        interior_point(inner, state, level, min(max_iter, most), coarse=coarse)
        if host or not coarse:
            finish_on_face(inner, state, enough, n_steps, coarse=coarse)
        if host and not any_true(state.gap > enough):
            break
    return Solved(*map(to_torch, vars(_solved(problem, state)).values())), to_torch(start)


def _solve_stiff(
    problem: Problem, start: Tensor, tol: float, max_iter: int, solved: Solved, index: Tensor
) -> Solved:
    """Solve again over cones what the plain method left, the problems at `index` of `solved`."""
    parts = dict(vars(solved))
    enough = max(EXACT, BEYOND * tol)
    for level in sorted({max(tol, _STIFF_HANDOVER), tol}, reverse=True):
        state, coef = conic_interior_point(problem, start, level, max_iter)
        pair = _solved(problem, state, coef)
        # on the face the gap of Lambda's own coefficients counts, not that of the pair
        face = replace(state, gap=torch.full_like(state.gap, torch.inf))
        finish_on_face(problem, face, enough, _STIFF_FACE_STEPS)
        finished = _solved(problem, face, coefficients_on_face(problem, face))
        n_iter = parts["n_iter"].index_add(0, index, state.n_iter)
        for other in (pair, finished):
            better = other.gap < parts["gap"][index]
            for name, value in vars(other).items():
                old = parts[name][index]
                mask = better.view(-1, *(1,) * (value.ndim - 1))
                parts[name] = parts[name].index_copy(0, index, torch.where(mask, value, old))
        parts["n_iter"] = n_iter
        if not any_true(parts["gap"] > tol):
            break
    return Solved(**parts)


def _solved(problem: Problem, state: State, coef: Array | None = None) -> Solved:
    """Solution at the best dual point, certified afresh."""
    V = problem.image(problem.Y - state.best)
    norm = lengths(V)
    if coef is None:
        coef = V * shrinkage(norm, TOUCHING * problem.tau)[..., None]
    scores = problem.F @ coef
    primal, gap = certify(problem, coef, scores, state.best, norm)
    # where zero does as well, by gaps without cancellation, all else has come from rounding
    loss = problem.c.sum((-1, -2))
    at_zero = gap_at_zero(problem, state.best, norm)
    zero = at_zero <= gap_of_rows(problem.c * problem.Y - scores, state.best)
    coef = where(zero[:, None, None], 0, coef)
    primal = where(zero, loss, primal)
    gap = where(zero, relative(at_zero, loss, problem.c), gap)
    return Solved(coef, state.best, state.free, primal, gap, state.n_iter)
