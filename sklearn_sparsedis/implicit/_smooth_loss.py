"""Penalised fits under smooth losses that autograd can differentiate."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.functional import solve_support
from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._logistic import row_shares
from sklearn_sparsedis.functional._support import factor_support
from sklearn_sparsedis.solvers import L1, L2, LogisticLoss, SolveResult
from sklearn_sparsedis.solvers.smooth_loss._losses import Loss
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty
from sklearn_sparsedis.solvers.smooth_loss._problem import PosedProblem, SmoothProblem, pose
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_posed
from sklearn_sparsedis.solvers.smooth_loss._state import SmoothState

__all__ = [
    "SmoothFit",
    "fit_smooth",
    "logistic_lasso",
    "logistic_lasso_fit",
    "logistic_ridge_fit",
]


class SmoothFit(NamedTuple):
    """Solutions of penalised fits under a smooth loss, and how well they fit.

    Attributes
    ----------
    coef : Tensor of shape (*batch, m)
        Differentiable.
    intercept : Tensor of shape (*batch,)
        Differentiable.
    loss : Tensor of shape (*batch,)
        Mean loss, without the penalty; differentiable.
    result : SolveResult
        Certificate of the solve, not recorded for autograd.
    """

    coef: Tensor
    intercept: Tensor
    loss: Tensor
    result: SolveResult


def fit_smooth(
    loss: Loss,
    penalty: Penalty,
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    sample_weight: Tensor | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> SmoothFit:
    r"""Penalised fits and their losses as differentiable functions of their data.

    With residuals :math:`r_i = -\ell'(f_i)` and curvatures :math:`h_i = s_i \ell''(f_i)` at the
    scores :math:`f_i = z_i w + b`, let v be the solution of
    :math:`[\sum_i h_i (z_i, 1)(z_i, 1)^T + \alpha \Omega''] v = \mathrm dL / \mathrm d(w, b)` on
    the variables that are free to move and the intercept, and :math:`u_i = (z_i, 1) v`. Then

    .. math:: \mathrm dL/\mathrm dz_i = s_i r_i v_w - h_i u_i w, \quad
       \mathrm dL/\mathrm dy_i = s_i u_i \, \partial r_i / \partial y_i, \quad
       \mathrm dL/\mathrm ds_i = r_i u_i, \quad
       \mathrm dL/\mathrm d\alpha = -\Omega'(w)^T v_w.

    Parameters
    ----------
    loss, penalty, Z, y, alpha, sample_weight, tol, max_iter, coef_init, intercept_init
        As in `solvers.solve_smooth`.

    Returns
    -------
    SmoothFit
        Differentiable in Z, y, alpha, sample_weight and the loss's parameter.

    Notes
    -----
    The gradient is exact where neither the support nor, for a loss with kinks in its slope, the
    pieces of the rows change in a neighbourhood. A variable with w_j = 0 counts as unused where the
    penalty has a kink there. Where the equations are singular, v is their solution of least norm by
    the rule of `functional.solve_support`.
    """
    batch = y.shape[:-1]
    share = row_shares(y, sample_weight)
    alphas = tensor_like(alpha, y).expand(batch)
    with torch.no_grad():
        posed = pose(loss, penalty, Z, y, share, alpha)
        result, state = solve_posed(posed, tol, max_iter, coef_init, intercept_init)
    given = Z, y, share, alphas, loss.parameter
    coef, intercept, mean_loss = _Smooth.apply(*given, posed, state, result)
    return SmoothFit(coef, intercept, mean_loss, result)


def logistic_lasso(
    Z: Tensor, y: Tensor, alpha: Tensor | float, **options: Any
) -> tuple[Tensor, Tensor]:
    """Sparse logistic regression as a differentiable function of its data.

    Parameters
    ----------
    Z, y, alpha, **options
        As in `logistic_lasso_fit`.

    Returns
    -------
    coef : Tensor of shape (*batch, m)
    intercept : Tensor of shape (*batch,)
        See `logistic_lasso_fit` for their certificates and the derivative's rules.
    """
    return logistic_lasso_fit(Z, y, alpha, **options)[:2]


def logistic_lasso_fit(Z: Tensor, y: Tensor, alpha: Tensor | float, **options: Any) -> SmoothFit:
    r"""Sparse logistic regressions and their losses as differentiable functions of their data.

    On the support with signs :math:`\sigma` the solution satisfies
    :math:`\sum_i s_i (y_i - p_i) (z_i, 1) = \alpha (\sigma, 0)` with the probabilities
    :math:`p_i`. With :math:`h_i = s_i p_i (1 - p_i)` and v the solution of
    :math:`\sum_i h_i (z_i, 1)(z_i, 1)^T v = \mathrm dL / \mathrm d(w, b)` on the support and the
    intercept, and :math:`u_i = (z_i, 1) v`,

    .. math:: \mathrm dL/\mathrm dz_i = s_i (y_i - p_i) v_w - h_i u_i w, \quad
       \mathrm dL/\mathrm dy_i = s_i u_i, \quad \mathrm dL/\mathrm ds_i = (y_i - p_i) u_i, \quad
       \mathrm dL/\mathrm d\alpha = -\sigma^T v_w.

    Parameters
    ----------
    Z : Tensor of shape (n, m) or (*batch, n, m)
    y : Tensor of shape (*batch, n)
    alpha : float or Tensor of shape (*batch,)
    **options
        sample_weight, tol, max_iter, coef_init and intercept_init of
        `solvers.solve_logistic_lasso`.

    Returns
    -------
    SmoothFit
        Differentiable in Z, y, alpha and sample_weight.

    Notes
    -----
    The gradient is exact where the support does not change in a neighbourhood. A variable with
    w_j = 0 counts as unused, also where \|Z_j'S(y - p)\| equals alpha. Where the equations are
    singular, v is their solution of least norm by the rule of `functional.solve_support`. A feature
    that does not vary in a problem has no part in its derivative. Problems with one label only have
    constant solutions.
    """
    return fit_smooth(LogisticLoss(), L1(), Z, y, alpha, **options)


def logistic_ridge_fit(Z: Tensor, y: Tensor, alpha: Tensor | float, **options: Any) -> SmoothFit:
    """Ridge logistic regressions and their losses as differentiable functions of their data.

    As `logistic_lasso_fit`, with all variables in the support, alpha added to the diagonal of their
    equations, and dL/dalpha = -w'v.

    Parameters
    ----------
    Z, y, alpha, **options
        As in `logistic_lasso_fit`, for `solvers.solve_logistic_ridge`.

    Returns
    -------
    SmoothFit
    """
    return fit_smooth(LogisticLoss(), L2(), Z, y, alpha, **options)


class _Smooth(torch.autograd.Function):
    """Attach the implicit derivative to solutions that are already known, and to their losses."""

    @staticmethod
    def forward(
        ctx: Any,
        Z: Tensor,
        y: Tensor,
        share: Tensor,
        alpha: Tensor,
        parameter: Tensor | None,
        posed: PosedProblem,
        state: SmoothState,
        result: SolveResult,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.posed, ctx.state = posed, state
        ctx.shapes = Z.shape, y.shape, share.shape, () if parameter is None else parameter.shape
        ctx.set_materialize_grads(False)
        assert result.intercept is not None  # for mypy
        return result.coef.clone(), result.intercept.clone(), state.loss.reshape(posed.batch)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_coef: Tensor | None, to_intercept: Tensor | None, to_loss: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        posed, state = ctx.posed, ctx.state
        problem, design = posed.problem, posed.problem.design
        w, T = state.coef, len(state.coef)
        of_loss = w.new_zeros(T) if to_loss is None else to_loss.reshape(T)
        of_intercept = w.new_zeros(T) if to_intercept is None else to_intercept.reshape(T)
        of_coef = w.new_zeros(w.shape) if to_coef is None else to_coef.reshape(w.shape)
        of_coef = of_coef - posed.origin * of_intercept[:, None] - state.gradient * of_loss[:, None]
        of_intercept = of_intercept - state.residual.sum(-1) * of_loss
        v, v_intercept = _adjoint(problem, state, of_coef, of_intercept)
        u = design.combine(v) + v_intercept[:, None]
        wanted = ctx.needs_input_grad
        rows = _RowGradients(posed, state, u, of_loss)
        return (
            _outer(state.residual, v, rows.to_score(), w, ctx.shapes[0]) if wanted[0] else None,
            rows.to_target().reshape(ctx.shapes[1]) if wanted[1] else None,
            rows.to_share().sum_to_size(ctx.shapes[2]) if wanted[2] else None,
            -(problem.penalty.slope(w) * v).sum(-1).reshape(posed.batch) if wanted[3] else None,
            rows.to_parameter().sum_to_size(ctx.shapes[3]) if wanted[4] else None,
            None,
            None,
            None,
        )


def _adjoint(
    problem: SmoothProblem, state: SmoothState, of_coef: Tensor, of_intercept: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve the linearised stationarity equations for a right-hand side."""
    gram, mean, total = problem.design.moments(state.curvature)
    inverse = torch.where(total > 0, 1 / total, 0.0)
    curved, support = problem.penalty.second_derivative(gram, state.coef, problem.alpha)
    if problem.design.varies is not None:
        support = support & (problem.design.varies > 0)
    factor = factor_support(curved, support)
    v = solve_support(factor, of_coef - mean * of_intercept[:, None], least_norm=True)
    return v, of_intercept * inverse - (mean * v).sum(-1)


