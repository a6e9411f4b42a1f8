"""The distribution of heads that old tasks with few labels each were drawn from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design, LabelDesign, TaskRows

__all__ = ["Hierarchy"]

STEPS = 50
# share of the targets' variance below which noise is rounding
LEAST_NOISE = 1e-10
# variance of log-odds from which expectation maximisation starts
START = 1.0


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
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        about = square.sum() / n.sum()
        least = LEAST_NOISE * torch.where(about > 0, about, 1.0)
        pooled = gram.sum(0) + 1e-8 * gram.sum(0).diagonal().mean() * eye
        mean = torch.linalg.solve(pooled, cross.sum(0))
        noise = (about - (cross.sum(0) @ mean) / n.sum()).maximum(least) / 2
        C = noise * eye / (gram.sum(0).diagonal() / n.sum()).mean()
        for _ in range(STEPS):
            w, V = _posterior(gram / noise, cross / noise, mean, C)
            mean, C = _distribution(w, V)
            left = (
                square
                - 2 * (w * cross).sum(-1)
                + (gram * (w[:, :, None] * w[:, None, :] + V)).sum((-2, -1))
            )
            noise = (left.sum() / n.sum()).maximum(least)
        return cls(w, V)

    @classmethod
    def fit_labels(cls, rows: TaskRows) -> "Hierarchy":
        r"""The same for labels 0 and 1 with log-odds :math:`U_t w_t`.

        Notes
        -----
        Expectations are those under a bound of the likelihood that is normal in the log-odds,
        tight at their second moment [1]_, so that no step decreases the bound of the evidence.

        References
        ----------
        .. [1] Jaakkola and Jordan, "Bayesian parameter estimation via variational methods",
           Statistics and Computing, 2000.
        """
        width = 1 + rows.components.shape[-1]
        mean = rows.targets.new_zeros(width)
        design = LabelDesign.of(rows, mean[None])
        U, weight = design.components, design.weight
        cross = (U.mT @ (weight * (design.targets - 0.5))[..., None])[..., 0]
        size = U.square().sum() / U[..., 0].square().sum()
        C = START / size * torch.eye(width, dtype=U.dtype, device=U.device)
        w, V = torch.zeros_like(cross), C.expand(len(cross), -1, -1)
        for _ in range(STEPS):
            second = w[:, :, None] * w[:, None, :] + V
            odds = ((U @ second) * U).sum(-1).sqrt().clamp_min(1e-6)
            precision = weight * torch.tanh(odds / 2) / (2 * odds)
            w, V = _posterior((U * precision[..., None]).mT @ U, cross, mean, C)
            mean, C = _distribution(w, V)
        return cls(w, V)


def _posterior(
    precision: Tensor, cross: Tensor, mean: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Means and covariances of heads given a normal likelihood of each."""
    inverse = torch.linalg.inv(covariance)
    V = torch.linalg.inv(inverse + precision)
    return (V @ (inverse @ mean + cross)[..., None])[..., 0], V


def _distribution(heads: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance that heads with covariances of their own are drawn from."""
    mean = heads.mean(0)
    about = heads - mean
    total = (about[:, :, None] * about[:, None, :] + covariance).sum(0)
    eye = torch.eye(len(mean), dtype=heads.dtype, device=heads.device)
    ridge = total.diagonal().mean() / len(heads) * eye
    return mean, (total + ridge) / (len(heads) + 1)
