"""Rows of the tasks of a table, in rectangles and in draws."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import TaskRows
from sklearn_sparsedis.tasks._dense import TargetValues

__all__ = ["draw_rows", "rows_of_tasks"]

# numbers in the matrices of the tasks that are solved together, such as stay in the cache
TOGETHER = 2**18
# rows of a draw of an old task, and old tasks of which some are drawn
DRAWN = (15, 40)
MOST_TASKS = 64
# numbers of rows in a draw
DRAWN_NUMBERS = 2**24
# labels without which a draw says nothing of the strengths
FEWEST = 5


def rows_of_tasks(
    components: Tensor, features: Tensor, Y: TargetValues
) -> Iterator[tuple[Tensor, TaskRows]]:
    """All tasks of a table with their rows, some at a time, and which they are.

    Parameters
    ----------
    components : Tensor of shape (n, m)
    features : Tensor of shape (n, p)
    Y : DenseTargets or ObservedTargets of shape (n, T)
    """
    m = components.shape[1]
    for block in Y.blocks(torch.cat([components, features], 1)):
        Z = block.Z if block.Z.ndim == 3 else block.Z[None]
        weight = block.weights
        if weight is None:
            weight = Z.new_ones(Z.shape[1])
        weight = (weight[None] if weight.ndim == 1 else weight.T).to(Z)
        k, width = Z.shape[1:]
        size = max(1, TOGETHER // (min(k, 1 + width) * (1 if len(Z) == 1 else width)))
        for some in torch.arange(len(block.tasks)).split(size):
            own = slice(None) if len(Z) == 1 else some
            rows = Z[own], weight[slice(None) if len(weight) == 1 else some]
            targets = block.Y[:, some].T.to(Z)
            yield block.tasks[some], TaskRows(rows[0][..., :m], rows[0][..., m:], targets, rows[1])


def draw_rows(
    components: Tensor,
    features: Tensor,
    Y: TargetValues,
    seed: int,
    *,
    sizes: Sequence[int] = DRAWN,
    most_tasks: int = MOST_TASKS,
) -> tuple[Tensor, list[TaskRows]]:
    """Some tasks, and draws of few of their rows, without the weights of these.

    Tasks with fewer labels than a draw give all of them; those with very few are left out. With
    the same seed, fewer tasks are the first of more.

    Parameters
    ----------
    components, features, Y
        As in `rows_of_tasks`.
    seed : int
        Of the draws.
    sizes : sequence of int
        Labels of a task in each draw.
    most_tasks : int
    """
    generator = torch.Generator().manual_seed(seed)
    Y = Y.observed()
    tasks = (Y.count >= FEWEST).nonzero()[:, 0]
    width = components.shape[1] + features.shape[1]
    most = max(1, min(most_tasks, DRAWN_NUMBERS // (max(sizes) * width)))
    tasks = tasks[torch.randperm(len(tasks), generator=generator)[:most]]
    draws = []
    for size in sizes if len(tasks) else ():
        pack = Y.pack(tasks, size, generator)
        filled = (pack.weight > 0).to(components)
        targets = pack.value.to(components)
        draws.append(TaskRows(components[pack.row], features[pack.row], targets, filled))
    return tasks, draws
