"""Rows of new tasks as the evidence of a prior needs them: weighed, and no more than features."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Design", "LabelDesign", "TaskRows"]


class TaskRows(NamedTuple):
    """Labelled rows of T tasks.

    Attributes
    ----------
    components : Tensor of shape (T, n, m) or (1, n, m)
        The latter where all tasks have the same rows with the same weights.
    features : Tensor of shape (T, n, p) or (1, n, p)
        Standardised features; p is zero where no head is on them.
    targets : Tensor of shape (T, n)
    weight : Tensor of shape (T, n) or (1, n)
        Weights; a row of weight zero is no row.
    """

    components: Tensor
    features: Tensor
    targets: Tensor
    weight: Tensor

    def task(self, i: int) -> "TaskRows":
        """Those of one task."""
        return TaskRows(*(x if len(x) == 1 else x[i : i + 1] for x in self))

    def levels(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each task's targets, shape (T,) each."""
        share = self.weight / self.weight.sum(-1, keepdim=True).clamp_min(1e-300)
        mean = (share * self.targets).sum(-1)
        return mean, (share * (self.targets - mean[:, None]).square()).sum(-1).sqrt()

    def weighed(self) -> tuple[Tensor, Tensor]:
        """Weights, and how many labels they stand for, shape (T,) or (1,).

        Weights have the mean one, unless they are counts: one of two stands for two equal rows.
        """
        total, count = self.weight.sum(-1), (self.weight > 0).to(self.targets).sum(-1)
        n_labels = total.maximum(count)
        return self.weight * (n_labels / total.clamp_min(1e-300))[..., None], n_labels


@dataclass(frozen=True)
class Design:
    """Least squares of T tasks whose noise has the same variance in all rows.

    Attributes
    ----------
    components : Tensor of shape (B, n, 1 + m)
        With a column for the intercept first; B is T or 1.
    features : Tensor of shape (B, n, p)
    targets : Tensor of shape (T, n)
    spare : Tensor of shape (T,)
        How many labels there are beyond the n rows.
    left : Tensor of shape (T,)
        Sum of squares of the targets which no head explains, beyond the rows.
    n_labels : Tensor of shape (T,)
    """

    components: Tensor
    features: Tensor
    targets: Tensor
    spare: Tensor
    left: Tensor
    n_labels: Tensor
    _known: list[tuple[Tensor, Tensor]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def feature_products(self, variances: Tensor) -> Tensor:
        """Inner products (k, B, n, n) of rows under variances (k, p) of their features.

        Those of the last variances are kept, because priors that are tried differ in other things.
        """
        if not self._known or self._known[0][0] is not variances:
            products = (self.features * variances[:, None, None]) @ self.features.mT
            self._known[:] = [(variances, products)]
        return self._known[0][1]

    @classmethod
    def of(cls, rows: TaskRows) -> "Design":
        """Rows that were multiplied by the roots of their weights.

        A row of weight zero is left with nothing, which costs the evidence nothing. More rows than
        features are turned into as many as there are, and a sum of squares.
        """
        weight, n_labels = rows.weighed()
        root = weight.sqrt()
        U = torch.cat([torch.ones_like(rows.components[..., :1]), rows.components], -1)
        U, V, y = U * root[..., None], rows.features * root[..., None], rows.targets * root
        n_labels = n_labels.expand(len(y))
        left = y.new_zeros(len(y))
        width = U.shape[-1] + V.shape[-1]
        if U.shape[1] > width:
            Q, R = torch.linalg.qr(torch.cat([U, V], -1))
            turned = (Q.mT @ y[..., None])[..., 0]
            left = (y - (Q @ turned[..., None])[..., 0]).square().sum(-1)
            U, V = R[..., : U.shape[-1]], R[..., U.shape[-1] :]
            y = turned
        return cls(U, V, y, n_labels - y.shape[1], left, n_labels)

    def of_tasks(self, tasks: Tensor) -> "Design":
        """Those of some tasks."""
        own = (self.components, self.features)
        U, V = (x if len(x) == 1 else x[tasks] for x in own)
        return Design(
            U, V, *(x[tasks] for x in (self.targets, self.spare, self.left, self.n_labels))
        )

    @classmethod
    def of_inputs(cls, components: Tensor, features: Tensor) -> "Design":
        """Rows (k, m) and (k, p) of which no targets are known."""
        U = torch.cat([torch.ones_like(components[:, :1]), components], -1)
        none = components.new_zeros(1)
        return cls(U[None], features[None], components.new_zeros(1, len(U)), none, none, none)


@dataclass(frozen=True)
class LabelDesign:
    """Labels 0 and 1 of T tasks.

    Attributes
    ----------
    components : Tensor of shape (B, n, 1 + m)
        With a column for the intercept first; B is T or 1. Tasks' own rows are zero where they
        have no weight.
    features : Tensor of shape (B, n, p)
    targets : Tensor of shape (T, n)
    weight : Tensor of shape (T, n) or (1, n)
    offset : Tensor of shape (T, n)
        Log-odds of a mean head, about which the others are normal.
    """

    components: Tensor
    features: Tensor
    targets: Tensor
    weight: Tensor
    offset: Tensor

    @classmethod
    def of(cls, rows: TaskRows, mean: Tensor) -> "LabelDesign":
        """Rows, and mean heads (T, 1 + m) or (1, 1 + m)."""
        weight = rows.weighed()[0]
        U = torch.cat([torch.ones_like(rows.components[..., :1]), rows.components], -1)
        offset = (U @ mean[..., None])[..., 0].expand_as(rows.targets)
        V = rows.features
        if len(U) == len(weight):  # of shared rows, another task may have a label
            U, V = (x * (weight > 0)[..., None] for x in (U, V))
        return cls(U, V, rows.targets, weight, offset)
