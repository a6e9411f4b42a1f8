"""Derivative of the group-Lasso multiclass SVM's solution."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import Array, in_numpy, to_torch, where
from sklearn_sparsedis.solvers.group_lasso_svm._features import is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._problem import Point, Problem
from sklearn_sparsedis.solvers.group_lasso_svm._scaling import Problems, scale_problem
from sklearn_sparsedis.solvers.group_lasso_svm._settle import Face, settle
from sklearn_sparsedis.solvers.group_lasso_svm._solved import Solved
from sklearn_sparsedis.solvers.group_lasso_svm._solver import chunk_size, solve_scaled


def group_lasso_svm(
    F: Tensor, y: Tensor, group_reg: Tensor | float, l2_reg: Tensor | float, **opts: Any
) -> Tensor:
    """Coefficients of group-Lasso SVMs as a differentiable function of their data.

    Parameters
    ----------
    F, y, group_reg, l2_reg
        As in `solvers.solve_group_lasso_svm`.
    **opts
        Its other arguments.

    Returns
    -------
    Tensor of shape (*batch, m, k)
        Coefficients; see `group_lasso_svm_result` for their certificates and the derivative's
        rules.
    """
    return group_lasso_svm_result(F, y, group_reg, l2_reg, **opts).coef


def group_lasso_svm_result(
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
    r"""Solve group-Lasso SVMs; the coefficients of the result are differentiable.

    At the solution the gradient of the dual objective is constant over the nonzero entries of each
    row of Lambda. With H the Hessian there, restricted to moves of those entries,

    .. math::
        \mathrm{d}\Lambda = -H^{-1} \mathrm{d}_\theta \nabla_\Lambda D, \qquad
        \mathrm{d}W_{j:} = \tfrac{1}{\lambda_2}
        \mathrm{d}\,\mathrm{BST}((Y - \Lambda)^T C F_{:j}, \lambda_1 \omega_j) + \dots

    for theta any of F, group_reg, l2_reg, feature_weight and sample_weight.

    Parameters
    ----------
    F, y, group_reg, l2_reg, n_classes, feature_weight, sample_weight, tol, max_iter, dual_init
        As in `solvers.solve_group_lasso_svm`. The derivative is that of the exact solution at any
        `tol` from which Newton's method finds the nonzero entries of Lambda; 1e-6 is enough for
        problems of ordinary scale.

    Returns
    -------
    SolveResult
        As from the solver, with `coef` attached to the graph of its float arguments.

    Raises
    ------
    TypeError, ValueError
        As the solver.

    Notes
    -----
    The backward pass costs one Hessian and one Cholesky factor, of the order of the nonzero entries
    of Lambda in excess of one a sample, whatever the number of iterations. Where the gap leaves
    open which entries are nonzero, it takes some more until the optimality conditions decide: on
    the face a Newton step keeps all of them positive, off it no slack is negative. It cannot be
    differentiated again.

    The solution has kinks, where one of its one-sided derivatives is returned: a feature with
    ``||V_j|| = lambda_1 omega_j`` counts as unused and an entry of Lambda that is zero counts as
    fixed. At ``group_reg = 0`` the derivative in it is the one-sided one. Where Lambda is not
    unique the smallest move is taken, which leaves the derivative of W unchanged.

    References
    ----------
    Lachapelle et al. (2023), "Synergies between Disentanglement and Sparsity", ICML, section 3.
    """
    if is_sparse(F):
        raise TypeError(
            f"F must be a dense tensor to be differentiated, got {F.layout}: pass F.to_dense()"
        )
    problems, scale, batch = scale_problem(
        F, y, group_reg, l2_reg, n_classes, feature_weight, sample_weight
    )
    with torch.no_grad():
        solved = solve_scaled(problems, tol, max_iter, dual_init)
    coef = _Coefficients.apply(*problems.tensors, solved)
    coef = (coef * scale[:, None, None]).to(F.dtype)
    return solved.result(coef, batch, tol)


class _Coefficients(torch.autograd.Function):
    """Coefficients of scaled problems, given their solution."""

    @staticmethod
    def forward(
        F: Tensor, rows: Tensor, Y: Tensor, c: Tensor, tau: Tensor, solved: Solved
    ) -> Tensor:
        return solved.coef.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *problems, solved = inputs
        ctx.save_for_backward(*problems, solved.coef, solved.dual, solved.free)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coef_grad: Tensor) -> tuple[Tensor | None, ...]:
        F, rows, Y, c, tau, coef, dual, free = ctx.saved_tensors
        problems = Problems(F, rows, Y, c, tau, rows)
        size = chunk_size(problems)
        parts = []
        for start in range(0, F.shape[0], size):
            chunk = slice(start, start + size)
            solution = Face(dual[chunk], free[chunk], coef[chunk])
            scaled_grad, *grads = _pull_back(problems.scaled(chunk), solution, coef_grad[chunk])
            F_grad = (scaled_grad * rows[chunk]).to(F.dtype)
            rows_grad = (scaled_grad * F[chunk]).sum(-1, keepdim=True)
            parts.append((F_grad, rows_grad, *grads))
        F_grad, rows_grad, c_grad, tau_grad = (torch.cat(x) for x in zip(*parts, strict=True))
        return F_grad, rows_grad, None, c_grad, tau_grad, None


def _pull_back(
    problem: Problem, solution: Face, coef_grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in F (b, n, m), c (b, n, 1) and tau (b, m) from that in the coefficients."""
    small = problem.small
    with in_numpy(problem, small) as problem, in_numpy(solution, small) as solution:
        grads = _adjoint(problem, solution, coef_grad.numpy() if small else coef_grad)
    F_grad, c_grad, tau_grad = map(to_torch, grads)
    return F_grad, c_grad, tau_grad


def _adjoint(problem: Problem, solution: Face, coef_grad: Array) -> tuple[Array, Array, Array]:
    solution, answer = settle(problem, solution)
    point, dual, coef = solution.point(problem), solution.dual, solution.coef
    # The adjoint is the move of Lambda by which it responds to a gradient.
    adjoint = answer(problem.F @ _shrinkage_vjp(problem, point, coef_grad))
    V_grad = coef_grad + problem.image(adjoint)
    F_grad = (problem.Y - dual) @ _shrinkage_vjp(problem, point, V_grad).mT + adjoint @ coef.mT
    c_grad = -(adjoint * problem.Y).sum(-1)[..., None]
    used = point.shrink > 0
    along = (point.V * V_grad).sum(-1) / where(used, point.norm, 1)
    return F_grad, c_grad, where(used, -along, 0)


def _shrinkage_vjp(problem: Problem, point: Point, coef_grad: Array) -> Array:
    """Gradient in V (b, m, k) of the block soft-thresholding, from that in its value."""
    used = point.shrink > 0
    norm = where(used, point.norm, 1)
    along = (point.V * coef_grad).sum(-1)
    radial = where(used, problem.tau * along / norm**3, 0)[..., None]
    return point.shrink[..., None] * coef_grad + radial * point.V
