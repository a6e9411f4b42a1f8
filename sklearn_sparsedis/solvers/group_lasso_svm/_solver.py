"""Group-Lasso multiclass SVM, solved in its dual or, for many samples, in its coefficients."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional._simplex import project_simplex
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._result import SolveResult
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
from sklearn_sparsedis.solvers.group_lasso_svm._features import is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._interior import (
    State,
    gap_of_rows,
    initial_state,
    interior_point,
    start_on_segment,
)
from sklearn_sparsedis.solvers.group_lasso_svm._lagrangian import augmented_lagrangian
from sklearn_sparsedis.solvers.group_lasso_svm._problem import (
    TOUCHING,
    GramProblem,
    Problem,
    certify,
    gap_at_zero,
    relative,
)
from sklearn_sparsedis.solvers.group_lasso_svm._scaling import (
    DUAL_ORDER,
    Problems,
    scale_problem,
)
from sklearn_sparsedis.solvers.group_lasso_svm._solved import Solved

# Working memory that a chunk of the batch may take. On a CPU small chunks stay in its cache and
# each stops when it is solved; an accelerator wants much to do at once
_CHUNK_BYTES = {"cpu": 2**24}
_DEVICE_CHUNK_BYTES = 2**30
# The interior method hands over to the active set at these gaps, and resumes where that falls short
_HANDOVERS = (1e-3, 1e-6, 1e-9, 0.0)
_FACE_STEPS = 6
# A device, which does not ask whether steps on the face help, hands over late and takes few
_DEVICE_HANDOVERS, _DEVICE_FACE_STEPS = (1e-6, 1e-9, 0.0), 2
# Iterations in which a problem may get to the first of them by coarse steps
_COARSE_ITERATIONS = 15
_STIFF_FACE_STEPS = 6
# Gap at which the conic method, whose last digits are the hardest, hands over
_STIFF_HANDOVER = 1e-8
# Iterations after which the plain method gives way to the conic one
_PLAIN_ITERATIONS = 40


def solve_group_lasso_svm(
    F: Tensor,
    y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    *,
    n_classes: int | None = None,
    feature_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    tol: float = 1e-8,
    max_iter: int = 100,
    dual_init: Tensor | None = None,
    coef_init: Tensor | None = None,
    fit_intercept: bool = False,
) -> SolveResult:
    r"""Solve a batch of group-Lasso multiclass SVMs.

    .. math::
        \min_W \sum_i c_i \max_l [1 - Y_{il} + (W_l - W_{y_i}) \cdot F_i]
        + \lambda_1 \sum_j \omega_j \|W_{j:}\|_2 + \tfrac{\lambda_2}{2} \|W\|_F^2

    which is equation (2b) of Lachapelle et al. (2023) with weights. The dual has n k variables
    however many features there are; row i of Lambda lies in the probability simplex:

    .. math::
        \min_\Lambda \tfrac{1}{2 \lambda_2} \sum_j
        \|\mathrm{BST}((Y - \Lambda)^T C F_{:j}, \lambda_1 \omega_j)\|_2^2
        + \sum_i c_i \Lambda_{i y_i}

    Parameters
    ----------
    F : Tensor of shape (*batch, n, m)
        Features, float32 or float64; those of one problem may be in compressed sparse rows.
    y : Tensor of int, shape (*batch, n)
        Labels in [0, k).
    group_reg : Tensor broadcastable to (*batch,), or float
        Lambda_1 >= 0. Zero gives the Crammer-Singer SVM with C = 1 / l2_reg.
    l2_reg : Tensor broadcastable to (*batch,), or float
        Lambda_2 > 0.
    n_classes : int or None
        k, which may exceed the labels present; None takes the largest label plus one, which the
        host must read.
    feature_weight : Tensor broadcastable to (*batch, m), or None
        Omega >= 0; a weight of zero leaves a feature, such as a column of ones, out of the group
        penalty. None means ones.
    sample_weight : Tensor broadcastable to (*batch, n), or None
        c >= 0; rows of weight zero do not count, so that ragged problems can be padded. None means
        ones.
    tol : float
        Relative duality gap, as `SolveResult.gap`, at which a problem is solved.
    max_iter : int
        Largest number of interior-point iterations, or of Newton steps, a problem may take.
    dual_init : Tensor of shape (*batch, n, k), or None
        Dual point to start near, for instance the solution at a neighbouring `group_reg`.
    coef_init : Tensor of shape (*batch, m, k), or None
        Its coefficients, from which the method for many samples starts as well.
    fit_intercept : bool
        Whether there is a column of ones beside the features, which the group penalty leaves out
        and `l2_reg` does not.

    Returns
    -------
    SolveResult
        `coef` (*batch, m, k), `dual_coef` (*batch, n, k), the certificates, (*batch,), and where
        asked for `intercept` (*batch, k).

    Raises
    ------
    TypeError
        If F is not floating point or y not an integer tensor.
    ValueError
        If shapes disagree, k < 2, a label is outside [0, k) or a parameter outside its domain.

    Notes
    -----
    Up to n (k-1) = 500: a primal-dual interior-point method in the dual, then Newton steps on the
    face of nonzero Lambda once the gap is small; these give exact zeros and usually the solution to
    machine precision. An iteration costs O((n k)^2 p) for p used features, and a Cholesky
    factorisation of order n (k-1). Memory is O(n m + (n k)^2) a problem; large batches are worked
    in chunks. On a CPU all but the largest of them are handed to NumPy and LAPACK, whose calls cost
    less than PyTorch's.

    Above, or where F is sparse: an augmented Lagrangian method in W, one problem after the other. A
    step costs two products with F, and a Newton system of the samples whose Lambda is no vertex and
    of the used features, by conjugate gradients or in the smaller dual. Memory is O(n k + m k)
    beside F, of which a seventh may be copied.

    Lambda, W and the Newton systems are kept in float64 where the device has it, in the second
    method products with F in F's dtype.
    Nothing is recorded for autograd: see `implicit.group_lasso_svm`.

    References
    ----------
    Lachapelle, Deleu, Mahajan, Mitliagkas, Bengio, Lacoste-Julien, Bertrand, "Synergies between
    Disentanglement and Sparsity: Generalization and Identifiability in Multi-Task Learning",
    ICML 2023, arXiv 2211.14666.
    """
    with torch.no_grad():
        problems, scale, batch = scale_problem(
            F, y, group_reg, l2_reg, n_classes, feature_weight, sample_weight, ones=fit_intercept
        )
        solved = solve_scaled(problems, tol, max_iter, dual_init, coef_init)
        coef = (solved.coef * scale[:, None, None]).to(F.dtype)
        result = solved.result(coef[:, : F.shape[-1]], batch, tol)
        if not fit_intercept:
            return result
        return replace(result, intercept=coef[:, -1].reshape(*batch, -1))


def solve_scaled(
    problems: Problems,
    tol: float,
    max_iter: int,
    dual_init: Tensor | None,
    coef_init: Tensor | None = None,
) -> Solved:
    """Solve problems scaled, chunk by chunk in their dual or one by one.

    Parameters
    ----------
    problems : Problems
        The problems.
    tol, max_iter, dual_init, coef_init
        As in `solve_group_lasso_svm`.

    Returns
    -------
    Solved
        The solution, detached from autograd.
    """
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}")
    b, n, k = problems.Y.shape
    init = _start("dual_init", dual_init, (n, k), problems)
    if is_sparse(problems.F) or n * (k - 1) > DUAL_ORDER:
        coef = _start("coef_init", coef_init, (problems.F.shape[-1], k), problems)
        return _solve_each(problems, tol, max_iter, init, coef)
    size = chunk_size(problems)
    parts = []
    for start in range(0, b, size):
        chunk = slice(start, start + size)
        parts.append(
            _solve_chunk(
                problems.scaled(chunk), tol, max_iter, None if init is None else init[chunk]
            )
        )
    if len(parts) == 1:
        return parts[0]
    return Solved(*(torch.cat(x) for x in zip(*(vars(p).values() for p in parts), strict=True)))


def _start(
    name: str, given: Tensor | None, shape: tuple[int, int], problems: Problems
) -> Tensor | None:
    """Points to start from as (b, *shape)."""
    if given is None:
        return None
    b = len(problems.Y)
    if given.shape[-2:] != shape or given.numel() != b * shape[0] * shape[1]:
        raise ValueError(
            f"{name} must have the shape of the batch and {shape}, got {tuple(given.shape)}"
        )
    return given.detach().to(problems.Y.dtype).reshape(b, *shape)


def _solve_each(
    problems: Problems, tol: float, max_iter: int, dual: Tensor | None, coef: Tensor | None
) -> Solved:
    """Solve problems one by one by the method for many samples."""
    outcomes = []
    for index in range(len(problems.Y)):
        start = (
            None if dual is None else dual[index],
            None if coef is None else coef[index] / problems.scale[index],
        )
        problem = problems.of_many_samples(index)
        outcomes.append(augmented_lagrangian(problem, tol, max_iter, *start))
    return Solved.of(outcomes)


def _solve_chunk(problem: Problem, tol: float, max_iter: int, init: Tensor | None) -> Solved:
    with in_numpy(problem, problem.small) as light:
        solved, start = _solve_plainly(light, tol, max_iter, init)
    failed = solved.gap > tol
    if not any_true(failed):
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
    for coarse, level in [(True, levels[0])] * thresholds + [(False, level) for level in levels]:
        most = _COARSE_ITERATIONS if coarse else _PLAIN_ITERATIONS
        interior_point(inner, state, level, min(max_iter, most), coarse=coarse)
        if host or not coarse:
            finish_on_face(inner, state, enough, n_steps)
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
    primal, gap = certify(problem, coef, state.best, norm)
    # where zero does as well, by gaps without cancellation, all else has come from rounding
    loss = problem.c.sum((-1, -2))
    at_zero = gap_at_zero(problem, state.best, norm)
    zero = at_zero <= gap_of_rows(problem.c * problem.Y - problem.F @ coef, state.best)
    coef = where(zero[:, None, None], 0, coef)
    primal = where(zero, loss, primal)
    gap = where(zero, relative(at_zero, loss, problem.c), gap)
    return Solved(coef, state.best, state.free, primal, gap, state.n_iter)


def chunk_size(problems: Problems) -> int:
    """Problems that fit in the working memory at once."""
    _, n, m = problems.F.shape
    order = n * (problems.Y.shape[-1] - 1)
    element = problems.rows.element_size()
    per_problem = element * (4 * n * m + order * max(order, 1024)) + 40 * order**2
    limit = _CHUNK_BYTES.get(problems.F.device.type, _DEVICE_CHUNK_BYTES)
    return max(1, limit // per_problem)
