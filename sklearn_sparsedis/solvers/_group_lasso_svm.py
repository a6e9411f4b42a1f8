"""Group-Lasso multiclass SVM, solved in its small dual."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional import any_true, project_simplex
from sklearn_sparsedis.solvers._group_lasso_svm_interior import (
    finish_on_face,
    initial_state,
    interior_point,
    start_on_segment,
)
from sklearn_sparsedis.solvers._group_lasso_svm_system import Problem, evaluate
from sklearn_sparsedis.solvers._result import SolveResult

# Working memory that a chunk of the batch may take
_CHUNK_BYTES = 2**29
# The interior method hands over to the active set at this gap and resumes where that falls short
_HANDOVER = 1e-6
_FACE_STEPS = 3


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
        Features, float32 or float64.
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
        Largest number of interior-point iterations a problem may take.
    dual_init : Tensor of shape (*batch, n, k), or None
        Dual point to start near, for instance the solution at a neighbouring `group_reg`.

    Returns
    -------
    SolveResult
        `coef` (*batch, m, k), `dual_coef` (*batch, n, k) and the certificates, (*batch,).

    Raises
    ------
    TypeError
        If F is not floating point or y not an integer tensor.
    ValueError
        If shapes disagree, k < 2, a label is outside [0, k) or a parameter outside its domain.

    Notes
    -----
    A primal-dual interior-point method in the dual, then Newton steps on the face of nonzero Lambda
    once the gap is small; these give exact zeros and usually the solution to machine precision. An
    iteration costs O((n k)^2 p) for p used features, and a Cholesky factorisation of order
    n (k-1). Memory is O(n m + (n k)^2) a problem; large batches are worked in chunks. Lambda and
    the Newton systems are kept in float64 where the device has it, products with F in F's dtype.
    Nothing is recorded for autograd: see `implicit.group_lasso_svm`.

    References
    ----------
    Lachapelle, Deleu, Mahajan, Mitliagkas, Bengio, Lacoste-Julien, Bertrand, "Synergies between
    Disentanglement and Sparsity: Generalization and Identifiability in Multi-Task Learning",
    ICML 2023, arXiv 2211.14666.
    """
    with torch.no_grad():
        problem, scale, batch = _scaled_problem(
            F, y, group_reg, l2_reg, n_classes, feature_weight, sample_weight
        )
        if not tol > 0:
            raise ValueError(f"tol must be positive, got {tol}")
        init = None
        if dual_init is not None:
            expected = F.shape[:-1] + problem.Y.shape[-1:]
            if dual_init.shape != expected:
                raise ValueError(
                    f"dual_init must have shape {tuple(expected)}, got {tuple(dual_init.shape)}"
                )
            init = dual_init.detach().to(problem.Y.dtype).reshape(problem.Y.shape)
        b = problem.F.shape[0]
        size = _chunk_size(problem)
        parts = []
        for start in range(0, b, size):
            chunk = slice(start, start + size)
            parts.append(
                _solve(problem.select(chunk), tol, max_iter, None if init is None else init[chunk])
            )
        coef, dual, objective, gap, n_iter = (torch.cat(x) for x in zip(*parts, strict=True))
        coef = coef * scale[:, None, None]
        dtype = F.dtype
        return SolveResult(
            coef=coef.reshape(*batch, *coef.shape[1:]),
            objective=objective.to(dtype).reshape(batch),
            gap=gap.to(dtype).reshape(batch),
            n_iter=n_iter.reshape(batch),
            converged=(gap <= tol).reshape(batch),
            dual_coef=dual.to(dtype).reshape(*batch, *dual.shape[1:]),
        )


