"""Heads of tasks with several outputs, which share one support."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.functional._gram import CentredTargets
from sklearn_sparsedis.implicit import LeastSquaresFit
from sklearn_sparsedis.penalties import Penalty

__all__ = ["fit_shared_supports", "in_multi_output_tasks"]


class _Outputs(NamedTuple):
    """Columns of T tasks with up to q outputs.

    Attributes
    ----------
    columns : Tensor of int64, shape (T, q)
        Columns of each task, padded with column 0.
    inside : Tensor of shape (T, q)
        One for an output, zero for padding.
    place : Tensor of int64, shape (n_columns,)
        Position of each column among the T q outputs.
    """

    columns: Tensor
    inside: Tensor
    place: Tensor

    def pad(self, x: Tensor) -> Tensor:
        """Arrange values of columns as (T, q, ...), with zeros as padding."""
        values = x.index_select(0, self.columns.flatten()).unflatten(0, self.columns.shape)
        return values * self.inside.reshape(*self.inside.shape, *(1,) * (x.ndim - 1))

    def unpad(self, x: Tensor) -> Tensor:
        """Arrange values (T, q, ...) as columns again, without the padding."""
        return x.flatten(0, 1).index_select(0, self.place)

    def repeat(self, x: Tensor) -> Tensor:
        """Repeat values of tasks, shape (T,), for each of their columns."""
        return x.index_select(0, self.place // self.columns.shape[1])


def fit_shared_supports(
    penalty: Penalty,
    Z: Tensor,
    Y: Tensor | CentredTargets,
    weights: Tensor | None,
    task_of_output: tuple[int, ...],
    alpha_of_unit: Callable[[Tensor, Tensor], Tensor],
    coef_init: Tensor | None,
    statistics: Callable[..., GramStatistics],
    **options: Any,
) -> tuple[LeastSquaresFit, Tensor, Tensor]:
    """Fit the group Lasso of each task with intercepts, differentiably in Z and Y.

    Parameters
    ----------
    penalty : Penalty
        A penalty whose `fit_outputs` is not None.
    Z : Tensor of shape (n, m)
    Y : Tensor of shape (n_columns, n), or CentredTargets
    weights : Tensor of shape (n,) or (n_columns, n), optional
        Weights, the same for all columns of a task.
    task_of_output : tuple of int, one a column
        Number of the task of each column.
    alpha_of_unit : callable
        Maps the units of alpha, shape (T,), and the first column of each task to the alphas.
    coef_init : Tensor of shape (n_columns, m), optional
    statistics : callable
        `functional.centred_gram`, or a function that replaces it.
    **options
        Arguments of the solver.

    Returns
    -------
    fit : LeastSquaresFit
        One row for each column; the rows of a task have the same certificate.
    intercept : Tensor of shape (n_columns,)
    alpha_max : Tensor of shape (n_columns,)
    """
    assert penalty.fit_outputs is not None  # for mypy
    outputs = _lay_out(task_of_output, Z)
    if isinstance(Y, CentredTargets):
        Y = CentredTargets(*(outputs.pad(x) for x in Y))
    else:
        Y = outputs.pad(Y)
    first = outputs.columns[:, 0]
    if weights is not None and weights.ndim == 2:  # one Gram matrix for each task
        weights = weights.index_select(0, first)[:, None]
    gram, corr, y_sq, z_mean, y_mean = statistics(Z, Y, weights)
    gram, corr = gram if gram.ndim == 2 else gram[:, 0], corr.mT
    # The unit of alpha counts as a constant, as in HeadProblem.
    alpha_max = penalty.unit_of_outputs(corr.detach())
    start = None if coef_init is None else outputs.pad(coef_init).mT
    alpha = alpha_of_unit(alpha_max, first)
    fit = penalty.fit_outputs(gram, corr, y_sq, alpha, coef_init=start, **options)
    coef = fit.coef.mT
    intercept = outputs.unpad(y_mean - (coef * z_mean).sum(-1))
    result = replace(
        fit.result,
        coef=outputs.unpad(fit.result.coef.mT),
        **{
            name: outputs.repeat(getattr(fit.result, name))
            for name in ("objective", "gap", "n_iter", "converged")
        },
    )
    of_columns = LeastSquaresFit(outputs.unpad(coef), outputs.unpad(fit.loss), result)
    return of_columns, intercept, outputs.repeat(alpha_max)


def _lay_out(task_of_output: tuple[int, ...], like: Tensor) -> _Outputs:
    members = _members(task_of_output)
    q = max(len(columns) for columns in members)
    place = [0] * len(task_of_output)
    for t, columns in enumerate(members):
        for k, column in enumerate(columns):
            place[column] = t * q + k
    filled = [columns + [0] * (q - len(columns)) for columns in members]
    inside = [[float(k < len(columns)) for k in range(q)] for columns in members]
    # A copy from the host's memory does not synchronise.
    return _Outputs(
        torch.tensor(filled).to(like.device),
        torch.tensor(inside, dtype=like.dtype).to(like.device),
        torch.tensor(place).to(like.device),
    )


def _members(task_of_output: tuple[int, ...]) -> list[list[int]]:
    """Columns of each task."""
    members: dict[int, list[int]] = {}
    for column, task in enumerate(task_of_output):
        members.setdefault(task, []).append(column)
    return list(members.values())


def in_multi_output_tasks(task_of_output: tuple[int, ...]) -> list[bool]:
    """Return True for each output whose task has others."""
    counts = Counter(task_of_output)
    return [counts[task] > 1 for task in task_of_output]
