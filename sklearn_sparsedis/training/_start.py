"""Where the linear path of an encoder starts: the best linear prediction of all tasks."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.tasks import TaskTable

__all__ = ["start_linear_path"]

# a start needs no more than this many rows or tasks
MAX_ROWS = 10_000
MAX_GROUPS = 200
ALPHAS = np.logspace(-3, 5, 17)


def start_linear_path(encoder: Encoder, table: TaskTable, seed: int) -> None:
    """Set the weights of `encoder.network.linear` by reduced-rank ridge regression.

    Each task's ridge coefficients, the penalty chosen by leave-one-out, give the predictions
    P = X B. The leading singular directions of P, in a random rotation, are the components:
    linearly equivalent to the best rank-m linear representation. Components beyond the rank of P
    are the leading principal components of what is left of X.

    Parameters
    ----------
    encoder : Encoder
        Its network has a bias-free `linear` layer on the scaled inputs.
    table : TaskTable
        Rows in the dtype of the network.
    seed : int
        Of the rotation and of the choice of rows and tasks in large tables.
    """
    layer = encoder.network.linear
    assert isinstance(layer, nn.Linear)  # for mypy
    random = np.random.RandomState(seed)
    if len(table.X) > MAX_ROWS:
        chosen = random.choice(len(table.X), MAX_ROWS, replace=False)
        table = table.rows(torch.from_numpy(chosen).to(table.X.device))
    X = _array((table.X - encoder.center) / encoder.scale)
    B = _ridge_coefficients(X, table, random)
    A = _components(X, B, layer.out_features, random)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(A))


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _ridge_coefficients(
    X: NDArray[np.float64], table: TaskTable, random: np.random.RandomState
) -> NDArray[np.float64]:
    """Ridge coefficients, shape (n_features, tasks that have enough labels)."""
    Y = _array(table.Y)
    coefs = []
    for tasks, weights in _groups(table.weights, Y.shape[1], random):
        rows = slice(None) if weights is None else np.flatnonzero(weights > 0)
        if weights is not None and len(weights[rows]) < 2:
            continue
        ridge = RidgeCV(ALPHAS, alpha_per_target=len(tasks) > 1)
        ridge.fit(X[rows], Y[rows][:, tasks], None if weights is None else weights[rows])
        coefs.append(ridge.coef_.reshape(len(tasks), -1))
    return np.concatenate(coefs).T


def _groups(
    weights: Tensor | None, n_tasks: int, random: np.random.RandomState
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64] | None]]:
    """Tasks that share the same row weights, which one factorisation serves."""
    if weights is None or weights.ndim == 1:
        yield np.arange(n_tasks), None if weights is None else _array(weights)
        return
    columns, group = np.unique(_array(weights), axis=1, return_inverse=True)
    for g in random.permutation(columns.shape[1])[:MAX_GROUPS]:
        yield np.flatnonzero(group == g), columns[:, g]


def _components(
    X: NDArray[np.float64],
    B: NDArray[np.float64],
    n_components: int,
    random: np.random.RandomState,
) -> NDArray[np.float64]:
    """Weights of the linear path, shape (n_components, n_features)."""
    X = X - X.mean(0)
    _, singular, Vt = np.linalg.svd(X @ B, full_matrices=False)
    rank = min(int((singular > 1e-8 * singular.max(initial=0.0)).sum()), n_components)
    A = B @ Vt[:rank].T / singular[:rank]
    if rank < n_components:
        scores = X @ A
        left = X - scores @ (scores.T @ X)
        _, spread, Wt = np.linalg.svd(left, full_matrices=False)
        extra = min(n_components - rank, int((spread > 1e-8 * spread.max(initial=0.0)).sum()))
        A = np.hstack([A, Wt[:extra].T / spread[:extra]])
    A = np.hstack([A, np.zeros((len(A), n_components - A.shape[1]))])
    rotation, _ = np.linalg.qr(random.standard_normal((n_components, n_components)))
    return rotation @ A.T * np.sqrt(len(X))
