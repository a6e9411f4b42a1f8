"""penalty="l0": the basis of components in which the heads are sparsest, and its heads."""

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.basis._components import Components, find_components
from sklearn_sparsedis.basis._heads import (
    head_spectrum,
    least_squares_heads,
    n_directions_used,
    whiten,
)
from sklearn_sparsedis.basis._moments import Moments, ReadMoments, some_rows, tasks_at_once
from sklearn_sparsedis.basis._subspace import whiten_for_heads
from sklearn_sparsedis.functional._gram import without_constants
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.nn._head_parts import Heads
from sklearn_sparsedis.solvers import SolveResult, least_squares_on, select_support
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = ["count_directions", "find_sparsest_basis", "solve_sparsest_heads"]

# share of the targets' variance that a direction must explain for the user to be told
_WORTH_SAYING = 0.01
# of the search for what they miss; two seconds, and a quarter of a gigabyte
_MOST_PRODUCTS = 2e10
_MOST_MOMENTS = 2**25


def find_sparsest_basis(
    Z: Tensor,
    table: TaskTable,
    *,
    search: Mapping[str, Any] = MappingProxyType({}),
    device: torch.device,
    seed: int,
    by_laws: bool = False,
) -> Components:
    """Find the basis of components Z (n, m) in which the tasks' least-squares heads are sparsest.

    Parameters
    ----------
    Z : Tensor of shape (n, m)
        Outputs of an encoder, in their own dtype.
    table : TaskTable
        With standardised targets.
    search : mapping
        As in `find_components`.
    device : torch.device
        Where the search runs.
    seed : int
        Of its random starts.
    by_laws : bool, default=False
        Whether components that sparsity leaves open are turned to independent ones.
    """
    features, weight = Z.numpy(), table.row_weights
    rows = Rows(features, features.shape, features.dtype, "Z")
    read_rows = partial(some_rows, rows, weight=None if weight is None else weight.numpy())
    return find_components(
        *_moments(Z, table),
        Z.shape[1],
        search=search,
        device=device,
        seed=seed,
        read_rows=read_rows if by_laws else None,
    )


def _moments(Z: Tensor, table: TaskTable) -> tuple[Moments, ReadMoments]:
    """Return the moments of features on the rows of a table, and how to read those of its tasks."""
    rows, features = table.row_weights, Z.numpy()
    weight = None if rows is None else rows.double().numpy()

    def read(matrix: NDArray[Any], origin: NDArray[Any]) -> Iterator[tuple[slice, Moments]]:
        mapped = torch.from_numpy((features.astype(np.float64) - origin) @ matrix)
        n_tasks = table.Y.shape[1]
        shared = table.Y.n_row_sets < n_tasks
        for tasks in [slice(n_tasks)] if shared else tasks_at_once(n_tasks, mapped.shape[1]):
            Y = table.Y if shared else table.Y.of_tasks(torch.arange(tasks.start, tasks.stop))
            yield tasks, Moments.of_targets(mapped, Y)

    return Moments.of(features, np.empty((0, len(Z))), weight), read


def count_directions(Z: Tensor, table: TaskTable) -> int:
    """How many directions of features Z (n, m) the tasks' heads use beyond their errors.

    As `find_components` chooses the number of components.
    """
    moments, read = _moments(Z, table)
    n_labels = float(table.Y.n_labels.double().mean())
    white = whiten_for_heads(moments, read, n_labels, None)
    heads = least_squares_heads(read(white.forward, white.mean))
    known = np.isfinite(heads.error)
    return n_directions_used(head_spectrum(heads.coef[known], heads.error[known])[0])


def missing_directions(table: TaskTable, Z: Tensor) -> str | None:
    """Say whether rows X explain targets in ways that their components Z do not.

    What least-squares heads on the components leave is regressed on X. Directions of X that several
    of these heads share beyond their errors, and that explain a hundredth each of what the targets
    vary, are latents without a component.

    Parameters
    ----------
    table : TaskTable
        Rows in memory, and standardised targets.
    Z : Tensor of shape (n, m)
        Components.

    Returns
    -------
    str or None
        The problem in words; None where there is none, or where n is below 2 d or the products cost
        too much to find out.
    """
    X = table.X
    assert isinstance(X, Tensor)  # for mypy
    n, d = X.shape
    n_products, held = len(table.Y.value) * d**2, table.Y.n_row_sets * d**2
    if n < 2 * d or n_products > _MOST_PRODUCTS or held > _MOST_MOMENTS:
        return None
    for rows in (Z, X):
        moments, read = _moments(rows, table)
        white = whiten(moments)
        heads = least_squares_heads(read(white.forward, white.mean))
        if rows is Z:
            parts = map(torch.from_numpy, (white(Z.numpy()), heads.coef, heads.intercept))
            residual = table.Y.value.double() - table.Y.predictions(*parts)
            table = table._replace(Y=table.Y.with_value(residual))
    known = np.isfinite(heads.error)
    if not known.any():
        return None
    spectrum, basis = head_spectrum(heads.coef[known], heads.error[known])
    shares = np.square(heads.coef[known] @ basis[: len(spectrum)].T).mean(0)
    missed = shares[(spectrum > 1) & (shares >= _WORTH_SAYING)]
    if not len(missed):
        return None
    directions = "1 direction" if len(missed) == 1 else f"{len(missed)} directions"
    return (
        f"X explains a further {missed.sum():.0%} of the targets' variance through {directions} "
        "that no component carries: latents are missing (raise n_components, or "
        "max_iter if the encoder had not converged)"
    )


def solve_sparsest_heads(Z: Tensor, table: TaskTable, components: Components | None) -> Heads:
    """Least-squares heads on supports: those found with the basis, or chosen for each task.

    Parameters
    ----------
    Z : Tensor of shape (n, m)
        Components.
    table : TaskTable
        With the targets.
    components : Components, optional
        Whose supports count where they were found; those of other tasks `select_support` chooses.
    """
    moments = Moments.of_targets(Z, table.Y)
    stats = without_constants(moments.statistics, moments.rounding**2)
    gram, corr, y_sq, z_mean, y_mean = stats
    chosen = select_support(gram, corr, y_sq, table.Y.n_labels)
    if components is not None:
        basis = components.basis
        found, support = torch.from_numpy(basis.found), torch.from_numpy(basis.support)
        chosen = torch.where(found[:, None], support, chosen)
    chosen = chosen & (gram.diagonal(dim1=-2, dim2=-1) > 0)
    coef, residual_sq, inverse = least_squares_on(chosen, gram, corr, y_sq)
    coef = torch.where(chosen, coef, 0.0)
    gradient = torch.where(chosen, corr - (gram @ coef[..., None])[..., 0], 0.0)
    gap = 0.5 * (gradient * (inverse @ gradient[..., None])[..., 0]).sum(-1)
    scale = 0.5 * residual_sq.maximum(1e-3 * y_sq)
    gap = torch.where(scale > 0, gap / scale, gap)
    ones = torch.ones_like(gap, dtype=torch.int64)
    result = SolveResult(coef, 0.5 * residual_sq, gap, ones, torch.isfinite(gap))
    unit = gram.diagonal(dim1=-2, dim2=-1).mean(-1).expand_as(y_sq)
    return Heads(coef, y_mean - (coef * z_mean).sum(-1), 0.5 * residual_sq, unit, result)
