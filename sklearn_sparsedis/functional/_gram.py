"""The sufficient statistics of least squares."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional._shared_gram import SharedGram

__all__ = [
    "CentredTargets",
    "GramStatistics",
    "ROUNDED",
    "centre_targets",
    "centred_gram",
    "tensor_like",
    "summed_gram",
    "without_constants",
]

# Size that accumulated rounding errors of a mean may have, in units of the last place.
ROUNDED = 100


class GramStatistics(NamedTuple):
    """Sufficient statistics of the data for penalised least squares.

    Attributes
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        Z'PZ for row weights P that sum to one; (m, m) when all problems have the same.
    corr : Tensor of shape (*batch, m)
        Z'Py.
    y_sq : Tensor of shape (*batch,)
        y'Py.
    z_mean : Tensor of shape (m,) or (*batch, m)
    y_mean : Tensor of shape (*batch,)
        Weighted means that were subtracted; zeros without centring.
    """

    gram: Tensor
    corr: Tensor
    y_sq: Tensor
    z_mean: Tensor
    y_mean: Tensor


class CentredTargets(NamedTuple):
    """Centred targets of problems with the same row weights.

    Attributes
    ----------
    y : Tensor of shape (*batch, n)
    square : Tensor of shape (*batch,)
        y'Py.
    mean : Tensor of shape (*batch,)
        Means that were subtracted.
    """

    y: Tensor
    square: Tensor
    mean: Tensor


def centre_targets(
    y: Tensor, sample_weight: Tensor | None = None, *, centre: bool = True
) -> CentredTargets:
    """Centre targets once, for callers that pass the same ones to `centred_gram` again.

    Parameters
    ----------
    y : Tensor of shape (*batch, n)
    sample_weight : Tensor of shape (n,), optional
    centre : bool
        As in `centred_gram`.
    """
    share = None if sample_weight is None else _normalised(sample_weight.to(y.dtype))
    mean = y.mean(-1) if share is None else y @ share
    if centre:
        y = y - mean[..., None]
    square = torch.linalg.vecdot(y, y) / y.shape[-1] if share is None else (y * y) @ share
    return CentredTargets(y, square, mean if centre else torch.zeros_like(mean))


def centred_gram(
    Z: Tensor,
    y: Tensor | CentredTargets,
    sample_weight: Tensor | None = None,
    *,
    centre: bool = True,
    rounding: float | None = None,
) -> GramStatistics:
    """Weighted second moments of features and targets about their means.

    With them 1/2 (y_sq - 2 w'corr + w'gram w) is half the weighted mean squared error of Z w + b
    at its best intercept b = y_mean - w'z_mean.

    Parameters
    ----------
    Z : Tensor of shape (n, m) or (*batch, n, m)
        Features, shared by all problems or one matrix a problem.
    y : Tensor of shape (*batch, n), or CentredTargets
        Targets. If all problems share Z and the weights, they may be the result of
        `centre_targets` with the same weights.
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        Weights, not negative. A weight of zero leaves a row out of a problem; if all weights of a
        problem are zero, its rows count equally.
    centre : bool
        Whether to subtract the means. Then a feature that is constant in a problem, up to
        rounding, has moments of exactly zero.
    rounding : float, optional
        Largest standard deviation of a feature that counts as constant; by default the rounding
        error of its mean. Zero leaves all moments as they are.

    Notes
    -----
    With a shared Z and shared weights the cost is O(n m^2 + n m T) for T problems, otherwise
    O(T n m^2). Differentiable in Z and y.
    """
    if Z.ndim == 2 and (sample_weight is None or sample_weight.ndim == 1):
        if isinstance(y, Tensor):
            y = centre_targets(y, sample_weight, centre=centre)
        stats = _shared(Z, y, sample_weight, centre)
    else:
        assert isinstance(y, Tensor)  # for mypy
        if sample_weight is None:
            stats = _unweighted(Z, y, centre)
        else:
            share = _normalised(sample_weight.to(y.dtype))
            if Z.ndim == 2:
                return _shared_features(Z, y, share, centre, rounding)
            stats = _own_features(Z, y, share, centre)
    if not centre or rounding == 0:
        return stats
    if rounding is None:
        error = ROUNDED * torch.finfo(Z.dtype).eps * stats.z_mean.detach()
        return without_constants(stats, error.square())
    return without_constants(stats, rounding**2)


def without_constants(stats: GramStatistics, limit: Tensor | float) -> GramStatistics:
    """Set the centred moments of constant features to zero.

    A solver would otherwise take the rounding errors of a constant for data, because alpha can be
    as small as they are.

    Parameters
    ----------
    stats : GramStatistics
    limit : float or Tensor that broadcasts with the variances
        Largest variance of a constant.
    """
    varies = (stats.gram.detach().diagonal(dim1=-2, dim2=-1) > limit).to(stats.gram.dtype)
    both = varies[..., :, None] * varies[..., None, :]
    return stats._replace(gram=stats.gram * both, corr=stats.corr * varies)


def summed_gram(
    Z: Tensor,
    y: Tensor | CentredTargets,
    sample_weight: Tensor | None,
    part: Callable[[int], slice],
    total: Callable[[Tensor], Tensor],
    origin: Tensor | None = None,
) -> GramStatistics:
    """Compute `centred_gram` of features whose rows are spread over several processes.

    Parameters
    ----------
    Z : Tensor of shape (n_part, m)
        Features on this process's rows.
    y : Tensor of shape (*batch, n), or CentredTargets
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        As in `centred_gram`, on all rows.
    part : callable
        Maps the number of rows to the slice of those of this process.
    total : callable
        Sum of a vector over the processes, differentiable.
    origin : Tensor of shape (m,), optional
        A point near the mean of Z, compared with its standard deviation.

    Notes
    -----
    Two vectors are summed: the means, and the second moments about them; with an origin and centred
    targets the second only. Differentiable in Z.
    """
    known = None if isinstance(y, Tensor) else y
    own = y if isinstance(y, Tensor) else y.y
    rows, share = part(own.shape[-1]), Z.new_full((len(Z),), 1 / own.shape[-1])
    own = own[..., rows]
    if sample_weight is not None:
        share = _normalised(sample_weight.to(Z.dtype))[..., rows]
    apart = share.ndim > 1
    if known is None or origin is None:
        with torch.no_grad():
            common = share.flatten(0, -2).mean(0) if apart else share
            means = [common @ Z] if known else [common @ Z, (share * own).sum(-1)]
            origin, *target_means = _summed(means, total)
    y_mean = known.mean if known else target_means[0]
    own = own if known else own - y_mean[..., None]
    Z = Z - origin
    moments = _moments_apart(Z, own, share) if apart else _moments_together(Z, own, share)
    if not known and not apart:
        moments += ((own * own) @ share,)
    gram, corr, shift, *squares = _summed(moments, total)
    gram = gram - shift[..., :, None] * shift[..., None, :]
    y_sq = known.square if known else squares[0]
    return GramStatistics(gram, corr, y_sq, origin + shift, y_mean)


def _summed(tensors: Sequence[Tensor], total: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Sum tensors over the processes by one message."""
    flat = total(torch.cat([x.flatten() for x in tensors]))
    parts = flat.split([x.numel() for x in tensors])
    return [part.view_as(x) for part, x in zip(parts, tensors, strict=True)]


