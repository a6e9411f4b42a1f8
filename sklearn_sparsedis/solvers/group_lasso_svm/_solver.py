"""Group-Lasso multiclass SVM, solved in its dual or, for many samples, in its coefficients."""

from dataclasses import replace

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.group_lasso_svm._dual import solve_in_dual
from sklearn_sparsedis.solvers.group_lasso_svm._features import is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._lagrangian import Outcome, augmented_lagrangian
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
# Elements of the Gram matrices of all classes up to which wide problems may be solved in their dual
_WIDE_ELEMENTS = 2**25


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
    beside F, of which a seventh may be copied. Where its gap stays open with more dense features
    in use than samples, as under a weak penalty, the interior-point method takes over, with
    conjugate gradients above n (k-1) = 1000; it holds F in float64 and k Gram matrices of order n.

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
            solve_in_dual(
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
        outcomes.append(_solve_one(problems, index, tol, max_iter, start))
    return Solved.of(outcomes)


def _solve_one(
    problems: Problems,
    index: int,
    tol: float,
    max_iter: int,
    start: tuple[Tensor | None, Tensor | None],
) -> Outcome:
    """Solve a problem of many samples, in its dual where steps in its coefficients do not help.

    With more features in use than samples and a weak penalty most entries of Lambda may be nonzero
    and the minimiser of each augmented Lagrangian close to many kinks, between which its steps are
    short. There interior points take some ten iterations.
    """
    problem = problems.of_many_samples(index)
    n, k = problem.Y.shape
    wide = problem.features.shape[1] >= n and k * n**2 <= _WIDE_ELEMENTS
    outcome = augmented_lagrangian(
        problem, tol, max_iter, *start, trial=wide and not is_sparse(problems.F)
    )
    if not outcome.hopeless:
        return outcome
    inner = problems.scaled(slice(index, index + 1))
    solved = solve_in_dual(inner, tol, max_iter - outcome.n_iter, None)
    found = solved.outcome(outcome.n_iter)
    if found.gap <= tol or found.n_iter >= max_iter:
        return min(found, outcome, key=lambda x: x.gap)
    rest = augmented_lagrangian(problem, tol, max_iter - found.n_iter, found.dual, found.coef)
    return replace(rest, n_iter=found.n_iter + rest.n_iter)


def chunk_size(problems: Problems) -> int:
    """Problems that fit in the working memory at once."""
    _, n, m = problems.F.shape
    order = n * (problems.Y.shape[-1] - 1)
    element = problems.rows.element_size()
    per_problem = element * (4 * n * m + order * max(order, 1024)) + 40 * order**2
    limit = _CHUNK_BYTES.get(problems.F.device.type, _DEVICE_CHUNK_BYTES)
    return max(1, limit // per_problem)
