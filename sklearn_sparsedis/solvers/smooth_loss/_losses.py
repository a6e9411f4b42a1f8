"""What the solver of smooth losses needs to know of a loss."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_sparsedis.functional import bernoulli_divergence, bernoulli_entropy, logistic_loss

__all__ = ["CentredTargets", "LogisticLoss", "Loss", "Rows"]


class Rows(Protocol):
    """The loss of every row at its score, and its derivatives in the score; shape (T, n)."""

    @property
    def value(self) -> Tensor:
        """The loss."""

    @property
    def residual(self) -> Tensor:
        """Minus the first derivative."""

    def curvature(self, share: Tensor) -> Tensor:
        """The second derivative times weights of the rows."""

    def divergence(self, step: Tensor) -> Tensor:
        """Fenchel gap of the dual variables residual - step.

        It is loss(f) + conjugate(-u) + u f for u = residual - step, where u lies between zero and
        the residual.
        """


class CentredTargets(NamedTuple):
    """Targets as the solver sees them, and the best constant prediction.

    Attributes
    ----------
    y : Tensor of shape (T, n)
    level : Tensor of shape (T,)
        What was taken from the targets.
    start : Tensor of shape (T,)
        Intercept of the best constant for `y`; of a problem that is not to move, its solution.
    null : Tensor of shape (T,)
        Objective of the best constant.
    fixed : Tensor of bool, shape (T,)
        Which problems are not to move: their solution is a constant that is known.
    """

    y: Tensor
    level: Tensor
    start: Tensor
    null: Tensor
    fixed: Tensor


class Loss(Protocol):
    """A convex loss of scores f and targets y, (T, n), with a bounded second derivative in f.

    The derivative in f of the loss of every row must be bounded, too, or vanish at its target.
    """

    @property
    def parameter(self) -> Tensor | None:
        """A number a problem that the loss depends on, shape (*batch,) or (); None without one."""

    @property
    def slope_bound(self) -> Tensor | float:
        """Largest absolute derivative, a number or (T, 1): the unit of residuals."""

    @property
    def without_penalty(self) -> str:
        """Why a penalty is needed, for a message."""

    def pose(self, batch: torch.Size, like: Tensor) -> "Loss":
        """The loss of a batch of problems in one dimension, with the dtype and device of `like`."""

    def part(self, index: Tensor) -> "Loss":
        """The loss of some problems."""

    def centre(self, y: Tensor, share: Tensor) -> CentredTargets:
        """Targets about their best constant, where the loss allows that."""

    def value(self, score: Tensor, y: Tensor) -> Tensor:
        """The loss of every row."""

    def at(self, score: Tensor, y: Tensor) -> Rows:
        """The loss of every row, with its derivatives."""

    def majorant(self, score: Tensor, y: Tensor) -> Tensor | float:
        """Curvature of a parabola through the loss and its slope that is nowhere below the loss."""

    def by_target(self, score: Tensor, y: Tensor) -> tuple[Tensor | float, Tensor]:
        """Derivatives in y of the residual and of the loss."""

    def by_parameter(self, score: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives in the parameter of the residual and of the loss."""


class _LogisticRows(NamedTuple):
    value: Tensor
    residual: Tensor
    above: Tensor
    below: Tensor

    def curvature(self, share: Tensor) -> Tensor:
        return share * self.above * self.below

    def divergence(self, step: Tensor) -> Tensor:
        return bernoulli_divergence(self.above, self.below, step)


class LogisticLoss:
    """log(1 + exp(f)) - y f, for labels y in [0, 1]."""

    parameter = None
    slope_bound = 1.0
    without_penalty = "without a penalty, labels that a head separates have no solution."

    def pose(self, batch: torch.Size, like: Tensor) -> "LogisticLoss":
        return self

    def part(self, index: Tensor) -> "LogisticLoss":
        return self

    def centre(self, y: Tensor, share: Tensor) -> CentredTargets:
        """Labels of one kind only have the intercept of a rate of half a row."""
        ones, zeros = (share * y).sum(-1), (share * (1 - y)).sum(-1)
        single = (ones <= 0) | (zeros <= 0)
        rate = torch.where(single, 0.5, ones / torch.where(single, 1.0, ones + zeros))
        n_rows = (share > 0).sum(-1) * (y.shape[1] // share.shape[1])
        infinite = torch.sign(ones - zeros) * torch.log1p(2.0 * n_rows)
        start = torch.where(single, infinite, torch.logit(rate))
        null = torch.where(single, 0.0, bernoulli_entropy(rate))
        return CentredTargets(y, torch.zeros_like(start), start, null, single)

    def value(self, score: Tensor, y: Tensor) -> Tensor:
        return logistic_loss(score, y)

    def at(self, score: Tensor, y: Tensor) -> Rows:
        above, below = torch.sigmoid(score), torch.sigmoid(-score)
        return _LogisticRows(logistic_loss(score, y), y * below - (1 - y) * above, above, below)

    def majorant(self, score: Tensor, y: Tensor) -> float:
        return 0.25

    def by_target(self, score: Tensor, y: Tensor) -> tuple[float, Tensor]:
        return 1.0, -score

    def by_parameter(self, score: Tensor, y: Tensor) -> Any:
        raise NotImplementedError("The logistic loss has no parameter.")
