"""What the solver of smooth losses needs to know of a loss."""

from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Protocol

import torch
from torch import Tensor

from sklearn_sparsedis.functional import huber_loss, logistic_loss
from sklearn_sparsedis.functional._gram import ROUNDED, tensor_like
from sklearn_sparsedis.functional._huber import huber_location
from sklearn_sparsedis.functional._logistic import bernoulli_divergence, bernoulli_entropy

__all__ = ["CentredTargets", "HuberLoss", "LogisticLoss", "Loss", "Rows"]

# least curvature of a row, by its residual
LEAST_CURVATURE = 1e-2
# losses between squared error and one that has few rows within delta
RELAXATIONS = 6


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

    def least_curvature(self, score: Tensor, residual: Tensor, y: Tensor) -> Tensor:
        """Least curvature of rows in a model that must not mislead, from weighted residuals.

        Rows without curvature would take a model anywhere.
        """

    def relaxed(self, score: Tensor, y: Tensor, share: Tensor) -> "list[tuple[Loss, Tensor]]":
        """Losses ever closer to this one, the first one the easiest, for a start near a solution.

        Each comes with a factor (T,) by which it is larger. Empty where the loss is easy itself.
        """

    def by_target(self, score: Tensor, y: Tensor) -> tuple[Tensor | float, Tensor]:
        """Derivatives in y of the residual and of the loss."""

    def by_parameter(self, score: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives in the parameter of the residual and of the loss."""


class _LogisticRows(NamedTuple):
    score: Tensor
    y: Tensor
    residual: Tensor
    above: Tensor
    below: Tensor

    @property
    def value(self) -> Tensor:  # when it is asked for: memory that is held longer costs time
        return logistic_loss(self.score, self.y)

    def curvature(self, share: Tensor) -> Tensor:
        return share * self.above * self.below

    def divergence(self, step: Tensor) -> Tensor:
        return bernoulli_divergence(self.above, self.below, step)


class LogisticLoss:
    """log(1 + exp(f)) - y f, for labels y in [0, 1]."""

    parameter = None
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
        return _LogisticRows(score, y, y * below - (1 - y) * above, above, below)

    def majorant(self, score: Tensor, y: Tensor) -> float:
        return 0.25

    def least_curvature(self, score: Tensor, residual: Tensor, y: Tensor) -> Tensor:
        """Rows far on the wrong side have next to no curvature."""
        return LEAST_CURVATURE * residual.abs()

    def relaxed(self, score: Tensor, y: Tensor, share: Tensor) -> list[tuple[Loss, Tensor]]:
        return []

    def by_target(self, score: Tensor, y: Tensor) -> tuple[float, Tensor]:
        return 1.0, -score

    def by_parameter(self, score: Tensor, y: Tensor) -> NoReturn:
        raise NotImplementedError("The logistic loss has no parameter.")


class _HuberRows(NamedTuple):
    value: Tensor
    residual: Tensor
    beyond: Tensor

    def curvature(self, share: Tensor) -> Tensor:
        return torch.where(self.beyond == 0, share, 0.0)

    def divergence(self, step: Tensor) -> Tensor:
        return step * (0.5 * step + self.beyond)


@dataclass(frozen=True)
class HuberLoss:
    """Half the square of the residual y - f up to `delta` in size, and linear beyond [1]_.

    Parameters
    ----------
    delta : float or Tensor of shape (*batch,)
        Positive, in units of the targets; `solvers.huber_delta` takes it from the data.

    Notes
    -----
    Where no row is within delta of the fit, the intercept may not be determined; it is then one of
    those that are optimal.

    References
    ----------
    .. [1] Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 1964.
    """

    delta: Tensor | float
    without_penalty = "without a penalty, features that outnumber the rows have no one solution."

    def __post_init__(self) -> None:
        if not isinstance(self.delta, Tensor) and not 0 < self.delta < float("inf"):
            raise ValueError(
                f"delta must be positive and finite, got {self.delta!r}: it is the largest "
                "residual, in units of the targets, whose loss is a square. For squares alone use "
                "a solver for squared error, such as solve_lasso."
            )

    @property
    def parameter(self) -> Tensor | None:
        return self.delta if isinstance(self.delta, Tensor) else None

    def pose(self, batch: torch.Size, like: Tensor) -> "HuberLoss":
        delta = tensor_like(self.delta, like).detach().expand(batch)
        return HuberLoss(delta.reshape(-1, 1))

    def part(self, index: Tensor) -> "HuberLoss":
        assert isinstance(self.delta, Tensor)  # for mypy
        return HuberLoss(self.delta[index])

    def centre(self, y: Tensor, share: Tensor) -> CentredTargets:
        """Targets about their location; what rounding leaves of constant ones is zero."""
        assert isinstance(self.delta, Tensor)  # for mypy
        level = huber_location(y, self.delta[:, 0], share)
        centred = y - level[:, None]
        rounding = ROUNDED * torch.finfo(y.dtype).eps * level.abs()[:, None]
        centred = torch.where(centred.abs() <= rounding, 0.0, centred)
        null = (share * huber_loss(centred, self.delta)).sum(-1)
        empty = ~(share > 0).any(-1)
        return CentredTargets(centred, level, torch.zeros_like(level), null, empty)

    def value(self, score: Tensor, y: Tensor) -> Tensor:
        return huber_loss(y - score, self.delta)

    def at(self, score: Tensor, y: Tensor) -> Rows:
        beyond = self._beyond(score, y)
        residual = y - score - beyond
        return _HuberRows(residual * (0.5 * residual + beyond), residual, beyond)

    def _beyond(self, score: Tensor, y: Tensor) -> Tensor:
        """What exceeds delta in size, with its sign."""
        residual = y - score
        return residual.sign() * (residual.abs() - self.delta).clamp_min(0)

    def majorant(self, score: Tensor, y: Tensor) -> Tensor:
        return self.delta / (y - score).abs().clamp_min(self.delta)

    def least_curvature(self, score: Tensor, residual: Tensor, y: Tensor) -> Tensor:
        """A share of the majorant, which is |residual| / |y - f|."""
        size = (y - score).abs().clamp_min(self.delta)
        return LEAST_CURVATURE * residual.abs() / size

    def relaxed(self, score: Tensor, y: Tensor, share: Tensor) -> list[tuple[Loss, Tensor]]:
        """With delta from the mean residual downwards, in geometric steps."""
        size = (share * (y - score).abs()).sum(-1, keepdim=True) / share.expand_as(y).sum(-1, True)
        ratio = (size / self.delta).nan_to_num(1.0, 1.0, 1.0).clamp_min(1)
        powers = (1 - k / RELAXATIONS for k in range(RELAXATIONS))
        return [(HuberLoss(self.delta * ratio**p), (ratio**p)[:, 0]) for p in powers]

    def by_target(self, score: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.at(score, y)
        return rows.curvature(torch.ones_like(y)), rows.residual

    def by_parameter(self, score: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        beyond = self._beyond(score, y)
        return beyond.sign(), beyond.abs()
