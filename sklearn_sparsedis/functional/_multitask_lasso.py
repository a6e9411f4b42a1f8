"""The Lasso of several outputs with one support, in terms of its Gram matrix."""

from torch import Tensor
from torch.linalg import vector_norm

__all__ = [
    "multitask_lasso_alpha_max",
    "multitask_lasso_duality_gap",
    "multitask_lasso_objective",
]


def multitask_lasso_alpha_max(corr: Tensor) -> Tensor:
    """Smallest alpha with the solution zero: max_j ||Z_j'Y||_2 / n, shape (*batch,).

    Parameters
    ----------
    corr : Tensor of shape (*batch, m, q)
        Z'Y / n.
    """
    return vector_norm(corr, dim=-1).amax(-1)


def multitask_lasso_objective(residual_sq: Tensor, coef: Tensor, alpha: Tensor) -> Tensor:
    """1/(2n) ||Z W - Y||_F^2 + alpha sum_j ||W_j||_2, shape (*batch,).

    Parameters
    ----------
    residual_sq : Tensor of shape (*batch,)
        ||Z W - Y||_F^2 / n.
    coef : Tensor of shape (*batch, m, q)
    alpha : Tensor of shape (*batch,)
    """
    return 0.5 * residual_sq + alpha * vector_norm(coef, dim=-1).sum(-1)


def multitask_lasso_duality_gap(
    residual_sq: Tensor, coef: Tensor, gradient: Tensor, alpha: Tensor
) -> Tensor:
    """Primal minus dual objective at the residual scaled into the dual's domain.

    As `lasso_duality_gap`, with c = min(1, alpha / max_j ||g_j||_2).

    Parameters
    ----------
    residual_sq : Tensor of shape (*batch,)
        ||Z W - Y||_F^2 / n.
    coef, gradient : Tensor of shape (*batch, m, q)
        W and g = Z'(Y - Z W)/n.
    alpha : Tensor of shape (*batch,)
        Positive.
    """
    scale = (alpha / multitask_lasso_alpha_max(gradient)).clamp_max(1)
    overlap = (coef * gradient).sum((-2, -1))
    penalty = alpha * vector_norm(coef, dim=-1).sum(-1)
    gap = 0.5 * (1 - scale).square() * residual_sq + penalty - scale * overlap
    return gap.clamp_min(0)
