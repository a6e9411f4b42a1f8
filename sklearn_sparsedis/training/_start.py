"""Where the linear path of an encoder starts: the best linear prediction of all tasks."""

from collections.abc import Sequence
from typing import NamedTuple
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import each_loss
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.tasks._file_rows import FileRows
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = [
    "SMALLEST",
    "fit_linearly",
    "predict_linearly",
    "right_vectors",
    "scaled_rows",
    "start_linear_path",
]

# a start needs no more than this many rows, or tasks that each have rows of their own
MAX_ROWS = 10_000
MAX_TASKS = 200
# and no more rows than make so many products
MAX_PRODUCTS = 4e10
# singular values below this share of the largest are rounding
SMALLEST = 1e-6
# penalties to choose from, in units of the features' variance
ALPHAS = np.logspace(-6, 3, 37)
# every how many of them are tried before those around the best
COARSE = 4
# of a row's weight in its own prediction, what must be left: less is rounding
LEAST_LEFT = 1e-8


class _Ridge(NamedTuple):
    """Tasks with the same rows, and their ridge coefficients (d, k) and intercepts (k,)."""

    tasks: Sequence[int]
    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]


class _FittedRidge(NamedTuple):
    """Ridge regressions, and all that they depend on beside the rows."""

    table: tuple[object, ...]
    scaling: tuple[Tensor, Tensor]
    ridge: list[_Ridge]


# of tensors of rows, by their identity and as long as they are in use: a fit needs each three times
_FITTED: dict[int, _FittedRidge] = {}


def start_linear_path(
    encoder: Encoder, table: TaskTable, seed: int, *, more_rows: bool = False
) -> None:
    """Set the weights of `encoder.network.linear` by reduced-rank ridge regression.

    Ridge coefficients B, the penalty chosen by leaving out single rows, give the
    predictions P = X B. The leading singular directions of P, in a random rotation, are the
    components: linearly equivalent to the best rank-m linear representation. Components beyond the
    rank of P are the leading principal components of what is left of X. Components beyond the rank
    of X are zero, and stay so in training, where no other path leads to them.

    Parameters
    ----------
    encoder : Encoder
        Its network has a bias-free `linear` layer on the scaled inputs.
    table : TaskTable
        Rows in the dtype of the network.
    seed : int
        Of the rotation and of the choice of rows and tasks in large tables.
    more_rows : bool, default=False
        Whether rows to come may raise the rank of X up to the number of its columns.
    """
    layer = encoder.network.linear
    assert isinstance(layer, nn.Linear)  # for mypy
    random = np.random.RandomState(seed)
    table = _sample(table, random)
    X = _array(scaled_rows(encoder, table))
    coefs = [one.coef for one in _ridge_of_tasks(encoder, table)]
    B = np.concatenate(coefs, axis=1) if coefs else np.zeros((X.shape[1], 1))
    weights = table.row_weights
    weight = np.ones(len(X)) if weights is None else _array(weights)
    A = _components(X, B, weight, layer.out_features)
    n_used = layer.out_features
    if isinstance(encoder.network, LinearNetwork):
        n_used = min(n_used, X.shape[1]) if more_rows else A.shape[1]
    A = np.hstack([A, np.zeros((len(A), layer.out_features - A.shape[1]))])
    rotation, _ = np.linalg.qr(random.standard_normal((n_used, n_used)))
    A[:, :n_used] = A[:, :n_used] @ rotation.T
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(A.T))


def predict_linearly(
    encoder: Encoder, table: TaskTable, others: Sequence[TaskTable] = ()
) -> list[TaskTable]:
    """Put predictions of the ridge regression that the linear path starts with in place of targets.

    Parameters
    ----------
    encoder : Encoder
        Of which the scaling of the inputs is used.
    table : TaskTable
        What the regression is fitted to: rows in memory, and tasks with squared errors.
    others : sequence of TaskTable
        With the same tasks.

    Returns
    -------
    predicted : list of TaskTable
        The table, and the others, with predictions of the same labels.
    """
    parts = fit_linearly(encoder, table)
    return [
        one._replace(
            Y=one.Y.with_value(one.Y.predictions(scaled_rows(encoder, one), *parts).to(one.Y.value))
        )
        for one in (table, *others)
    ]


def fit_linearly(encoder: Encoder, table: TaskTable) -> tuple[Tensor, Tensor]:
    """Coefficients (T, d) and intercepts (T,) of that regression, in double precision."""
    T = table.Y.shape[1]
    coef, intercept = np.zeros((T, table.X.shape[1])), np.zeros(T)
    for tasks, some, constant in _ridge_of_tasks(encoder, table):
        coef[list(tasks)], intercept[list(tasks)] = some.T, constant
    return torch.from_numpy(coef), torch.from_numpy(intercept)


def scaled_rows(encoder: Encoder, table: TaskTable) -> Tensor:
    """Rows as the network gets them, in double precision, on the CPU."""
    assert isinstance(table.X, Tensor)  # for mypy
    return ((table.X - encoder.center) / encoder.scale).detach().double().cpu()


