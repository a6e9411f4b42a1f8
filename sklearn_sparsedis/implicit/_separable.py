"""Local minima under penalties that are sums over the coefficients, for autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.functional._gram import tensor_like
from sklearn_sparsedis.functional._support import SHIFT, factor_support, gram_matvec
from sklearn_sparsedis.implicit._fit import LeastSquaresFit
from sklearn_sparsedis.solvers._ridge import one_or_each
from sklearn_sparsedis.solvers._separable import (
    Elementwise,
    curvatures,
    derivatives,
    solve_separable_gram,
)

__all__ = ["definite", "separable_gram"]


def separable_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    value: Elementwise,
    threshold: Elementwise,
    **options: Any,
) -> LeastSquaresFit:
    """Coefficients under any separable penalty and their loss as functions of the Gram statistics.

    On the support the solution satisfies F = G w - q + value'(w; alpha, G_jj) = 0, so that its
    derivative is -H^-1 dF with H = G + value''(w).

    Parameters
    ----------
    gram, corr, y_sq, alpha
        As in `lasso_gram`.
    value, threshold, **options
        As in `solvers.solve_separable_gram`; `value` must have a second derivative by autograd.

    Returns
    -------
    LeastSquaresFit

    Notes
    -----
    Where H is not positive definite the second derivative of the penalty is left out of it, as in
    `mcp_gram`.
    """
    batch, m = corr.shape[:-1], corr.shape[-1]
    gram, alphas = one_or_each(gram, batch), tensor_like(alpha, corr).expand(batch)
    result = solve_separable_gram(
        gram, corr, y_sq, alphas, value=value, threshold=threshold, **options
    )
    w = result.coef.reshape(-1, m)
    given = alphas.reshape(-1, 1), curvatures(gram, w)
    _, bend = derivatives(value, w, *given)
    with torch.no_grad():
        support = w != 0
        bend = torch.where(definite(gram, support, torch.diag_embed(bend))[:, None], bend, 0.0)
        factor = factor_support(gram + torch.diag_embed(bend), support)
    slope = gram_matvec(gram, w) - corr.reshape(-1, m)
    coef = _Stationary.apply(slope, *given, w, value, factor.solve)
    loss = 0.5 * (
        y_sq + (coef * (gram_matvec(gram, coef) - 2 * corr.reshape(-1, m))).sum(-1).reshape(batch)
    )
    return LeastSquaresFit(coef.reshape(*batch, m), loss, result)


def definite(gram: Tensor, support: Tensor, bend: Tensor) -> Tensor:
    """Return True for matrices G + bend that are positive definite on the support, shape (T,)."""
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    both = support[:, :, None] & support[:, None, :]
    shift = SHIFT[gram.dtype] * gram.diagonal(dim1=-2, dim2=-1)[..., None, :] * eye
    _, failed = torch.linalg.cholesky_ex(torch.where(both, gram + shift + bend, eye))
    return failed == 0


class _Stationary(torch.autograd.Function):
    """Attach the derivative to a known solution, at which the slopes of loss and penalty cancel."""

    @staticmethod
    def forward(
        ctx: Any,
        slope: Tensor,
        alpha: Tensor,
        curvature: Tensor,
        solution: Tensor,
        value: Elementwise,
        invert: Callable[[Tensor], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(alpha, curvature, solution)
        ctx.value, ctx.invert = value, invert
        return solution.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        v = -ctx.invert(grad)
        with torch.enable_grad():
            a, c, w = (x.detach().requires_grad_() for x in ctx.saved_tensors)
            (slope,) = torch.autograd.grad(ctx.value(w, a, c).sum(), w, create_graph=True)
            if not slope.requires_grad:  # it depends on neither alpha nor curvature
                return v, None, None, None, None, None
            by_penalty = torch.autograd.grad(
                (slope * v).sum(), (a, c), allow_unused=True, materialize_grads=True
            )
        return v, *by_penalty, None, None, None
