"""Evidence and posterior of heads with a normal prior, under each of its strengths."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import Design

__all__ = ["Scales", "Solution", "Strengths", "kernels", "log_evidence", "solutions", "variances"]


@dataclass(frozen=True)
class Strengths:
    """Shares of the variance of targets, in G combinations.

    Attributes
    ----------
    heads : Tensor of shape (G,)
        Shares of heads on components.
    features : Tensor of shape (G, k)
        Shares of heads on features of each of k kinds.
    noise : Tensor of shape (G,)
        Shares of noise; all of these sum to one.
    """

    heads: Tensor
    features: Tensor
    noise: Tensor

    @classmethod
    def grid(cls, noise: Tensor, residual: Tensor) -> "Strengths":
        """All combinations of shares of noise (h,), and of features in what is not noise (r, k)."""
        return cls.products(1 - noise, residual, noise)

    @classmethod
    def products(cls, signal: Tensor, residual: Tensor, noise: Tensor) -> "Strengths":
        """Variances of signals, each with its noise, divided by each of the shares of features."""
        heads = signal[:, None] * (1 - residual.sum(1))
        features = signal[:, None, None] * residual
        return cls(heads.flatten(), features.flatten(0, 1), noise.repeat_interleave(len(residual)))

    @property
    def residual(self) -> Tensor:
        """Share of all features in the signal."""
        features = self.features.sum(1)
        return features / (self.heads + features)

    def __len__(self) -> int:
        return len(self.noise)

    def each(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One combination after the other."""
        return zip(self.heads, self.features, self.noise, strict=True)

    def part(self, index: Tensor) -> "Strengths":
        """Some of the combinations."""
        return Strengths(self.heads[index], self.features[index], self.noise[index])


class Scales(NamedTuple):
    """What the shares are shares of.

    Attributes
    ----------
    moment : Tensor of shape (1 + m, 1 + m) or (T, 1 + m, 1 + m)
        Second moment of intercept and head, of signals whose variance is one.
    feature : Tensor of shape (k, p)
        Variances of coefficients of the features, likewise, where each kind of features has all of
        the signal; zero for those of another kind.
    level : Tensor of shape ()
        Variance of an intercept beside that, which is not shared out.
    dof : Tensor of shape ()
        Degrees of freedom of the prior of the variance, whose unit is one.
    """

    moment: Tensor
    feature: Tensor
    level: Tensor
    dof: Tensor


class Solution(NamedTuple):
    """Posterior of heads of T tasks under one strength.

    Attributes
    ----------
    log_evidence : Tensor of shape (T,)
    half : Tensor of shape (T, n)
        Inverse of `root` times the targets.
    variance : Tensor of shape (T,)
        What covariances are in units of.
    root : Tensor of shape (B, n, n)
        Cholesky factor of the covariance.
    """

    log_evidence: Tensor
    half: Tensor
    variance: Tensor
    root: Tensor

    @property
    def dual(self) -> Tensor:
        """Covariance of the targets, inverted, times the targets, shape (T, n)."""
        return _solve(self.root, self.half, transposed=True)


def kernels(left: Design, right: Design, scales: Scales) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances (B, n, k) of heads on components, heads on each kind of features, intercepts.

    Those of features are stacked in a first dimension.
    """
    ones, others = left.components[..., :1], right.components[..., :1].mT
    if left is right:
        features = left.feature_products(scales.feature)
    else:
        features = (left.features * scales.feature[:, None, None]) @ right.features.mT
    heads = left.components @ scales.moment @ right.components.mT
    return heads, features, scales.level * (ones @ others)


def variances(design: Design, scales: Scales) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances (B, n) of rows with themselves, as `kernels` has them."""
    U = design.components
    features = torch.einsum("bnp,kp->kbn", design.features.square(), scales.feature)
    return ((U @ scales.moment) * U).sum(-1), features, scales.level * U[..., 0].square()


def solutions(design: Design, scales: Scales, strengths: Strengths) -> Iterator[Solution]:
    r"""Posterior of heads under one strength after the other.

    For targets :math:`y = U w + V v + e` with :math:`w \sim N(0, \sigma^2 (a S + l)), v \sim N(0,
    \sigma^2 K)`, K diagonal, :math:`K_{jj} = b_i \kappa_j` for features j of the kind i, and
    :math:`e \sim N(0, \sigma^2 c I)` with shares a, b, c, and
    :math:`\nu / \sigma^2 \sim \chi^2_\nu`, the density is Student's:

    .. math:: \log p(y) = -\tfrac12 \log\det C - \tfrac{\nu + n}2 \log(\nu + y' C^{-1} y) + const,
       \quad C = U (a S + l) U' + V K V' + c I.

    Parameters
    ----------
    design : Design
    scales : Scales
    strengths : Strengths

    Notes
    -----
    One Cholesky factorisation of an (n, n) matrix for each task and strength, or for each strength
    where tasks have the same rows: O(G T n^3).
    """
    heads, features, level = kernels(design, design, scales)
    y, dof = design.targets, scales.dof
    total = dof + design.n_labels
    constant = torch.lgamma(total / 2) - torch.lgamma(dof / 2) + dof / 2 * dof.log()
    covariance = torch.empty_like(heads)  # filled again and again: fresh memory costs more
    for a, b, c in strengths.each():
        torch.mul(heads, a, out=covariance)
        covariance.add_(level)
        for share, kind in zip(b, features, strict=True):
            covariance.addcmul_(kind, share)
        covariance.diagonal(dim1=-2, dim2=-1).add_(c)
        root = torch.linalg.cholesky_ex(covariance).L
        log_det = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + design.spare * c.log()
        half = _solve(root, y)
        square = dof + half.square().sum(-1) + design.left / c
        evidence = constant - 0.5 * log_det - 0.5 * total * square.log()
        yield Solution(evidence, half, square / total, root)


def log_evidence(design: Design, scales: Scales, strengths: Strengths) -> Tensor:
    """Of each strength for each task, shape (G, T), as `solutions` has it."""
    return torch.stack([s.log_evidence for s in solutions(design, scales, strengths)])


def _solve(root: Tensor, y: Tensor, *, transposed: bool = False) -> Tensor:
    """Triangular systems of tasks (T, n), with one matrix for all or one each."""
    if transposed:
        root = root.mT
    if len(root) == 1:
        return torch.linalg.solve_triangular(root[0], y.T, upper=transposed).T
    return torch.linalg.solve_triangular(root, y[..., None], upper=transposed)[..., 0]
