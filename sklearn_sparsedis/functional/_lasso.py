"""The Lasso in terms of its Gram matrix: residual, objective, duality gap, alpha_max."""

import torch
from torch import Tensor

__all__ = ["lasso_alpha_max", "lasso_duality_gap", "lasso_objective", "residual_square"]


def lasso_alpha_max(corr: Tensor) -> Tensor:
    """Smallest alpha with the solution zero: max_j |Z_j'y| / n, shape (*batch,).

    Parameters
    ----------
    corr : Tensor of shape (*batch, m)
        Z'y / n.
    """
    return corr.abs().amax(-1)


def residual_square(corr: Tensor, y_sq: Tensor, coef: Tensor, gradient: Tensor) -> Tensor:
    """||Z w - y||^2 / n = y_sq - w'(corr + gradient), with gradient = Z'(y - Z w)/n."""
    return (y_sq - (coef * (corr + gradient)).sum(-1)).clamp_min(0)


def lasso_objective(residual_sq: Tensor, coef: Tensor, alpha: Tensor) -> Tensor:
    """1/(2n) ||Z w - y||^2 + alpha ||w||_1, shape (*batch,)."""
    return 0.5 * residual_sq + alpha * coef.abs().sum(-1)


def lasso_duality_gap(residual_sq: Tensor, coef: Tensor, gradient: Tensor, alpha: Tensor) -> Tensor:
    """Primal minus dual objective at the residual scaled into the dual's domain.

    With g = Z'(y - Zw)/n and c = min(1, alpha / max|g|), the dual point c (y - Zw) gives
    (1-c)^2/2 ||y - Zw||^2/n + alpha ||w||_1 - c w'g: in this form nothing of the size of y
    cancels.

    Parameters
    ----------
    residual_sq : Tensor of shape (*batch,)
        ||Z w - y||^2 / n.
    coef, gradient : Tensor of shape (*batch, m)
        w and g.
    alpha : Tensor of shape (*batch,)
        Positive; at zero the dual's domain has no interior and the gap says nothing.
    """
    largest = gradient.abs().amax(-1)
    scale = torch.where(largest > alpha, alpha / largest, torch.ones_like(alpha))
    overlap = (coef * gradient).sum(-1)
    gap = 0.5 * (1 - scale).square() * residual_sq + alpha * coef.abs().sum(-1) - scale * overlap
    return gap.clamp_min(0)
