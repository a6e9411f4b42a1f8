"""Statistics of an encoder's components, from its raw outputs."""

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

__all__ = ["component_statistics", "some_statistics"]


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
    """`functional.centred_gram` of raw outputs after their normalisation, without making it.

    Parameters
    ----------
    encoder : Encoder
        In training mode the normalisation is that of these rows.
    raw : Tensor of shape (n, m)
        In double precision; this process's rows where several share them.
    y : Tensor of shape (*batch, n), or CentredTargets
    weights : Tensor of shape (n,) or (T, n), optional
        Of rows, or of the labels of T tasks, of all of them for y of shape (T, n).
    part, total : callable, optional
        Where several processes share the rows: from the number of rows to the slice of this one's,
        and the differentiable sum of a vector over the processes. Then the encoder remembers the
        mean of the rows.
    near : bool
        Whether the mean that it remembers is near that of these rows.
    calibrate : bool
        Whether to keep the normalisation of these rows for good.
    rounding : float
        As in `centred_gram`, of components.
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
    rate = std.reciprocal()  # whose products autograd takes back in fewer steps than quotients
    stats = GramStatistics(
        stats.gram * torch.outer(rate, rate),
        stats.corr * rate,
        stats.y_sq,
        (stats.z_mean - mean) * rate,
        stats.y_mean,
    )
    # the moments about the mean of all rows, in double precision, round as well
    return without_constants(stats, max(rounding**2, ROUNDED * torch.finfo(raw.dtype).eps))


def _are_shared(weights: Tensor | None) -> bool:
    """Whether all problems have the same weights of rows."""
    return weights is None or weights.ndim == 1


def _standard(
    raw: Tensor, y: Tensor | CentredTargets, weights: Tensor | None, dtype: torch.dtype
) -> GramStatistics:
    """The statistics in training, with fewer and smaller kernels in both directions."""
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
    """Mean and deviation as `column_moments` gives them; a row weighs what its labels do."""
    mean, var = stats.z_mean, stats.gram.diagonal(dim1=-2, dim2=-1)
    if stats.gram.ndim > 2:
        share = task_shares(weights, stats.corr)
        mean = share @ stats.z_mean
        var = share @ (var + (stats.z_mean - mean).square())
    # what is constant is decided by the rounding of the outputs
    return mean, column_scale(mean.to(dtype), var.to(dtype)).to(var)


def some_statistics(stats: GramStatistics, tasks: slice) -> GramStatistics:
    """Statistics of some tasks."""
    gram, corr, y_sq, z_mean, y_mean = stats
    if gram.ndim > 2:
        gram, z_mean = gram[tasks], z_mean[tasks]
    return GramStatistics(gram, corr[tasks], y_sq[tasks], z_mean, y_mean[tasks])