def _ridge_of_tasks(encoder: Encoder, table: TaskTable) -> list[_Ridge]:
    """Ridge regressions of all tasks with two labels, fitted once as long as rows are in use."""
    assert isinstance(table.X, Tensor)  # for mypy
    scaling, known = (encoder.center.cpu(), encoder.scale.cpu()), _FITTED.get(id(table.X))
    if (
        known is not None
        and all(one is other for one, other in zip(known.table, table[1:], strict=True))
        and all(map(torch.equal, known.scaling, scaling))
    ):
        return known.ridge
    X, found = _array(scaled_rows(encoder, table)), []
    for tasks, rows, values, row_weights in table.Y.same_rows():
        if len(row_weights) >= 2:
            losses = table.losses and tuple(table.losses[task] for task in tasks)
            weight = _array(row_weights)
            Y = _starting_targets(losses, _array(values), weight)
            coef, share = _ridge_loo(X[rows], Y, weight), weight / weight.sum()
            found.append(_Ridge(tasks, coef, share @ Y - share @ X[rows] @ coef))
    if id(table.X) not in _FITTED:
        finalize(table.X, _FITTED.pop, id(table.X), None)
    _FITTED[id(table.X)] = _FittedRidge(table[1:], scaling, found)
    return found


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _sample(table: TaskTable, random: np.random.RandomState) -> TaskTable:
    """A table in memory, of not too many rows, and tasks where each has rows of its own."""
    if table.Y.n_row_sets > MAX_TASKS:
        share = table.Y.count.double().numpy()
        tasks = random.choice(len(share), MAX_TASKS, replace=False, p=share / share.sum())
        table = table.of_tasks(torch.from_numpy(tasks))
    n, d = table.X.shape
    most = min(MAX_ROWS, round(max(MAX_PRODUCTS / d**2, (MAX_PRODUCTS / d) ** 0.5)))
    if n > most:
        chosen = random.choice(n, most, replace=False)
    elif isinstance(table.X, FileRows):
        chosen = np.arange(n)
    else:
        return table
    return table.rows(torch.from_numpy(chosen).to(table.X.device))


def _starting_targets(
    losses: tuple[Loss, ...] | None, Y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Targets on a common scale for least squares."""
    for loss, chosen in each_loss(losses, Y.shape[1]):
        Y = np.where(chosen, loss.starting_targets(Y, weight), Y)
    return Y


def _ridge_loo(
    X: NDArray[np.float64], Y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ridge coefficients with one penalty chosen by leaving out one row at a time, for all targets.

    scikit-learn's RidgeCV leaves out a row with its weight, so that a row of weight two is not the
    same as two rows; here one of these is left out.
    """
    share = weight / weight.sum()
    # weights below one are no fractions of a row
    count = share * max(weight.sum(), len(weight))
    root = np.sqrt(share)[:, None]
    size = float(np.linalg.norm(root * X))
    X, Y = X - share @ X, Y - share @ Y
    # what rounding leaves of rows that are all equal is no direction
    singular, V = right_vectors(root * X, scale=size)
    U, Y = (root * X) @ V / singular, root * Y
    projected = U.T @ Y
    leverage, each = np.square(U), 1 / np.where(count > 0, count, np.inf)

    def error(alpha: float) -> float:
        shrinkage = singular**2 / (singular**2 + alpha + np.finfo(np.float64).tiny)
        left = 1 - each * (leverage @ shrinkage + share)
        if left.min() < LEAST_LEFT:
            return np.inf
        return float(np.square((Y - U @ (shrinkage[:, None] * projected)) / left[:, None]).sum())

    coarse = min(ALPHAS[::COARSE], key=error)
    near = np.abs(np.log(ALPHAS / coarse)) < np.log(ALPHAS[COARSE] / ALPHAS[0]) * (1 - 1e-6)
    alpha = min(ALPHAS[near], key=error)
    return V @ ((singular / (singular**2 + alpha))[:, None] * projected)


def _components(
    X: NDArray[np.float64],
    B: NDArray[np.float64],
    weight: NDArray[np.float64],
    n_components: int,
) -> NDArray[np.float64]:
    """Columns of weights of the linear path, at most n_components and the rank of X."""
    share = weight / weight.sum()
    X = np.sqrt(share)[:, None] * (X - share @ X)
    X = X * (np.linalg.norm(X, axis=0) > SMALLEST)  # columns are standard, or rounding of constants
    narrow = B
    if B.shape[1] > len(B):  # as many columns as features say the same of predictions
        spread, W = right_vectors(B.T)
        narrow = W * spread
    singular, V = right_vectors(X @ narrow, n_components)
    A = narrow @ V / singular
    A = A * _signs(B.T @ (X.T @ (X @ A)))
    if len(singular) < n_components:
        scores = X @ A
        residual = X - scores @ (scores.T @ X)
        n_left = n_components - len(singular)
        spread, W = right_vectors(residual, n_left, float(np.linalg.norm(X)))
        A = np.hstack([A, W * _signs(W) / spread])
    return A


def right_vectors(
    X: NDArray[np.float64], n: int | None = None, scale: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Singular values above rounding at a scale, and right vectors; the largest n, or all.

    From the smaller matrix of products, which costs a tenth of a singular value decomposition. It
    rounds squares, so that values below a millionth of the largest are lost.
    """
    tall = len(X) >= X.shape[1]
    products = torch.from_numpy(X.T @ X if tall else X @ X.T)
    squares, vectors = (x.numpy() for x in torch.linalg.eigh(products))  # faster than NumPy's
    singular, vectors = np.sqrt(squares.clip(0))[::-1], vectors[:, ::-1]
    rank = int((singular > SMALLEST * max(scale, singular.max(initial=0.0))).sum())
    rank = rank if n is None else min(rank, n)
    singular, vectors = singular[:rank], vectors[:, :rank]
    return singular, vectors if tall else X.T @ vectors / singular


def _signs(V: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs that make the largest entry of each column positive."""
    if not V.size:
        return np.ones(V.shape[1])
    return np.sign(V[np.abs(V).argmax(0), np.arange(V.shape[1])])
