"""Penalised least squares as a function of the Gram statistics, for autograd."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_sparsedis.functional._support import gram_matvec
from sklearn_sparsedis.solvers import SolveResult

__all__ = ["FitFunction", "LeastSquaresFit"]


class LeastSquaresFit(NamedTuple):
    """Solutions of penalised least squares and how well they fit.

    Attributes
    ----------
    coef : Tensor of shape (*batch, m)
        Differentiable.
    loss : Tensor of shape (*batch,)
        Half the mean squared error at `coef`, without the penalty; differentiable.
    result : SolveResult
        Certificate of the solve, not recorded for autograd.
    """

    coef: Tensor
    loss: Tensor
    result: SolveResult


class FitFunction(torch.autograd.Function):
    """Attach the implicit derivative to a solution that is already known, and to its loss.

    With H the second derivative of the objective on the variables that move, s the slope of the
    penalty (sign(w), or w) and v = H^-1 (dL/dw + dL/dloss (G w - q)), where dL/dw is the part
    that does not go through the loss: dL/dG = -(v w' + w v')/2 + dL/dloss w w'/2,
    dL/dq = v - dL/dloss w, dL/dy_sq = dL/dloss / 2, dL/dalpha = -s'v. One linear solve serves both
    outputs.

    The arguments are gram (m, m) or (*batch, m, m), corr (*batch, m), y_sq and alpha (*batch,),
    solution, loss, `slope`, which maps w to s, and `invert`, which maps x (T, m) to H^-1 x.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gram: Tensor,
        corr: Tensor,
        y_sq: Tensor,
        alpha: Tensor,
        solution: Tensor,
        loss: Tensor,
        slope: Callable[[Tensor], Tensor],
        invert: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(gram, corr, solution)
        ctx.slope, ctx.invert = slope, invert
        ctx.set_materialize_grads(False)
        return solution.detach(), loss.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_coef: Tensor | None, to_loss: Tensor | None) -> tuple[Any, ...]:
        if to_coef is None and to_loss is None:
            return (None,) * 8
        gram, corr, coef = ctx.saved_tensors
        batch, m = coef.shape[:-1], coef.shape[-1]
        w = coef.reshape(-1, m)
        G = gram if gram.ndim == 2 else gram.reshape(-1, m, m)
        through = None if to_coef is None else to_coef.reshape(w.shape)
        if to_loss is not None:
            share = to_loss.reshape(-1, 1)
            by_loss = gram_matvec(G, w).sub_(corr.reshape(w.shape)).mul_(share)
            through = by_loss if through is None else by_loss.add_(through)
        v = ctx.invert(through)
        to_alpha = -(v * ctx.slope(w)).sum(-1).reshape(batch) if ctx.needs_input_grad[3] else None
        to_corr, through_gram = v, v
        if to_loss is not None:
            to_corr = torch.addcmul(v, share, w, value=-1)
            through_gram = torch.addcmul(v, share, w, value=-0.5)
        return (
            _gram_gradient(gram, through_gram, w) if ctx.needs_input_grad[0] else None,
            to_corr.reshape(coef.shape),
            None if to_loss is None else 0.5 * to_loss,
            to_alpha,
            None,
            None,
            None,
            None,
        )


def _gram_gradient(gram: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """Compute -(v w' + w v')/2, summed over problems that share one matrix."""
    if gram.ndim == 2:
        product = v.T @ w
        return -0.5 * (product + product.T)
    outer = v[:, :, None] * w[:, None, :]
    return (-0.5 * (outer + outer.mT)).reshape(gram.shape)
