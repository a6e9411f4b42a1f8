"""The interface between losses and the code that trains and fits with them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.solvers.smooth_loss._losses import Loss as SmoothLoss

__all__ = ["Loss", "TaskTargets"]


class TaskTargets(Protocol):
    """Targets of T tasks, as `inputs` reads them: one array, with or without missing values."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and tasks, (n, T)."""

    @property
    def array(self) -> NDArray[np.float64]:
        """Array of the values."""

    def at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Repeat one number a task for each of its values."""

    def mean(self, array: NDArray[np.float64], *, jointly: bool = False) -> NDArray[np.float64]:
        """Weighted mean of an array like `array` over the values of each task, or over all."""

    def any(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return True for tasks where a mask like `array` is true at a value of nonzero weight."""

    def apply(self, function: Callable[..., Iterable[Tensor]]) -> list[NDArray[np.float64]]:
        """Apply a function to values and weights, (T, k) each; its results have T rows."""


class Loss:
    r"""A loss :math:`\ell(f, y)` of the score f of a head, its linear predictor.

    Everything that depends on the loss is here: estimators use the object and never compare its
    name. A new loss is a subclass that sets the attributes and defines `smooth`, `units` and
    `mean`; the other methods have defaults. An instance is the loss of one task; methods on the
    targets of several tasks are called on an instance made by `join`.

    Attributes
    ----------
    name : str
        Word by which an estimator takes the loss and reports it in `losses_`.
    from_statistics : bool
        Whether heads can be fitted from Gram statistics, without the rows; true of squared errors
        alone.
    classes : bool
        Whether targets are classes 0 and 1, both of which must occur.
    domain, remedy : str
        Values that targets may have and the advice for other values, for messages; empty if all
        values are allowed.
    response : callable or None
        Function from scores to predictions, elementwise; None if they are equal.
    """

    name = ""
    from_statistics = False
    classes = False
    domain = ""
    remedy = ""
    response: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def join(cls, losses: Sequence["Loss"], device: torch.device | str = "cpu") -> Self:
        """Join the losses of several tasks, all of this class, into one."""
        return cls()

    @property
    def smooth(self) -> SmoothLoss:
        """Loss for `solvers.solve_smooth`."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[Tensor | float, Tensor | float]:
        """Bounds of the residuals' standard deviation at the best constant and of the curvature.

        They decide which components are constant up to rounding.
        """
        raise NotImplementedError

    def allows(self, Y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return True for the values that are in the domain."""
        return np.ones(Y.shape, dtype=bool)

    def suits(self, targets: TaskTargets) -> NDArray[np.bool_]:
        """Return True for the tasks for which "auto" chooses this loss, shape (T,)."""
        return np.zeros(targets.shape[1], dtype=bool)

    def units(
        self, targets: TaskTargets, *, jointly: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Location and scale that standardise targets, and mask of tasks that vary; (T,) each.

        They are zero and one if the loss needs the original targets.
        """
        raise NotImplementedError

    @property
    def settled(self) -> bool:
        """False if a parameter of the loss must still be taken from data."""
        return True

    def settle(self, Z: Tensor, y: Tensor, weight: Tensor | None) -> Sequence["Loss"]:
        """Return the losses of T tasks, with parameters from standardised targets y and features Z.

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
        """Prepare standardised targets (n, T) for the least squares that start an encoder."""
        return Y

    def task_weights(self, targets: TaskTargets, *, balanced: bool) -> Tensor:
        """Weights of tasks that make the loss of the best constant one half, shape (T,)."""
        return torch.ones(targets.shape[1], dtype=torch.float64)

    def balance(self, y: Tensor, weight: Tensor | None) -> Tensor | None:
        """Weights of targets y (T, n) under class_weight="balanced"."""
        return weight

    def mean(self, score: Tensor, Y: Tensor, weights: Tensor | None, *, balanced: bool) -> Tensor:
        """Weighted mean loss of each task, shape (T,); zero for tasks without targets.

        Parameters
        ----------
        score, Y : Tensor of shape (n, T)
        weights : Tensor of shape (n,) or (n, T), optional
        balanced : bool
            Whether the weights of targets are those of `balance`.
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
    """Variance that rounding gives to values about a location."""
    floor: NDArray[np.float64] = (1e2 * np.finfo(np.float64).eps * np.abs(location)) ** 2
    return floor + np.finfo(np.float64).tiny