def _unweighted(Z: Tensor, y: Tensor, centre: bool) -> GramStatistics:
    # Dividing the products in place saves copies of the size of Z.
    n = Z.shape[-2]
    z_mean, y_mean = Z.new_zeros(()), y.new_zeros(())
    if centre:
        z_mean, y_mean = Z.mean(-2), y.mean(-1)
        Z, y = Z - z_mean[..., None, :], y - y_mean[..., None]
    gram = (Z.mT @ Z).div_(n)
    corr = (y[..., None, :] @ Z)[..., 0, :] / n
    z_mean, y_mean = z_mean.expand_as(corr), y_mean.expand(y.shape[:-1])
    return GramStatistics(gram, corr, y.square().mean(-1), z_mean, y_mean)


def _normalised(weight: Tensor) -> Tensor:
    weight = weight + (weight.sum(-1, keepdim=True) == 0)
    return weight / weight.sum(-1, keepdim=True)


def _shared(
    Z: Tensor, targets: CentredTargets, weight: Tensor | None, centre: bool
) -> GramStatistics:
    share = None if weight is None else _normalised(weight.to(Z.dtype))
    y, square, y_mean = targets
    gram, corr, z_mean = SharedGram.apply(Z, y.reshape(-1, len(Z)), share, centre)
    return _statistics(gram, corr.reshape(*y.shape[:-1], -1), square, z_mean, y_mean, centre)


