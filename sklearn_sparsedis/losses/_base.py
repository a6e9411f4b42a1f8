"""What training and fitting need to know of a loss."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.solvers.smooth_loss._losses import Loss as SmoothLoss

__all__ = ["Loss", "TaskTargets"]


class TaskTargets(Protocol):
    """Targets of T tasks, as `inputs` has them: one array, with or without missing labels."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, T)."""

    @property
    def array(self) -> NDArray[np.float64]:
        """The values alone."""

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """One number a task for each of its values."""

    def mean(self, array: NDArray[np.float64], *, jointly: bool = False) -> NDArray[np.float64]:
        """Weighted mean over each task's labels, or over all, of an array like `array`."""

    def any(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tasks that have a label that counts where a mask like `array` is true."""

    def apply(self, function: Callable[..., Iterable[Tensor]]) -> list[NDArray[np.float64]]:
        """Apply a function of values and weights, (T, k) each, whose results have T first."""


class Loss:
    r"""A loss :math:`\ell(f, y)` of the score f of a head, its linear predictor.

    Everything that depends on the loss is here: an estimator asks the object and never its name. A
    new loss is a subclass that sets the attributes and writes `smooth` and `units`; for most of the
    other methods there is a default. An instance stands for the loss of one task; where a method
    sees several tasks, it is that of `join`.

    Attributes
    ----------
    name : str
        The word that an estimator takes for it, and has in `losses_`.
    from_statistics : bool
        Whether Gram statistics are all that heads need to know of their rows, which makes it the
        squared error.
    classes : bool
        Whether targets are labels 0 and 1, of which some of each kind are needed.
    domain, remedy : str
        Values that targets may have, where not all may, and what to do about others; for a message.
    response : callable or None
        From scores to predictions, in NumPy; None where they are the same.
    """

    name = ""
    from_statistics = False
    classes = False
    domain = ""
    remedy = ""
    response: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    @classmethod
    def join(cls, losses: Sequence["Loss"], device: torch.device | str = "cpu") -> Self:
        """The loss of several tasks that all have this kind of loss."""
        return cls()

    @property
    def smooth(self) -> SmoothLoss:
        """What `solvers.solve_smooth` takes for it."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[Tensor | float, Tensor | float]:
        """Largest standard deviation of the residuals of the best constant, and curvature.

        They tell which components are rounding.
        """
        raise NotImplementedError

    def allows(self, Y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values are in the domain."""
        return np.ones(Y.shape, dtype=bool)

    def suits(self, targets: TaskTargets) -> NDArray[np.bool_]:
        """For which tasks "auto" takes it, shape (T,)."""
        return np.zeros(targets.shape[1], dtype=bool)

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Location and scale by which targets are made standard, and which tasks vary; (T,) each.

        Zero and one where the loss needs targets as they are.
        """
        raise NotImplementedError

    @property
    def settled(self) -> bool:
        """Whether it has no parameter that is still to be taken from data."""
        return True

    def settle(self, Z: Tensor, y: Tensor, weight: Tensor | None) -> Sequence["Loss"]:
        """Losses of T tasks with their parameters from standard targets and what predicts them.

        Parameters
        ----------
        Z : Tensor of shape (n, m) or (T, n, m)
        y : Tensor of shape (T, n)
        weight : Tensor of shape (n,) or (T, n), optional
        """
        return [self] * len(y)

    def starting_targets(
        self, Y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Standard targets (n, T) as least squares may have them, for the start of an encoder."""
        return Y

    def task_weights(self, targets: TaskTargets, *, balanced: bool) -> Tensor:
        """Weights under which the loss of each task's best constant is one half, shape (T,)."""
        return torch.ones(targets.shape[1], dtype=torch.float64)

    def balance(self, y: Tensor, weight: Tensor | None) -> Tensor | None:
        """Weights of labels y (T, n) under class_weight="balanced"."""
        return weight

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """Weighted mean of each task, shape (T,); zero for tasks without labels.

        Parameters
        ----------
        score, Y : Tensor of shape (n, T)
        weights : Tensor of shape (n,) or (n, T), optional
        balanced : bool
            Whether the weights of labels are those of `balance`.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))


def rounding_floor(location: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance that is rounding, of values about a location."""
    floor: NDArray[np.float64] = (1e2 * np.finfo(np.float64).eps * np.abs(location)) ** 2
    return floor + np.finfo(np.float64).tiny
