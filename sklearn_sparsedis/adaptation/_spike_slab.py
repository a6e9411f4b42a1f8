"""Which components new tasks use: spikes at zero and slabs, by expectation propagation."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design
from sklearn_sparsedis.adaptation._evidence import Scales

__all__ = ["SparseHeads", "Spikes", "sparse_heads"]

# more steps of this length change less than the approximation errs by
STEPS = 8
DAMPING = 0.7
# bounds of a site's precision, in units of its slab's
LEAST, MOST = 1e-3, 1e9
# share of a head in the variance of targets that is as good as none
NO_HEAD = 1e-9


class Spikes(NamedTuple):
    """How often, and how much, tasks use each component.

    Attributes
    ----------
    share : Tensor of shape (m,) or (T, m)
        Probability that a task uses a component.
    slab : Tensor of shape (m,) or (T, m)
        Variance of its coefficient if it does, for signals whose variance is one.
    center : Tensor of shape (m,) or (T, m)
        Mean of its coefficient if it does, likewise.
    """

    share: Tensor
    slab: Tensor
    center: Tensor

    @classmethod
    def of(cls, heads: Tensor, used: Tensor, *, without: int = 0) -> "Spikes":
        """From old heads (T, m), all of them or all but each of the first ones.

        Shares and second moments are as if one more task had used each component as often, and as
        much, as components are used on the average, and means as if with coefficients about zero.
        """
        used = used.to(heads)
        heads = used * heads
        sums = torch.stack([used, heads, heads.square()])
        count, total, square = sums.sum(1, keepdim=True)
        n, about, rate = len(heads), square.sum() / count.sum().clamp_min(1), used.mean()
        about = torch.where(about > 0, about, 1.0)
        if without:
            count, total, square = sums.sum(1, keepdim=True) - sums[:, :without]
            n = n - 1
        edge = 0.5 / (n + 1)
        share = ((count + rate) / (n + 1)).clamp(edge, 1 - edge)
        center = total / (count + 1)
        slab = (square + about) / (count + 1) - center.square()
        size = (share * (slab + center.square())).sum(-1, keepdim=True)
        return cls(share, slab / size, center / size.sqrt())


class SparseHeads(NamedTuple):
    """Posterior of heads under one strength.

    Attributes
    ----------
    log_evidence : Tensor of shape (T,)
        Up to the constant of `solutions`.
    coef : Tensor of shape (T, m)
        Their means.
    probability : Tensor of shape (T, m)
        That a task uses a component.
    dual : Tensor of shape (T, n)
        Covariance of intercepts, heads on features and noise, inverted, times what heads leave.
    """

    log_evidence: Tensor
    coef: Tensor
    probability: Tensor
    dual: Tensor


def sparse_heads(
    design: Design, scales: Scales, spikes: Spikes, strength: tuple[Tensor, Tensor, Tensor]
) -> SparseHeads:
    r"""Heads of which each coefficient is zero or normal.

    As in `solutions`, but with :math:`w_j = 0` with probability :math:`1 - \pi_j` and
    :math:`w_j \sim N(\sqrt a \mu_j, \sigma^2 a s_j)` otherwise, independently, by expectation
    propagation [1]_, in which :math:`\sigma^2` takes its most probable value.

    Parameters
    ----------
    design : Design
    scales : Scales
    spikes : Spikes
    strength : tuple of Tensor
        Of heads, features and noise.

    References
    ----------
    .. [1] Hernandez-Lobato, Hernandez-Lobato and Suarez, "Expectation propagation in linear
       regression models with spike-and-slab priors", Machine Learning, 2015.
    """
    a, b, c = strength
    U, V, y = design.components, design.features, design.targets
    ones, Z = U[..., :1], U[..., 1:]
    base = scales.level * (ones @ ones.mT) + (V * (b @ scales.feature)) @ V.mT
    base.diagonal(dim1=-2, dim2=-1).add_(c)
    root = torch.linalg.cholesky_ex(base).L
    Z = torch.linalg.solve_triangular(root, Z, upper=False)
    y = torch.linalg.solve_triangular(root, y[..., None], upper=False)[..., 0]
    log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + design.spare * c.log()
    square = y.square().sum(-1) + design.left / c
    gram, cross = (Z.mT @ Z).expand(len(y), -1, -1), (Z.mT @ y[..., None])[..., 0]
    a = a.clamp_min(NO_HEAD)
    scaled = Spikes(spikes.share, a * spikes.slab, a.sqrt() * spikes.center)
    own = Spikes(*(x.expand_as(cross) for x in scaled))
    sites = _propagate(gram, cross, square, design.n_labels, own, scales.dof)
    evidence = sites.log_evidence - 0.5 * log_det
    left = y - (Z @ sites.mean[..., None])[..., 0]
    dual = torch.linalg.solve_triangular(root.mT, left[..., None], upper=True)[..., 0]
    found = SparseHeads(evidence, sites.mean, sites.probability, dual)
    # propagation need not converge: heads that are no numbers are no hypothesis
    settled = torch.stack(
        [x.isfinite().all(-1) if x.ndim > 1 else x.isfinite() for x in found]
    ).all(0)
    evidence = torch.where(settled, evidence, -torch.inf)
    finite = (torch.where(settled[:, None], x, 0.0) for x in found[1:])
    return SparseHeads(evidence, *finite)


class _Sites(NamedTuple):
    log_evidence: Tensor
    mean: Tensor
    probability: Tensor


def _propagate(
    gram: Tensor,
    cross: Tensor,
    square: Tensor,
    n: Tensor,
    spikes: Spikes,
    dof: Tensor,
) -> _Sites:
    """Sites of the coefficients, for y'y, Z'y and Z'Z of T tasks with noise of variance one.

    Precisions and variances are in units of the variance and of its inverse.
    """
    share, slab, mu = spikes
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    precision, linear = 1 / (share * slab), torch.zeros_like(cross)
    variance = (square + dof) / (n + dof)
    odds = share.log() - (-share).log1p()
    for step in range(STEPS + 1):
        inverse = gram.clone()
        inverse.diagonal(dim1=1, dim2=2).add_(precision)
        factor = torch.linalg.cholesky_ex(inverse).L
        root = torch.linalg.solve_triangular(factor, eye, upper=False)
        own = root.square().sum(1)
        mean = (root.mT @ (root @ (cross + linear)[..., None]))[..., 0]
        cavity = 1 / (1 / own - precision).clamp_min(LEAST / slab)
        center = cavity * (mean / own - linear)
        # of the coefficient under the cavity, if it is used and altogether
        unit = variance[:, None]
        both = cavity + slab
        used_variance, used_mean = slab * cavity / both, (slab * center + cavity * mu) / both
        gain = center.square() / cavity - (center - mu).square() / both
        gain = 0.5 * ((cavity / both).log() + gain / unit)
        probability = torch.sigmoid(odds + gain)
        if step == STEPS:
            break
        second = probability * (used_variance + used_mean.square() / unit)
        first = probability * used_mean
        spread = (second - first.square() / unit).clamp_min(1 / (MOST / slab))
        matched = (1 / spread - 1 / cavity).clamp(LEAST / slab, MOST / slab)
        change = first * (1 / cavity + matched) - center / cavity
        # y'y - 2 m'Z'y + m'Z'Zm + unit * trace(Z'Z V), as V (Z'Z + D) = I
        fit = square - (mean * (cross - linear + precision * mean)).sum(-1)
        fit = (fit + variance * (1 - precision * own).sum(-1)).clamp_min(0)
        prior = (probability * (used_variance * unit + (used_mean - mu).square()) / slab).sum(-1)
        variance = (dof + fit + prior) / (dof + n + probability.sum(-1))
        precision = precision + DAMPING * (matched - precision)
        linear = linear + DAMPING * (change - linear)
    tilted = torch.logaddexp(share.log() + gain, (-share).log1p())
    tilted = tilted - 0.5 * (cavity.log() + center.square() / cavity / unit)
    site = 0.5 * (own / cavity).log()
    site = site - 0.5 * (center.square() / cavity - mean.square() / own) / unit
    whole = 0.5 * (((cross + linear) * mean).sum(-1) - square) / variance
    whole = whole - factor.diagonal(dim1=1, dim2=2).log().sum(-1)
    half, total = dof / 2, n + dof
    evidence = (tilted - site).sum(-1) + whole - 0.5 * n * (2 * variance).log()
    # of the variance, by Laplace's approximation around its logarithm
    evidence = (
        evidence + half * half.log() - torch.lgamma(half) - half * (variance.log() + 1 / variance)
    )
    return _Sites(evidence + 0.5 * (4 * math.pi / total).log(), mean, probability)
