"""The distribution of heads that old tasks with few labels each were drawn from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design, TaskRows

__all__ = ["Hierarchy"]

STEPS = 50
# share of the targets' variance below which noise is rounding
LEAST_NOISE = 1e-10


@dataclass(frozen=True)
class Hierarchy:
    """Heads of T tasks under the normal distribution that is most likely to have given them.

    Attributes
    ----------
    heads : Tensor of shape (T, 1 + m)
        Their means given the labels, intercepts first.
    covariance : Tensor of shape (T, 1 + m, 1 + m)
        Their covariances.
    """

    heads: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, rows: TaskRows) -> "Hierarchy":
        r"""Expectation maximisation for :math:`y_t = U_t w_t + e_t, w_t \sim N(\mu, C)`.

        Parameters
        ----------
        rows : TaskRows
            Features are not used.

        Notes
        -----
        Each step costs O(T m^3). C is as if one more task had coefficients of its mean size, in
        directions that are all the same.
        """
        design = Design.of(rows._replace(features=rows.features[..., :0]))
        U, y, n = design.components, design.targets, design.n_labels
        gram = (U.mT @ U).expand(len(y), -1, -1)
        cross = (U.mT @ y[..., None])[..., 0]
        square = y.square().sum(-1) + design.left
        width = gram.shape[-1]
        eye = torch.eye(width, dtype=gram.dtype, device=gram.device)
        about = square.sum() / n.sum()
        least = LEAST_NOISE * torch.where(about > 0, about, 1.0)
        pooled = gram.sum(0) + 1e-8 * gram.sum(0).diagonal().mean() * eye
        mean = torch.linalg.solve(pooled, cross.sum(0))
        noise = (about - (cross.sum(0) @ mean) / n.sum()).maximum(least) / 2
        C = noise * eye / (gram.sum(0).diagonal() / n.sum()).mean()
        for _ in range(STEPS):
            inverse = torch.linalg.inv(C)
            V = torch.linalg.inv(inverse + gram / noise)
            w = (V @ (inverse @ mean + cross / noise)[..., None])[..., 0]
            mean = w.mean(0)
            each = (w - mean)[:, :, None] * (w - mean)[:, None, :] + V
            total = each.sum(0)
            C = (total + total.diagonal().mean() / len(w) * eye) / (len(w) + 1)
            left = (
                square
                - 2 * (w * cross).sum(-1)
                + (gram * (w[:, :, None] * w[:, None, :] + V)).sum((-2, -1))
            )
            noise = (left.sum() / n.sum()).maximum(least)
        return cls(w, V)
