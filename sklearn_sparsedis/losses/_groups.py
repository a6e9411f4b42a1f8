"""Groups of tasks by their losses."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sklearn_sparsedis.losses._base import Loss
from sklearn_sparsedis.losses._squared_error import SquaredError

__all__ = ["each_loss", "kinds_of", "tasks_where"]


def tasks_where(
    losses: Sequence[Loss] | None, n_tasks: int, condition: Callable[[Loss], bool]
) -> NDArray[np.bool_]:
    """Mask of the tasks whose loss meets a condition, (n_tasks,); None means squared errors."""
    of_none = condition(SquaredError())
    found = [of_none] * n_tasks if losses is None else [condition(loss) for loss in losses]
    return np.array(found, dtype=bool)


def kinds_of(losses: Sequence[Loss]) -> dict[type[Loss], list[int]]:
    """Numbers of the tasks that have each class of loss."""
    kinds: dict[type[Loss], list[int]] = {}
    for task, loss in enumerate(losses):
        kinds.setdefault(type(loss), []).append(task)
    return kinds


def each_loss(
    losses: Sequence[Loss] | None, n_tasks: int
) -> Iterator[tuple[Loss, NDArray[np.bool_]]]:
    """Generate each class of loss, joined for all tasks, and the mask of the tasks that have it."""
    for kind, tasks in kinds_of(losses or [SquaredError()] * n_tasks).items():
        joined = kind.join([x if isinstance(x, kind) else kind() for x in losses or ()])
        yield joined, np.isin(np.arange(n_tasks), tasks)
