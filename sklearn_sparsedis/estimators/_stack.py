"""Predictions of all tasks, stacked: corrected by one another, and their leading directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from sklearn_sparsedis.estimators._log_odds import calibrate
from sklearn_sparsedis.inputs._losses import loss_names, one_kind, task_weights
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.training._row_errors import RowErrors, fewest_directions
from sklearn_sparsedis.training._start import right_vectors

__all__ = ["Stack"]

# penalties of corrections, in units of the predictions' variance, the last of which allows none
ALPHAS = np.append(np.logspace(-3, 3, 13), np.inf)
# directions of which the number can be chosen
MOST_DIRECTIONS = 100
# products that corrections may take: of many tasks with rows of their own they would take hours
MOST_PRODUCTS = 1e11
# losses of tasks whose predictions take the place of labels
STACKED = (SquaredError.name, Logistic.name)
# variance of a label that is all but certain
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Stack:
    """Linear map of predictions P of T tasks: stacked predictions, and their leading directions.

    Attributes
    ----------
    mean : ndarray of shape (T,)
        Of the predictions.
    coef : ndarray of shape (T, T)
        ``(P - mean) @ coef + intercept`` are the stacked predictions, of logistic tasks their
        log-odds.
    intercept : ndarray of shape (T,)
    directions : ndarray of shape (T, m)
        Right singular vectors of the stacked predictions.
    loss_of_rank : ndarray of shape (r,)
        Mean squared error of predictions along 1, 2, ..., r directions, in standard units; of
        logistic tasks the log-loss, in units of that of the best constant.

    Notes
    -----
    Stacked predictions are P + (P - mean) D + c, where D is the ridge regression of the errors
    Y - P on the predictions [1]_. The folds choose its penalty, by how well corrections that were
    fitted without a fold predict the errors in it. Mostly they choose none: then predictions stay
    as they are, which a ridge regression of Y on P would shrink to zero.

    Predictions of logistic tasks are calibrated: P are log-odds that a logistic regression of the
    labels on the predictions of the task gives. D is ridge regression of working errors
    (y - p) / (p (1 - p)), weighed by p (1 - p), which is a step of Newton's method from P.

    References
    ----------
    .. [1] Breiman and Friedman, "Predicting multivariate responses in multiple linear regression",
       Journal of the Royal Statistical Society B, 1997.
    """

    mean: NDArray[np.float64]
    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    directions: NDArray[np.float64]
    loss_of_rank: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        predictions: NDArray[Any],
        fold: NDArray[np.intp],
        targets: Targets,
        n_components: int | None,
    ) -> "Stack":
        """Stack predictions of rows by regressors that have not seen their labels.

        Parameters
        ----------
        predictions : ndarray of shape (n, T)
        fold : ndarray of int, shape (n,)
            Fold of each row.
        targets : Targets
            In the units of the predictions. Tasks with Huber's loss are not corrected.
        n_components : int or None
            Most directions; there are no more than the rank of the stacked predictions. None takes
            as few as predict the labels as well as the best number
            (`fewest_directions`).
        """
        P = predictions.astype(np.float64)
        weights = targets.values.row_weights
        share = np.full(len(P), 1 / len(P)) if weights is None else weights.double().numpy()
        share = share / share.sum()
        mean = share @ P
        centred = P - mean
        scale = np.sqrt(share @ centred**2)
        scale = np.where(scale > 0, scale, 1.0)
        slope, intercept = _calibration(P, mean, targets)
        coef, held_out = np.diag(slope), centred * slope
        few = targets.values.n_row_sets * P.shape[1] ** 3 * (fold.max() + 2) < MOST_PRODUCTS
        stacked = held_out + intercept
        for tasks, rows, error, w in _errors(stacked, targets) if few else ():
            correction, shift, unseen = _correct(centred[rows] / scale, error, w, fold[rows])
            coef[:, tasks] += correction / scale[:, None]
            intercept[tasks] += shift
            held_out[np.ix_(np.arange(len(P))[rows], tasks)] += unseen - shift
        stacked, root = centred @ coef, np.sqrt(share)[:, None]
        most = MOST_DIRECTIONS if n_components is None else n_components
        _, directions = right_vectors(root * stacked, most, float(np.linalg.norm(root * P)))
        if not directions.shape[1]:  # of predictions that are constant
            directions = np.eye(P.shape[1])[:, :1]
        losses = _losses(held_out @ directions, directions, intercept, targets)
        if n_components is None:
            directions = directions[:, : fewest_directions(losses)]
        return cls(mean, coef, intercept, directions, losses.mean(1).numpy())

    def combine(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Combinations of predictions along the leading directions, shape (n, m)."""
        combined = (predictions - self.mean) @ (self.coef @ self.directions)
        return combined.astype(predictions.dtype)

    def targets(
        self,
        predictions: NDArray[Any],
        standard: Targets,
        targets: Targets,
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> Targets:
        """Stacked predictions in place of the labels of the tasks with squared errors.

        Heads that are fitted to these have no error of their own: the labels have been used once.

        Parameters
        ----------
        predictions : ndarray of shape (n, T)
        standard : Targets
            In the units of the predictions.
        targets : Targets
            In units of which the standard ones are (targets - mean) / scale.
        mean, scale : ndarray of shape (T,)
        """
        P = torch.from_numpy(predictions.astype(np.float64) - self.mean)
        stacked = targets.values.predictions(
            P, torch.from_numpy(self.coef.T.copy()), torch.from_numpy(self.intercept)
        ).numpy()
        names = loss_names(standard)
        logistic = targets.at(names == Logistic.name)
        stacked = np.where(logistic, expit(stacked), stacked)
        stacked = stacked * targets.at(scale) + targets.at(mean)
        labelled = targets.at(~np.isin(names, STACKED) | one_kind(targets))
        return targets.with_array(np.where(labelled, targets.array, stacked))


def _calibration(
    P: NDArray[np.float64], mean: NDArray[np.float64], targets: Targets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors of predictions about their means, and intercepts, (T,) each.

    Those of logistic tasks make log-odds of the predictions.
    """
    slope, intercept = np.ones(P.shape[1]), mean.copy()
    for t in np.flatnonzero(loss_names(targets) == Logistic.name):
        one = targets.values.of_tasks(torch.tensor([t]))
        for _, rows, labels, weight in one.same_rows():
            score, y = P[rows, t], labels[:, 0].double().numpy()
            slope[t], constant = calibrate(score, y, weight.double().numpy())
            intercept[t] = slope[t] * mean[t] + constant
    return slope, intercept


def _errors(
    stacked: NDArray[np.float64], targets: Targets
) -> Iterator[
    tuple[
        NDArray[np.intp],
        slice | NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.float64],
    ]
]:
    """Tasks with the same rows, these, errors (n, k) of predictions and weights (n,) of them.

    Logistic tasks, whose weights depend on predictions, come one by one.
    """
    names = loss_names(targets)
    chosen = [np.flatnonzero(names == SquaredError.name)]
    chosen += [np.array([t]) for t in np.flatnonzero(names == Logistic.name)]
    for some in chosen:
        values = targets.values.of_tasks(torch.from_numpy(some))
        for own, rows, labels, weight in values.same_rows() if len(some) else ():
            tasks = some[np.asarray(own)]
            predicted, w = stacked[rows][:, tasks], weight.double().numpy()
            error = labels.double().numpy()
            if names[tasks[0]] == Logistic.name:
                p = expit(predicted)
                variance = np.maximum(p * (1 - p), LEAST_VARIANCE)
                yield tasks, rows, (error - p) / variance, w * variance[:, 0]
            else:
                yield tasks, rows, error - predicted, w


def _losses(
    scores: NDArray[np.float64],
    directions: NDArray[np.float64],
    intercept: NDArray[np.float64],
    targets: Targets,
) -> torch.Tensor:
    """Losses of predictions along the first 1, 2, ..., r directions, (r, n): of each row.

    Their means over rows are means over tasks of the mean squared error, or of the log-loss in
    units of that of the best constant.
    """
    logistic = loss_names(targets) == Logistic.name
    unit = task_weights(targets, balanced=False)
    errors = RowErrors(
        targets.values,
        [Logistic() if chosen else SquaredError() for chosen in logistic]
        if logistic.any()
        else None,
        None if unit is None else torch.where(torch.from_numpy(logistic), unit, 1.0),
    )
    predicted, losses = np.broadcast_to(targets.at(intercept), targets.array.shape), []
    columns = [torch.from_numpy(x.copy()) for x in (scores, directions)]
    for score, direction in zip(*(x.T[..., None] for x in columns), strict=True):
        part = targets.values.predictions(score, direction, torch.zeros(len(direction)))
        predicted = predicted + part.numpy()
        losses.append(errors(torch.from_numpy(predicted)))
    return torch.stack(losses)


def _correct(
    P: NDArray[np.float64],
    error: NDArray[np.float64],
    weight: NDArray[np.float64],
    fold: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression of errors on predictions, of which the folds choose the penalty.

    Returns
    -------
    coef : ndarray of shape (T, k)
    intercept : ndarray of shape (k,)
    held_out : ndarray of shape (n, k)
        Corrections of each row by regressions that have not seen it.
    """
    found = np.zeros((len(ALPHAS), *error.shape))
    for k in np.unique(fold):
        kept = fold != k
        if not kept.any():
            return np.zeros((P.shape[1], error.shape[1])), np.zeros(error.shape[1]), found[0]
        for i, (coef, shift) in enumerate(_ridge_path(P[kept], error[kept], weight[kept])):
            found[i, ~kept] = P[~kept] @ coef + shift
    loss = np.array([weight @ np.square(error - one).sum(axis=1) for one in found])
    # of equal losses the largest penalty
    best = len(ALPHAS) - 1 - int(loss[::-1].argmin())
    return *list(_ridge_path(P, error, weight))[best], found[best]


def _ridge_path(
    X: NDArray[np.float64], Y: NDArray[np.float64], weight: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Ridge coefficients and intercepts for each of ALPHAS."""
    share = weight / weight.sum()
    x_mean, y_mean, root = share @ X, share @ Y, np.sqrt(share)[:, None]
    left, right = root * (X - x_mean), root * (Y - y_mean)
    values, vectors = np.linalg.eigh(left.T @ left)
    projected = vectors.T @ (left.T @ right)
    for alpha in ALPHAS:
        coef = vectors @ (projected / (values.clip(0) + alpha)[:, None])
        yield coef, y_mean - x_mean @ coef
