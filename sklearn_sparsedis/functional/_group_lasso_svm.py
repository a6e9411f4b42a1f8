"""Objectives, certificate and zero bound of the group-Lasso multiclass SVM.

Lachapelle et al. (2023), "Synergies between Disentanglement and Sparsity", ICML.
"""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._block_threshold import block_norm, block_soft_threshold


def hinge_scores(W: Tensor, F: Tensor, Y: Tensor) -> Tensor:
    """Margin violation of each sample against each class; the hinge loss is the largest one.

    Parameters
    ----------
    W : Tensor of shape (*batch, m, k)
        Coefficients.
    F : Tensor of shape (*batch, n, m)
        Features.
    Y : Tensor of shape (*batch, n, k)
        One-hot labels.

    Returns
    -------
    Tensor of shape (*batch, n, k)
        ``1 - Y_il + (W_l - W_{y_i}) . F_i``.
    """
    scores = F @ W
    return 1 - Y + scores - (scores * Y).sum(-1, keepdim=True)


def group_lasso_svm_primal(
    W: Tensor,
    F: Tensor,
    Y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    *,
    feature_weight: Tensor | float = 1.0,
    sample_weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Primal objective.

    .. math::
        \sum_i c_i \max_l [1 - Y_{il} + (W_l - W_{y_i}) \cdot F_i]
        + \lambda_1 \sum_j \omega_j \|W_{j:}\|_2 + \tfrac{\lambda_2}{2} \|W\|_F^2

    Parameters
    ----------
    W : Tensor of shape (*batch, m, k)
        Coefficients.
    F : Tensor of shape (*batch, n, m)
        Features.
    Y : Tensor of shape (*batch, n, k)
        One-hot labels.
    group_reg, l2_reg : Tensor broadcastable to (*batch,), or float
        Lambda_1 >= 0 and lambda_2 > 0.
    feature_weight : Tensor broadcastable to (*batch, m), or float
        Omega.
    sample_weight : Tensor broadcastable to (*batch, n), or float
        c.

    Returns
    -------
    Tensor of shape (*batch,)
        Objective.
    """
    loss = (sample_weight * hinge_scores(W, F, Y).amax(-1)).sum(-1)
    group = group_reg * (feature_weight * block_norm(W)).sum(-1)
    return loss + group + l2_reg / 2 * W.square().sum((-1, -2))


def group_lasso_svm_coef(
    dual_coef: Tensor,
    F: Tensor,
    Y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    *,
    feature_weight: Tensor | float = 1.0,
    sample_weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Coefficients that belong to a dual point.

    .. math:: W_{j:} = \mathrm{BST}((Y - \Lambda)^T C F_{:j}, \lambda_1 \omega_j) / \lambda_2

    Parameters
    ----------
    dual_coef : Tensor of shape (*batch, n, k)
        Lambda, rows in the simplex.
    F, Y, group_reg, l2_reg, feature_weight, sample_weight
        As in `group_lasso_svm_primal`.

    Returns
    -------
    Tensor of shape (*batch, m, k)
        Coefficients.
    """
    residual = _last(sample_weight) * (Y - dual_coef)
    V = F.mT @ residual
    threshold = _last(group_reg) * feature_weight
    return block_soft_threshold(V, threshold) / _last(_last(l2_reg))


def group_lasso_svm_dual(
    dual_coef: Tensor,
    F: Tensor,
    Y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    *,
    feature_weight: Tensor | float = 1.0,
    sample_weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Dual value, a lower bound of the primal objective at any dual point.

    .. math::
        \sum_i c_i (1 - \Lambda_{i y_i}) - \tfrac{1}{2 \lambda_2} \sum_j
        \|\mathrm{BST}((Y - \Lambda)^T C F_{:j}, \lambda_1 \omega_j)\|_2^2

    Parameters
    ----------
    dual_coef : Tensor of shape (*batch, n, k)
        Lambda, rows in the simplex.
    F, Y, group_reg, l2_reg, feature_weight, sample_weight
        As in `group_lasso_svm_primal`.

    Returns
    -------
    Tensor of shape (*batch,)
        Dual value.
    """
    weights = {"feature_weight": feature_weight, "sample_weight": sample_weight}
    W = group_lasso_svm_coef(dual_coef, F, Y, group_reg, l2_reg, **weights)
    linear = (sample_weight * (1 - (Y * dual_coef).sum(-1))).sum(-1)
    return linear - l2_reg / 2 * W.square().sum((-1, -2))


def uniform_spread_bound(
    F: Tensor,
    Y: Tensor,
    *,
    feature_weight: Tensor | float = 1.0,
    sample_weight: Tensor | float = 1.0,
) -> Tensor:
    r"""Upper bound of the lambda_1 from which on every penalised coefficient is zero.

    .. math::
        \max_{j : \omega_j > 0} \|(Y - \Lambda)^T C F_{:j}\|_2 / \omega_j, \qquad
        \Lambda_{il} = (1 - Y_{il}) / (k - 1)

    Parameters
    ----------
    F : Tensor of shape (*batch, n, m)
        Features.
    Y : Tensor of shape (*batch, n, k)
        One-hot labels, k >= 2.
    feature_weight : Tensor broadcastable to (*batch, m), or float
        Omega.
    sample_weight : Tensor broadcastable to (*batch, n), or float
        c.

    Returns
    -------
    Tensor of shape (*batch,)
        The bound; the exact maximum for k = 2 when all features are penalised.
    """
    spread = (1 - Y) / (Y.shape[-1] - 1)
    V = group_lasso_svm_coef(spread, F, Y, 0.0, 1.0, sample_weight=sample_weight)
    norm = block_norm(V)
    omega = norm.new_ones(()) * feature_weight
    penalised = omega > 0
    ratio = torch.where(penalised, norm / torch.where(penalised, omega, 1), 0)
    return ratio.amax(-1)


def _last(value: Tensor | float) -> Tensor | float:
    """Append a dimension of size one to a tensor, for broadcasting; return a float as it is."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value
