"""The Lasso in terms of its Gram matrix: residual, objective, duality gap, alpha_max."""

import torch
from torch import Tensor

__all__ = [
    "lasso_alpha_max",
    "lasso_certificate",
    "lasso_duality_gap",
    "lasso_objective",
    "residual_square",
]


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
    (1-c)^2/2 ||y - Zw||^2/n + alpha ||w||_1 - c w'g: in this form no terms of the size of y
    cancel.

    Parameters
    ----------
    residual_sq : Tensor of shape (*batch,)
        ||Z w - y||^2 / n.
    coef, gradient : Tensor of shape (*batch, m)
        w and g.
    alpha : Tensor of shape (*batch,)
        Positive; at zero the dual's domain has no interior and the gap carries no information.
    """
    overlap = torch.linalg.vecdot(coef, gradient)
    return _gap(residual_sq, alpha * coef.abs().sum(-1), overlap, gradient, alpha)


def lasso_certificate(
    corr: Tensor, y_sq: Tensor, coef: Tensor, gradient: Tensor, alpha: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `lasso_objective` and `lasso_duality_gap` together, common terms only once.

    Parameters
    ----------
    corr : Tensor of shape (*batch, m)
    y_sq : Tensor of shape (*batch,)
    coef, gradient : Tensor of shape (*batch, m)
    alpha : Tensor of shape (*batch,)
        As in `residual_square` and `lasso_duality_gap`.

    Returns
    -------
    objective, gap : Tensor of shape (*batch,)
    """
    overlap = torch.linalg.vecdot(coef, gradient)
    residual_sq = (y_sq - torch.linalg.vecdot(coef, corr) - overlap).clamp_min(0)
    penalty = alpha * coef.abs().sum(-1)
    objective = torch.add(penalty, residual_sq, alpha=0.5)
    return objective, _gap(residual_sq, penalty, overlap, gradient, alpha)


def _gap(
    residual_sq: Tensor, penalty: Tensor, overlap: Tensor, gradient: Tensor, alpha: Tensor
) -> Tensor:
    scale = (alpha / gradient.abs().amax(-1)).clamp_max(1)
    gap = torch.addcmul(penalty, scale, overlap, value=-1)
    return torch.addcmul(gap, (1 - scale).square(), residual_sq, value=0.5).clamp_min(0)
