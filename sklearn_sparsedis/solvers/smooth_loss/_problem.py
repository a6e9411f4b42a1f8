"""Batches of penalised fits under a smooth loss."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional._gram import ROUNDED, tensor_like
from sklearn_sparsedis.functional._support import gram_matvec
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.smooth_loss._losses import CentredTargets, Loss
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty

__all__ = ["Design", "Moments", "PosedProblem", "SmoothProblem", "pose"]

# products of pairs of features are kept where they are so few in all, and features so few
PRODUCTS = 4_000_000
PRODUCT_FEATURES = 48
# weighted copies of the features are made in parts of so many entries
COPIES = {"cpu": 1_000_000}
COPIES_ELSEWHERE = 100_000_000


class Moments(NamedTuple):
    """Weighted second moments of the features about their weighted means.

    Attributes
    ----------
    gram : Tensor of shape (T, m, m)
    mean : Tensor of shape (T, m)
    total : Tensor of shape (T,)
        Sum of the weights.
    """

    gram: Tensor
    mean: Tensor
    total: Tensor


@dataclass(frozen=True)
class Design:
    """Features of T problems: one matrix (n, m) for all, or (T, n, m).

    `products` holds the products of all pairs of features, (n, m^2), where they are few. `varies`,
    (T, m), is zero for the features that do not vary in a problem and one for the others; None
    where all vary. The former count as zero.
    """

    Z: Tensor
    products: Tensor | None = None
    varies: Tensor | None = None

    @classmethod
    def of(cls, Z: Tensor, varies: Tensor | None = None) -> "Design":
        n, m = Z.shape[-2:]
        if Z.ndim > 2:
            return cls(Z if varies is None else Z * varies[:, None], None, varies)
        if m > PRODUCT_FEATURES or n * m * m > PRODUCTS:
            return cls(Z, None, varies)
        return cls(Z, (Z[:, :, None] * Z[:, None, :]).reshape(n, m * m), varies)

    def part(self, index: Tensor) -> "Design":
        Z = self.Z if self.Z.ndim == 2 else self.Z[index]
        return Design(Z, self.products, None if self.varies is None else self.varies[index])

    def combine(self, coef: Tensor) -> Tensor:
        """Z w of each problem, (T, m) to (T, n)."""
        return coef @ self.Z.T if self.Z.ndim == 2 else torch.bmm(coef[:, None], self.Z.mT)[:, 0]

    def correlate(self, rows: Tensor) -> Tensor:
        """Z'r of each problem, (T, n) to (T, m)."""
        if self.Z.ndim > 2:
            return torch.bmm(rows[:, None], self.Z)[:, 0]
        return rows @ self.Z if self.varies is None else (rows @ self.Z) * self.varies

    def moments(self, weight: Tensor) -> Moments:
        """Moments under the weights (T, n) of rows."""
        total = weight.sum(-1)
        mean = self.correlate(weight) / torch.where(total > 0, total, 1.0)[:, None]
        gram = self._second_moments(weight)
        if self.varies is not None and self.Z.ndim == 2:
            gram = gram * (self.varies[:, :, None] * self.varies[:, None, :])
        gram = torch.baddbmm(gram, (mean * total[:, None])[:, :, None], mean[:, None], alpha=-1)
        return Moments(gram, mean, total)

    def squares(self) -> "Design":
        """The squared features."""
        return replace(self, Z=self.Z.square(), products=None)

    def distances(self, metric: Tensor, mean: Tensor) -> Tensor:
        """(z - mean)'A(z - mean) of each row, for A (T, m, m) and means (T, m)."""
        T, m = mean.shape
        if self.varies is not None:
            metric = metric * (self.varies[:, :, None] * self.varies[:, None, :])
        left = gram_matvec(metric, mean)
        about = (left * mean).sum(-1, keepdim=True) - 2 * self.combine(left)
        if self.products is not None:
            return metric.reshape(T, m * m) @ self.products.T + about
        parts = []
        for part in self._parts(T):
            Z = self.Z if self.Z.ndim == 2 else self.Z[part]
            parts.append(((Z @ metric[part]) * Z).sum(-1))
        return torch.cat(parts) + about

    def _parts(self, T: int) -> list[slice]:
        """Problems that have copies of the features at the same time."""
        n, m = self.Z.shape[-2:]
        size = max(1, COPIES.get(self.Z.device.type, COPIES_ELSEWHERE) // max(n * m, 1))
        return [slice(start, start + size) for start in range(0, max(T, 1), size)]

    def _second_moments(self, weight: Tensor) -> Tensor:
        T, m = len(weight), self.Z.shape[-1]
        if self.products is not None:
            return (weight @ self.products).view(T, m, m)
        parts = []
        for part in self._parts(T):
            Z = self.Z if self.Z.ndim == 2 else self.Z[part]
            parts.append((Z.mT * weight[part][:, None]) @ Z)
        return torch.cat(parts)


@dataclass(frozen=True)
class SmoothProblem:
    """T problems.

    Attributes
    ----------
    design : Design
    y : Tensor of shape (T, n)
    share : Tensor of shape (T, n) or (T, 1)
        Weights of rows; all zero for a problem that is not to move.
    alpha : Tensor of shape (T,)
    null : Tensor of shape (T,)
        Objective of the best constant.
    loss : Loss
    penalty : Penalty
    """

    design: Design
    y: Tensor
    share: Tensor
    alpha: Tensor
    null: Tensor
    loss: Loss
    penalty: Penalty

    def part(self, index: Tensor) -> "SmoothProblem":
        return replace(
            self,
            design=self.design.part(index),
            y=self.y[index],
            share=self.share[index],
            alpha=self.alpha[index],
            null=self.null[index],
            loss=self.loss.part(index),
        )


@dataclass(frozen=True)
class PosedProblem:
    """Problems about the mean of their features, and what leads back from there.

    Attributes
    ----------
    problem : SmoothProblem
    origin : Tensor of shape (m,) or (T, m)
        What was taken from the features.
    targets : CentredTargets
        With the best constants. Problems that are not to move have shares of zero, so that they
        stay where they start.
    batch : torch.Size
        Shape of the T problems.
    """

    problem: SmoothProblem
    origin: Tensor
    targets: CentredTargets
    batch: torch.Size

    def start(
        self, coef_init: Tensor | None, intercept_init: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Coefficients and intercepts (about the origin) where a solver starts."""
        fixed, level = self.targets.fixed, self.targets.level
        T, m = len(fixed), self.problem.design.Z.shape[-1]
        coef, intercept = self.problem.y.new_zeros(T, m), self.targets.start
        if coef_init is not None:
            start = coef_init.reshape(T, m).to(coef.dtype)
            varies = self.problem.design.varies
            start = start if varies is None else torch.where(varies > 0, start, 0.0)
            coef = torch.where(fixed[:, None], coef, start)
        if intercept_init is not None:
            moved = intercept_init.reshape(T).to(coef.dtype) + (coef * self.origin).sum(-1) - level
            intercept = torch.where(fixed, intercept, moved)
        return coef, intercept

    def intercept(self, coef: Tensor, intercept: Tensor) -> Tensor:
        """Intercepts for the features and targets as they were given."""
        return intercept - (coef * self.origin).sum(-1) + self.targets.level


def pose(
    loss: Loss, penalty: Penalty, Z: Tensor, y: Tensor, share: Tensor, alpha: Tensor | float
) -> PosedProblem:
    """Problems as the arguments of `solve_smooth` and `functional.row_shares` give them."""
    if not isinstance(alpha, Tensor) and not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha!r}: {loss.without_penalty}")
    batch, n = y.shape[:-1], y.shape[-1]
    Z = Z if Z.ndim == 2 else Z.expand(*batch, *Z.shape[-2:]).reshape(-1, *Z.shape[-2:])
    origin = Z.mean(-2)
    y = y.reshape(-1, n)
    T = len(y)
    share = share.reshape(T, share.shape[-1])
    loss = loss.pose(batch, y)
    targets = loss.centre(y, share)
    centred = Z - origin[..., None, :]
    problem = SmoothProblem(
        Design.of(centred, _varying(centred, origin, share)),
        targets.y,
        torch.where(targets.fixed[:, None], 0.0, share),
        torch.where(targets.fixed, 1.0, tensor_like(alpha, y).expand(batch).reshape(T)),
        targets.null,
        loss,
        penalty,
    )
    return PosedProblem(problem, origin, targets, batch)


def _varying(Z: Tensor, origin: Tensor, share: Tensor) -> Tensor | None:
    """`Design.varies` of features about their origin, by their variance beyond rounding.

    On the CPU None where all features vary in all problems, which spares the steps its products.
    """
    rows = share.expand(-1, Z.shape[-2])
    mean, square = Design(Z).correlate(rows), Design(Z.square()).correlate(rows)
    rounding = ROUNDED * torch.finfo(Z.dtype).eps
    varies = square - mean.square() > rounding * square + (rounding * origin).square()
    if Z.device.type == "cpu" and not any_true(~varies):
        return None
    return varies.to(Z.dtype)
