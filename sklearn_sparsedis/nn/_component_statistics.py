"""Gram statistics of the components of an encoder, from its raw outputs."""

from collections.abc import Callable

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics, centred_gram
from sklearn_sparsedis.functional._gram import (
    ROUNDED,
    CentredTargets,
    centre_targets,
    summed_gram,
    without_constants,
)
from sklearn_sparsedis.nn._common_head import task_shares
from sklearn_sparsedis.nn._encoders import Encoder, column_scale
from sklearn_sparsedis.nn._standard_gram import StandardGram

__all__ = ["component_statistics", "statistics_of_tasks"]


def component_statistics(
    encoder: Encoder,
    raw: Tensor,
    y: Tensor | CentredTargets,
    weights: Tensor | None,
    *,
    part: Callable[[int], slice] | None = None,
    total: Callable[[Tensor], Tensor] | None = None,
    near: bool = False,
    calibrate: bool = False,
    rounding: float = 0.0,
) -> GramStatistics:
    """Compute `functional.centred_gram` of normalised outputs without normalising them.

    Parameters
    ----------
    encoder : Encoder
        In training mode the normalisation is taken from these rows.
    raw : Tensor of shape (n, m)
        In double precision; the rows of this process where several processes share the rows.
    y : Tensor of shape (*batch, n), or CentredTargets
    weights : Tensor of shape (n,) or (T, n), optional
        Weights of all rows, or of the labels of T tasks, for y of shape (T, n).
    part, total : callable, optional
        Needed where several processes share the rows: `part` maps the number of rows to the slice
        of those of this process, and `total` is the differentiable sum of a vector over the
        processes. With them the encoder stores the mean of the rows.
    near : bool
        Whether the stored mean of the encoder is near that of these rows.
    calibrate : bool
        Whether to store the normalisation of these rows in the encoder.
    rounding : float
        As in `centred_gram`, for components.
    """
    if part is None and encoder.training and not calibrate and _are_shared(weights):
        return _standard(raw, y, weights, encoder.mean.dtype)
    if part is None or total is None:
        stats = centred_gram(raw, y, weights, rounding=0)
    else:
        origin = encoder.mean.double() if near else None
        stats = summed_gram(raw, y, weights, part, total, origin)
    if encoder.training or calibrate:
        mean, std = _output_moments(stats, weights, encoder.mean.dtype)
        if total is not None or calibrate:
            encoder.mean.copy_(mean.detach())
    if calibrate:
        encoder.std.copy_(std)
    if calibrate or not encoder.training:
        mean, std = encoder.mean.double(), encoder.std.double()
    # Autograd differentiates products in fewer steps than quotients.
    rate = std.reciprocal()
    stats = GramStatistics(
        stats.gram * torch.outer(rate, rate),
        stats.corr * rate,
        stats.y_sq,
        (stats.z_mean - mean) * rate,
        stats.y_mean,
    )
    # The moments about the mean of all rows have rounding errors of double precision as well.
    return without_constants(stats, max(rounding**2, ROUNDED * torch.finfo(raw.dtype).eps))


def _are_shared(weights: Tensor | None) -> bool:
    """Return True if all problems have the same weights of rows."""
    return weights is None or weights.ndim == 1


def _standard(
    raw: Tensor, y: Tensor | CentredTargets, weights: Tensor | None, dtype: torch.dtype
) -> GramStatistics:
    """Compute the statistics in training, by fewer and smaller kernels in both directions."""
    y, square, y_mean = centre_targets(y, weights) if isinstance(y, Tensor) else y
    share = None
    if weights is not None:
        share = weights.to(raw.dtype)
        share = share + (share.sum() == 0)
        share = share / share.sum()
    gram, corr = StandardGram.apply(raw, y.reshape(-1, len(raw)), share, dtype)
    corr = corr.reshape(*y.shape[:-1], -1)
    return GramStatistics(gram, corr, square, gram.new_zeros(len(gram)), y_mean)


def _output_moments(
    stats: GramStatistics, weights: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Mean and deviation as `column_moments` gives them; a row has the weight of its labels."""
    mean, var = stats.z_mean, stats.gram.diagonal(dim1=-2, dim2=-1)
    if stats.gram.ndim > 2:
        share = task_shares(weights, stats.corr)
        mean = share @ stats.z_mean
        var = share @ (var + (stats.z_mean - mean).square())
    # The precision of the outputs decides which columns are constant.
    return mean, column_scale(mean.to(dtype), var.to(dtype)).to(var)


def statistics_of_tasks(stats: GramStatistics, tasks: slice) -> GramStatistics:
    """Select the statistics of some tasks."""
    gram, corr, y_sq, z_mean, y_mean = stats
    if gram.ndim > 2:
        gram, z_mean = gram[tasks], z_mean[tasks]
    return GramStatistics(gram, corr[tasks], y_sq[tasks], z_mean, y_mean[tasks])
