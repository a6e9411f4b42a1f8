"""Laplace's approximation of heads with a normal prior for labels 0 and 1, under each strength."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sklearn_sparsedis.adaptation._design import LabelDesign
from sklearn_sparsedis.adaptation._evidence import Scales, Strengths
from sklearn_sparsedis.functional._sync import any_true

__all__ = ["Mode", "modes"]

# Newton's method for log-odds: steps, the longest one, and the change of all at which it ends
STEPS = 50
LONGEST = 2.0
SETTLED = 1e-7
# added to the diagonal of covariances that have no full rank, in shares of it
JITTER = 1e-9


class Mode(NamedTuple):
    """The most probable heads of T tasks under one strength.

    Attributes
    ----------
    log_evidence : Tensor of shape (T,)
    dual : Tensor of shape (T, n)
        Gradient of the log-likelihood in the log-odds: their covariance times it are the log-odds.
    """

    log_evidence: Tensor
    dual: Tensor


def modes(design: LabelDesign, scales: Scales, strengths: Strengths) -> Iterator[Mode]:
    r"""Most probable heads and evidence under one strength after the other.

    For log-odds :math:`f = o + U w + V v` with :math:`w \sim N(0, a S), v \sim N(0, K)` with K as
    in `solutions`, and the mode of the posterior,

    .. math:: \log p(y) \approx \log p(y | f) - \tfrac12 \|\beta\|^2
       - \tfrac12 \log\det(I + \Phi' W \Phi), \quad f = o + \Phi \beta,
       \quad \Phi \Phi' = a U S U' + V K V', \quad W = \mathrm{diag}(p (1 - p)).

    Parameters
    ----------
    design : LabelDesign
    scales : Scales
        Without a level: intercepts are in the moment.
    strengths : Strengths
        Without noise.

    Notes
    -----
    Newton's method with steps that change no log-odds by more than two. Each costs O(n r^2) a task
    and strength, where r is the number of rows or of columns, whichever is less.
    """
    root_of = _root(design, scales)
    for heads, features, _ in strengths.each():
        yield _mode(root_of(heads, features), design)


def _root(design: LabelDesign, scales: Scales) -> Callable[[Tensor, Tensor], Tensor]:
    """Function from shares of heads and of features to a root of the covariance (B, n, r)."""
    U, V, sizes = design.components, design.features, scales.feature
    values, vectors = torch.linalg.eigh(scales.moment)
    U = U @ (vectors * values.clamp_min(0).sqrt()[..., None, :])
    if U.shape[1] > U.shape[2] + V.shape[2]:
        return lambda a, b: torch.cat([a.sqrt() * U, (b @ sizes).sqrt() * V], -1)
    heads, beside = U @ U.mT, (V * sizes[:, None, None]) @ V.mT

    def root(a: Tensor, b: Tensor) -> Tensor:
        covariance = a * heads + torch.tensordot(b, beside, 1)
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        diagonal += JITTER * diagonal.mean(-1, keepdim=True) + torch.finfo(U.dtype).tiny
        return torch.linalg.cholesky_ex(covariance).L

    return root


def _mode(root: Tensor, design: LabelDesign) -> Mode:
    y, weight = design.targets, design.weight
    beta = y.new_zeros(len(y), root.shape[2])
    eye = torch.eye(root.shape[2], dtype=y.dtype, device=y.device)
    for step in range(STEPS + 1):
        f = design.offset + (root @ beta[..., None])[..., 0]
        p = torch.sigmoid(f)
        dual = weight * (y - p)
        curvature = (root * (weight * p * (1 - p))[..., None]).mT @ root + eye
        factor = torch.linalg.cholesky_ex(curvature).L
        gradient = (root.mT @ dual[..., None]) - beta[..., None]
        change = torch.cholesky_solve(gradient, factor)
        length = (root @ change).abs().amax((1, 2))
        if step == STEPS or not any_true(length > SETTLED):
            break
        beta = beta + change[..., 0] * (LONGEST / length.clamp_min(LONGEST))[:, None]
    log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    fit = (weight * (y * f - softplus(f))).sum(-1)
    return Mode(fit - 0.5 * beta.square().sum(-1) - 0.5 * log_det, dual)