def _outer(r: Tensor, v: Tensor, h: Tensor, w: Tensor, shape: torch.Size) -> Tensor:
    """Compute r_i v' - h_i w' of each row i, summed over problems that share their features."""
    if len(shape) == 2:
        return r.T @ v - h.T @ w
    each = torch.stack([r, -h], -1) @ torch.stack([v, w], -2)
    return each.sum_to_size(shape) if each.shape != shape else each


class _RowGradients(NamedTuple):
    """Gradients in the scores, targets and weights of rows, given u and dL/dloss."""

    posed: PosedProblem
    state: SmoothState
    u: Tensor
    of_loss: Tensor

    def to_score(self) -> Tensor:
        """Gradient in the scores, at fixed coefficients."""
        residual = self.state.residual
        return torch.addcmul(self.state.curvature * self.u, residual, self.of_loss[:, None])

    def to_target(self) -> Tensor:
        problem = self.posed.problem
        residual, loss = problem.loss.by_target(self.state.score, problem.y)
        return problem.share * (residual * self.u + self.of_loss[:, None] * loss)

    def to_share(self) -> Tensor:
        problem, fixed = self.posed.problem, self.posed.targets.fixed
        rows = problem.loss.at(self.state.score, problem.y)
        gradient = rows.residual * self.u + self.of_loss[:, None] * rows.value
        return torch.where(fixed[:, None], 0.0, gradient).reshape(*self.posed.batch, -1)

    def to_parameter(self) -> Tensor:
        problem = self.posed.problem
        residual, loss = problem.loss.by_parameter(self.state.score, problem.y)
        rows = problem.share * (residual * self.u + self.of_loss[:, None] * loss)
        return rows.sum(-1).reshape(self.posed.batch)
