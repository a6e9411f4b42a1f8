"""Where the linear path of an encoder starts: the best linear prediction of all tasks."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.tasks import FileRows, TaskTable

__all__ = ["start_linear_path"]

# a start needs no more than this many rows or tasks
MAX_ROWS = 10_000
MAX_GROUPS = 200
# penalties to choose from, in units of the features' variance
ALPHAS = np.logspace(-6, 3, 37)


def start_linear_path(encoder: Encoder, table: TaskTable, seed: int) -> None:
    """Set the weights of `encoder.network.linear` by reduced-rank ridge regression.

    Ridge coefficients B, the penalty chosen by generalised cross-validation, give the
    predictions P = X B. The leading singular directions of P, in a random rotation, are the
    components: linearly equivalent to the best rank-m linear representation. Components beyond the
    rank of P are the leading principal components of what is left of X.

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
    chosen = None
    if len(table.X) > MAX_ROWS:
        chosen = random.choice(len(table.X), MAX_ROWS, replace=False)
    elif isinstance(table.X, FileRows):
        chosen = np.arange(len(table.X))
    if chosen is not None:
        table = table.rows(torch.from_numpy(chosen).to(table.X.device))
    assert isinstance(table.X, Tensor)  # for mypy
    X = _array((table.X - encoder.center) / encoder.scale)
    B = _ridge_coefficients(X, table, random)
    weights = table.row_weights
    weight = np.ones(len(X)) if weights is None else _array(weights)
    A = _components(X, B, weight, layer.out_features, random)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(A))


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _ridge_coefficients(
    X: NDArray[np.float64], table: TaskTable, random: np.random.RandomState
) -> NDArray[np.float64]:
    """Ridge coefficients, shape (n_features, tasks that have enough labels)."""
    Y = _array(table.Y)
    if table.binary is not None:  # as the other targets
        full = np.ones((len(Y), 1)) if table.weights is None else _array(table.weights)
        share = np.broadcast_to(full.reshape(len(Y), -1), Y.shape)
        share = share / share.sum(0)
        spread = np.sqrt((share * (Y - (share * Y).sum(0)) ** 2).sum(0))
        Y = Y / np.where(np.array(table.binary) & (spread > 0), spread, 1.0)
    coefs = []
    for tasks, weights in _groups(table.weights, Y.shape[1], random):
        rows = slice(None) if weights is None else np.flatnonzero(weights > 0)
        weight = np.ones(len(X)) if weights is None else weights[rows]
        if len(weight) >= 2:
            coefs.append(_ridge_gcv(X[rows], Y[rows][:, tasks], weight))
    return np.concatenate(coefs, axis=1) if coefs else np.zeros((X.shape[1], 1))


def _ridge_gcv(
    X: NDArray[np.float64], Y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ridge coefficients with one penalty chosen by generalised cross-validation over all targets.

    scikit-learn's RidgeCV leaves out one row at a time, so that a row of weight two is not the same
    as two rows; here it is.
    """
    share = weight / weight.sum()
    # weights below one are no fractions of a row
    n_rows = max(weight.sum(), len(weight))
    X, Y = X - share @ X, Y - share @ Y
    root = np.sqrt(share)[:, None]
    U, singular, Vt = np.linalg.svd(root * X, full_matrices=False)
    projected = U.T @ (root * Y)
    shrinkage = singular**2 / (singular**2 + ALPHAS[:, None] + np.finfo(np.float64).tiny)
    left = ((root * Y) ** 2).sum(0) - (1 - (1 - shrinkage) ** 2) @ projected**2
    freedom = n_rows - 1 - shrinkage.sum(1)
    usable = freedom > 0.5
    criterion = np.full(left.shape, np.inf)
    criterion[usable] = left[usable] / freedom[usable, None] ** 2
    best = shrinkage[criterion.sum(1).argmin()] / np.where(singular > 0, singular, 1.0)
    return Vt.T @ (best[:, None] * projected)


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
    weight: NDArray[np.float64],
    n_components: int,
    random: np.random.RandomState,
) -> NDArray[np.float64]:
    """Weights of the linear path, shape (n_components, n_features)."""
    share = weight / weight.sum()
    X = np.sqrt(share)[:, None] * (X - share @ X)
    singular, V = _directions(X @ B, n_components)
    A = B @ V / singular
    if len(singular) < n_components:
        scores = X @ A
        left = X - scores @ (scores.T @ X)
        spread, W = _directions(left, n_components - len(singular), float(np.linalg.norm(X)))
        A = np.hstack([A, W / spread])
    A = np.hstack([A, np.zeros((len(A), n_components - A.shape[1]))])
    rotation, _ = np.linalg.qr(random.standard_normal((n_components, n_components)))
    return rotation @ A.T


def _directions(
    X: NDArray[np.float64], n_directions: int, scale: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading singular values above rounding at a scale, and right vectors of a fixed sign."""
    _, singular, Vt = np.linalg.svd(X, full_matrices=False)
    floor = 1e-8 * max(scale, singular.max(initial=0.0))
    rank = min(int((singular > floor).sum()), n_directions)
    V = Vt[:rank].T
    largest = np.abs(V).argmax(0)
    return singular[:rank], V * np.sign(V[largest, np.arange(rank)])
