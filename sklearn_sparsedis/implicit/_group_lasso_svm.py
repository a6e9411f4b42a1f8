"""Derivative of the group-Lasso multiclass SVM's solution."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.group_lasso_svm._face import FaceSolver
from sklearn_sparsedis.solvers.group_lasso_svm._features import is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._problem import Point, Problem, lengths
from sklearn_sparsedis.solvers.group_lasso_svm._scaling import Problems, scale_problem
from sklearn_sparsedis.solvers.group_lasso_svm._solved import Solved
from sklearn_sparsedis.solvers.group_lasso_svm._solver import chunk_size, solve_scaled
from sklearn_sparsedis.solvers.group_lasso_svm._system import PivotBasis


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
        As in `solvers.solve_group_lasso_svm`. The derivative is as exact as the solution: it is
        exact to rounding where the solver's last steps identified the nonzero entries.

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
    of Lambda in excess of one a sample, whatever the number of iterations. It cannot be
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
            scaled_grad, *grads = _pull_back(
                problems.scaled(chunk), coef[chunk], dual[chunk], free[chunk], coef_grad[chunk]
            )
            F_grad = (scaled_grad * rows[chunk]).to(F.dtype)
            rows_grad = (scaled_grad * F[chunk]).sum(-1, keepdim=True)
            parts.append((F_grad, rows_grad, *grads))
        F_grad, rows_grad, c_grad, tau_grad = (torch.cat(x) for x in zip(*parts, strict=True))
        return F_grad, rows_grad, None, c_grad, tau_grad, None


def _pull_back(
    problem: Problem, coef: Tensor, dual: Tensor, free: Tensor, coef_grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in F (b, n, m), c (b, n, 1) and tau (b, m) from that in the coefficients."""
    F = problem.F
    point = _point(problem, coef)
    # The adjoint is the move of Lambda by which it responds to a gradient.
    adjoint = _answer(problem, point, dual, free, F @ _shrinkage_vjp(problem, point, coef_grad))
    V_grad = coef_grad + problem.image(adjoint)
    F_grad = (problem.Y - dual) @ _shrinkage_vjp(problem, point, V_grad).mT + adjoint @ coef.mT
    c_grad = -(adjoint * problem.Y).sum(-1, keepdim=True)
    used = point.shrink > 0
    along = (point.V * V_grad).sum(-1) / torch.where(used, point.norm, 1)
    return F_grad, c_grad, torch.where(used, -along, 0)


def _point(problem: Problem, coef: Tensor) -> Point:
    """Recover V, its norms and their shrinkage from the coefficients (b, m, k) of a solution."""
    size = lengths(coef)
    norm = torch.where(size > 0, size + problem.tau, 0)
    shrink = torch.where(size > 0, size / torch.where(size > 0, norm, 1), 0)
    V = torch.where(size > 0, 1 / torch.where(size > 0, shrink, 1), 0).unsqueeze(-1) * coef
    return Point(V, norm, shrink, grad=V, gap=norm)


def _answer(problem: Problem, point: Point, dual: Tensor, free: Tensor, gradient: Tensor) -> Tensor:
    """Response of Lambda (b, n, k) to a gradient; samples at a vertex do not move."""
    moving = (free.sum(-1) > 1).any(0)
    if free.device.type != "cpu" or bool(moving.all()):
        basis = PivotBasis(dual)
        solve = FaceSolver(problem, point, basis, free.scatter(-1, basis.pivot, True))
        return solve(gradient)
    answer = torch.zeros_like(dual)
    if bool(moving.any()):
        F, Y, c, dual, free, gradient = (
            x[:, moving] for x in (problem.F, problem.Y, problem.c, dual, free, gradient)
        )
        answer[:, moving] = _answer(Problem(F, Y, c, problem.tau), point, dual, free, gradient)
    return answer


def _shrinkage_vjp(problem: Problem, point: Point, coef_grad: Tensor) -> Tensor:
    """Gradient in V (b, m, k) of the block soft-thresholding, from that in its value."""
    used = point.shrink > 0
    norm = torch.where(used, point.norm, 1)
    along = (point.V * coef_grad).sum(-1)
    radial = torch.where(used, problem.tau * along / norm**3, 0).unsqueeze(-1)
    return point.shrink.unsqueeze(-1) * coef_grad + radial * point.V