def _own_features(Z: Tensor, y: Tensor, share: Tensor, centre: bool) -> GramStatistics:
    z_mean, y_mean = (share[..., None] * Z).sum(-2), (share * y).sum(-1)
    if centre:  # the mean minimises the second moments, so its derivative does not count
        Z, y = Z - z_mean.detach()[..., None, :], y - y_mean[..., None]
    weighted = share[..., None] * Z
    gram = Z.mT @ weighted
    corr = (weighted.mT @ y[..., None])[..., 0]
    return _statistics(gram, corr, (share * y * y).sum(-1), z_mean, y_mean, centre)


def _shared_features(
    Z: Tensor, y: Tensor, share: Tensor, centre: bool, rounding: float | None
) -> GramStatistics:
    # The common mean is subtracted first: the moments do not depend on it, but fewer digits cancel.
    origin = Z.detach().mean(0) if centre else Z.new_zeros(Z.shape[1])
    y_mean = (share * y).sum(-1)
    y = y - y_mean[..., None] if centre else y
    about, corr, z_mean, y_sq = _moments_apart(Z - origin, y, share)
    if not centre:
        return _statistics(about, corr, y_sq, z_mean, y_mean, centre)
    gram = about - z_mean[..., :, None] * z_mean[..., None, :]
    stats = GramStatistics(gram, corr, y_sq, z_mean + origin, y_mean)
    if rounding == 0:
        return stats
    # The difference has rounding errors where the mean of a problem is far from the common mean.
    error = about.detach().diagonal(dim1=-2, dim2=-1) * (ROUNDED * torch.finfo(Z.dtype).eps)
    return without_constants(stats, error if rounding is None else error + rounding**2)


def _moments_apart(Z: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, ...]:
    """Moments Z'PZ, y'PZ, 1'PZ and y'Py of rows, with a P for each problem."""
    # One product with the n x m^2 matrix of products of features gives all Gram matrices.
    n, m = Z.shape
    products = (Z[:, :, None] * Z[:, None, :]).reshape(n, m * m)
    gram = (share @ products).reshape(*share.shape[:-1], m, m)
    residual = share * y
    return gram, residual @ Z, share @ Z, (residual * y).sum(-1)


def _moments_together(Z: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, ...]:
    """Moments Z'PZ, y'PZ and 1'PZ of rows, with one P for all problems."""
    gram, corr, z_mean = SharedGram.apply(Z, y.reshape(-1, len(Z)), share, False)
    return gram, corr.reshape(*y.shape[:-1], -1), z_mean


def _statistics(
    gram: Tensor, corr: Tensor, y_sq: Tensor, z_mean: Tensor, y_mean: Tensor, centre: bool
) -> GramStatistics:
    if not centre:
        z_mean, y_mean = torch.zeros_like(z_mean), torch.zeros_like(y_mean)
    return GramStatistics(gram, corr, y_sq, z_mean, y_mean)


def tensor_like(value: Tensor | float, data: Tensor) -> Tensor:
    """Convert a number or a tensor to a tensor of the dtype and on the device of `data`."""
    return value.to(data) if isinstance(value, Tensor) else data.new_full((), value)