def _solve(
    problem: Problem, tol: float, max_iter: int, init: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Coefficients of the scaled problem, Lambda, objective, gap and iterations."""
    dual = start_on_segment(problem)
    if init is not None:
        dual = 0.98 * project_simplex(init) + 0.02 * dual
    state = initial_state(problem, dual)
    for level in sorted({max(tol, _HANDOVER), tol}, reverse=True):
        interior_point(problem, state, level, max_iter)
        finish_on_face(problem, state, _FACE_STEPS)
    point = evaluate(problem, state.best)
    coef = point.V * point.shrink.unsqueeze(-1)
    return coef, state.best, point.primal, state.gap, state.n_iter


def _scaled_problem(
    F: Tensor,
    y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    n_classes: int | None,
    feature_weight: Tensor | None,
    sample_weight: Tensor | None,
) -> tuple[Problem, Tensor, torch.Size]:
    """Problem with one batch dimension, unit lambda_2 and unit sample weights.

    Returns
    -------
    problem : Problem
        The problem.
    scale : Tensor of shape (b,)
        Its coefficients times this are those of the original.
    batch : torch.Size
        Batch dimensions.
    """
    if not F.is_floating_point():
        raise TypeError(f"F must be a floating-point tensor, got {F.dtype}")
    if y.is_floating_point() or y.dtype == torch.bool:
        raise TypeError(f"y must be an integer tensor of labels, got {y.dtype}")
    if F.ndim < 2 or y.shape != F.shape[:-1]:
        raise ValueError(
            "F must have shape (*batch, n, m) and y (*batch, n), "
            f"got {tuple(F.shape)} and {tuple(y.shape)}"
        )
    batch, n, m = F.shape[:-2], F.shape[-2], F.shape[-1]
    k = int(y.max()) + 1 if n_classes is None else n_classes
    if k < 2:
        raise ValueError(f"at least two classes are needed, got n_classes={k}")
    F = F.detach()
    options = {"dtype": F.dtype, "device": F.device}
    l1, l2 = (torch.as_tensor(v, **options).detach() for v in (group_reg, l2_reg))
    omega = torch.ones(m, **options) if feature_weight is None else feature_weight.to(**options)
    c = torch.ones(n, **options) if sample_weight is None else sample_weight.detach().to(**options)
    _check_domains(y, k, l1, l2, omega, c)

    wide = torch.float64 if F.device.type != "mps" else F.dtype
    b = batch.numel()
    scale = l2.expand(batch).reshape(b).rsqrt()
    c = c.expand(*batch, n).reshape(b, n, 1)
    scaled = F.reshape(b, n, m) * (c * scale[:, None, None])
    threshold = (l1.unsqueeze(-1) * omega.detach()).expand(*batch, m).reshape(b, m)
    labels = torch.arange(k, device=y.device)
    Y = (y.reshape(b, n, 1) == labels).to(wide)
    problem = Problem(
        F=scaled,
        Ft=scaled.mT.contiguous(),
        Y=Y,
        c=c.to(wide),
        tau=threshold * scale.unsqueeze(-1),
    )
    return problem, scale, batch


def _check_domains(y: Tensor, k: int, l1: Tensor, l2: Tensor, omega: Tensor, c: Tensor) -> None:
    """Raise a ValueError for the first argument outside its domain (one synchronisation)."""
    wrong = {
        f"y must hold labels in [0, {k})": (y < 0) | (y >= k),
        "group_reg must be nonnegative": ~(l1 >= 0),
        "l2_reg must be positive": ~(l2 > 0),
        "feature_weight must be nonnegative": ~(omega >= 0),
        "sample_weight must be nonnegative": ~(c >= 0),
    }
    flags = torch.stack([mask.any() for mask in wrong.values()])
    if not any_true(flags):
        return
    for message, flag in zip(wrong, flags, strict=True):
        if any_true(flag):
            raise ValueError(message)


def _chunk_size(problem: Problem) -> int:
    """Problems solved at once within the working memory."""
    _, n, m = problem.F.shape
    order = n * (problem.Y.shape[-1] - 1)
    per_problem = problem.F.element_size() * (4 * n * m + order * max(order, 1024)) + 40 * order**2
    return max(1, _CHUNK_BYTES // per_problem)
