"""From moments to components: heads, the basis in which these are sparsest, and its heads.

Each step needs only what the one before returns: `Moments`, `HeadEstimates`,
`HeadBasis`, `Components`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sklearn_sparsedis.basis._heads import (
    HeadEstimates,
    Whitening,
    least_squares_heads,
    refit,
)
from sklearn_sparsedis.basis._moments import Moments, ReadMoments, ReadRows
from sklearn_sparsedis.basis._search import HeadBasis, find_head_basis, say_what_is_open
from sklearn_sparsedis.basis._subspace import whiten_for_heads


@dataclass(frozen=True)
class Components:
    """Components of features, and the heads of all tasks on them.

    Attributes
    ----------
    matrix : ndarray of shape (m, d)
        ``(F - mean) @ matrix.T`` are the components, of unit variance; rows past the rank of F are
        zero.
    mixing : ndarray of shape (m, d)
        The regression of ``F - mean`` on the components.
    coef : ndarray of shape (T, m)
        Heads that were fitted again on their supports. The sum of a component's heads is positive.
    coef_average : ndarray of shape (T, m)
        Heads on all components, times the probabilities that tasks use these.
    intercept : ndarray of shape (T,)
    support : ndarray of bool, shape (T, m)
        That of `basis` where it was found, and one that the labels of the task choose elsewhere.
    n_directions : int
        Independent directions of the features that heads were fitted on.
    heads : HeadEstimates
        Heads on the whitened features, before the search.
    basis : HeadBasis
        The basis of the whitened features, before the choice of signs.
    """

    matrix: NDArray[np.float64]
    mixing: NDArray[np.float64]
    coef: NDArray[np.float64]
    coef_average: NDArray[np.float64]
    intercept: NDArray[np.float64]
    support: NDArray[np.bool_]
    n_directions: int
    heads: HeadEstimates
    basis: HeadBasis

    def confidence(self) -> Bunch:
        """Return what the components rest on, for users."""
        left_out = {"rotation", "unused", "spectrum", "blocks"}
        told = {k: v for k, v in vars(self.basis).items() if k not in left_out}
        return Bunch(**told, identified=self.basis.identified, dense_coef=self.heads.coef)


def find_components(
    moments: Moments,
    read: ReadMoments,
    n_components: int | None,
    *,
    search: Mapping[str, Any],
    n_labels: float = np.inf,
    device: str | torch.device,
    seed: int,
    read_rows: ReadRows | None = None,
) -> Components:
    """Find the components in which the heads of many tasks are sparsest.

    Parameters
    ----------
    moments : Moments
        Of the features on all rows, which they are whitened with.
    read : callable
        Returns the moments of a linear map of the features; called twice, and once more where
        labels are few.
    n_components : int or None
        None takes as many as the heads use.
    search : mapping
        Options of `solvers.solve_sparse_basis`.
    n_labels : float
        Labels of a task; few for the number of features, they ask for heads on a subspace.
    device : str or torch.device
        Where the search runs.
    seed : int
        Of the random starts.
    read_rows : callable, optional
        Returns rows of a linear map of the features, whose laws count where sparsity leaves
        components open.
    """
    white = whiten_for_heads(moments, read, n_labels, n_components)
    heads = least_squares_heads(read(white.forward, white.mean))
    return components_of(
        white,
        heads,
        read,
        n_components,
        search=search,
        device=device,
        seed=seed,
        read_rows=read_rows,
    )


def components_of(
    white: Whitening,
    heads: HeadEstimates,
    read: ReadMoments,
    n_components: int | None,
    *,
    search: Mapping[str, Any],
    device: str | torch.device,
    seed: int,
    read_rows: ReadRows | None = None,
) -> Components:
    """Find the components in which heads on whitened features are sparsest.

    Parameters
    ----------
    white : Whitening
        Of the features.
    heads : HeadEstimates
    read : callable
        As for `find_components`; called once.
    n_components, search, device, seed, read_rows
        As for `find_components`.
    """
    basis = find_head_basis(
        heads,
        n_components,
        search=search,
        device=device,
        seed=seed,
    )
    if read_rows is not None and not basis.identified.all():
        # only here, because it is seldom needed
        from sklearn_sparsedis.basis._independence import turn_by_laws

        def along(directions: NDArray[np.float64]) -> NDArray[np.float64]:
            return read_rows(white.forward @ directions.T, white.mean)

        basis = turn_by_laws(basis, heads, along)
    basis = say_what_is_open(basis, heads)
    matrix = basis.rotation @ white.forward.T
    moments = read(matrix.T, white.mean)
    coef, intercept, support = refit(moments, basis.support, basis.found)
    back = np.linalg.pinv(basis.rotation)
    average = np.where(basis.found[:, None], heads.coef @ back * (1 - basis.unused), coef)
    sign = _signs(coef, matrix)
    return Components(
        matrix=sign[:, None] * matrix,
        mixing=sign[:, None] * (back.T @ white.backward),
        coef=coef * sign,
        coef_average=average * sign,
        intercept=intercept,
        support=support,
        n_directions=white.forward.shape[1],
        heads=heads,
        basis=basis,
    )


def _signs(coef: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs that make the sum of each component's heads positive, where it is not rounding."""
    total = coef.sum(axis=0)
    largest = matrix[np.arange(len(matrix)), np.abs(matrix).argmax(axis=1)]
    clear = np.abs(total) > 1e-6 * np.linalg.norm(coef)
    return np.where(np.where(clear, total, largest) < 0, -1.0, 1.0)


def shared_reader(moments: Moments) -> ReadMoments:
    """Return how to map the moments of tasks that share all rows, without a pass over these."""
    return lambda matrix, origin: [(slice(None), moments.mapped(matrix, origin))]
