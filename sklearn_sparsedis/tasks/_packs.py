"""Rectangles of observations of tasks, and rows of components for them."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Block", "Pack", "predictions_at", "segments", "similar_sizes", "spread"]

# observations that are predicted together
PREDICTED = 2**16
# sizes join a group if they are at least this share of its largest
FILLED = 0.9


class Pack(NamedTuple):
    """What was observed of T tasks, in rectangles.

    Attributes
    ----------
    tasks : Tensor of int64, shape (T,)
        Which tasks.
    row : Tensor of int64, shape (T, k)
        Rows they were observed on; any row where a rectangle is not filled.
    value : Tensor of shape (T, k)
        Targets, zero where not filled.
    weight : Tensor of shape (T, k)
        Weights, zero where not filled.
    """

    tasks: Tensor
    row: Tensor
    value: Tensor
    weight: Tensor

    def split(
        self, fraction: float, generator: torch.Generator | None = None
    ) -> tuple["Pack", int]:
        """Part of each task's observations, drawn at random, after the others.

        Returns
        -------
        pack : Pack
            With the part in places of its own.
        n_before : int
            Places before it. At least two observations stay there, if there are so many.
        """
        filled = self.weight > 0
        count = filled.sum(1)
        n_after = (fraction * count).round().long().clamp_min(1).minimum((count - 2).clamp_min(0))
        keys = torch.rand(filled.shape, generator=generator, dtype=torch.float64)
        order = torch.where(filled, keys, 2.0).argsort(dim=1)
        n_before, width = int((count - n_after).max()), int(n_after.max())
        place = torch.arange(n_before + width)
        after = place >= n_before
        source = torch.where(after, (count - n_after)[:, None] + place - n_before, place)
        kept = torch.where(after, count[:, None], (count - n_after)[:, None])
        chosen = order.gather(1, source.clamp_max(filled.shape[1] - 1))
        row, value, weight = (x.gather(1, chosen) for x in self[1:])
        inside = source < kept
        return Pack(
            self.tasks, row, torch.where(inside, value, 0.0), torch.where(inside, weight, 0.0)
        ), n_before


class Block(NamedTuple):
    """Some tasks with rows of components.

    Attributes
    ----------
    tasks : Tensor of int64, shape (T,)
        Which tasks; on the CPU.
    Z : Tensor of shape (k, m) or (T, k, m)
        Rows that the tasks share, or that each task has for itself.
    Y : Tensor of shape (k, T)
        Targets.
    weights : None or Tensor of shape (k,) or (k, T)
        Weights of rows or labels.
    """

    tasks: Tensor
    Z: Tensor
    Y: Tensor
    weights: Tensor | None


def predictions_at(row: Tensor, task: Tensor, Z: Tensor, coef: Tensor, intercept: Tensor) -> Tensor:
    """Predictions of some tasks on some rows, one of each, shape (n_observed,)."""
    found = torch.empty(len(row), dtype=coef.dtype)
    for part in torch.arange(len(row)).split(PREDICTED):
        t = task[part]
        found[part] = (Z[row[part]] * coef[t]).sum(-1) + intercept[t]
    return found


def segments(start: Tensor, count: Tensor) -> Tensor:
    """Positions of segments, one after the other: start[0], start[0] + 1, ..., start[1], ..."""
    shift = start - (count.cumsum(0) - count)
    return torch.arange(int(count.sum())) + shift.repeat_interleave(count)


def spread(count: Tensor, width: int, generator: torch.Generator | None) -> Tensor:
    """`width` different positions below each count (T, 1), all with the same probability.

    One in each of as many parts of a circle, which is turned at random.
    """
    bounds = torch.arange(width + 1) * count // width
    inside = torch.rand(len(count), width, generator=generator, dtype=torch.float64)
    turn = torch.rand(len(count), 1, generator=generator, dtype=torch.float64)
    place = bounds[:, :-1] + (inside * bounds.diff(dim=1)).long()
    return (place + (turn * count).long()) % count.clamp_min(1)


def similar_sizes(count: Tensor) -> list[Tensor]:
    """Groups of positions in `count` (G,) with similar sizes, of which rectangles are nearly full.

    In each the smallest size is nine tenths of the largest or more.
    """
    sizes, order = count.sort(descending=True, stable=True)
    negative = -sizes.double()
    groups, first = [], 0
    while first < len(order):
        bound = FILLED * negative[first]
        last = max(int(torch.searchsorted(negative, bound, right=True)), first + 1)
        groups.append(order[first:last])
        first = last
    return groups
