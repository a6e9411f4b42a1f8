"""Regressors and classifiers as encoders: predictions of rows that they were not fitted on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GroupKFold, KFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.validation import has_fit_parameter
from torch import nn

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._log_odds import ConstantOdds, gives_log_odds, log_odds
from sklearn_sparsedis.estimators._stack import Stack
from sklearn_sparsedis.inputs._losses import loss_names, one_kind
from sklearn_sparsedis.inputs._parameters import check_integer
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic

__all__ = ["RegressorSettings", "TaskRegressors", "cross_fit", "is_regressor"]

N_FOLDS = 5
# regressors, each with the tasks that it predicts
Parts = tuple[tuple[NDArray[np.intp], Any], ...]
# largest seed that is drawn for a regressor
LARGEST_SEED = 2**31 - 1


def is_regressor(encoder: Any) -> bool:
    """Return True for an estimator of scikit-learn's kind, which is no network."""
    return not isinstance(encoder, str | nn.Module | type) and hasattr(encoder, "fit")


@dataclass(frozen=True)
class RegressorSettings:
    """A regressor or classifier whose predictions are encoded, and how rows are split.

    Fields as parameters.

    Attributes
    ----------
    n_components : int or None
        None for "auto".
    """

    encoder: Any
    cv: Any
    n_components: int | None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "RegressorSettings | None":
        """From the parameters of an estimator; None for an encoder that is a network.

        Raises an error for one that is not in its domain.
        """
        encoder, cv = params["encoder"], params["cv"]
        if isinstance(encoder, type) and hasattr(encoder, "fit"):
            name = encoder.__name__
            raise TypeError(f"encoder is the class {name}: give an instance, {name}().")
        if isinstance(cv, Integral):
            check_integer("cv", cv, 2)
        elif not (cv is None or hasattr(cv, "split") or isinstance(cv, Iterable)) or isinstance(
            cv, str
        ):
            raise TypeError(
                "cv must be an integer, a splitter of scikit-learn, an iterable of splits or None, "
                f"got {cv!r}."
            )
        m = params["n_components"]
        if not is_regressor(encoder):
            return None
        if not hasattr(encoder, "predict"):
            raise TypeError(
                f"encoder={encoder!r} has no predict: give a regressor, or a pipeline that ends in "
                "one. Components of features that are fixed are for SparseRotation."
            )
        if is_classifier(encoder) and not gives_log_odds(encoder):
            raise TypeError(
                f"encoder={encoder!r} has neither decision_function nor predict_proba, and its "
                "labels alone say little: give a classifier with one of them."
            )
        if params["warm_start"]:
            raise ValueError(
                f"warm_start=True is for networks, which can be trained on, and encoder={encoder!r}"
                " is fitted anew each time: set warm_start=False."
            )
        return cls(encoder, cv, None if isinstance(m, str) and m == "auto" else m)

    def check_losses(self, targets: Targets) -> None:
        """Raise for a classifier where tasks have no classes."""
        others = targets.tasks[loss_names(targets) != Logistic.name]
        if is_classifier(self.encoder) and len(others):
            raise ValueError(
                f"encoder={type(self.encoder).__name__} is a classifier, and {len(others)} of "
                f"{len(targets.tasks)} tasks do not have the loss 'logistic' "
                f"({', '.join(map(str, others[:5]))}{', ...' if len(others) > 5 else ''}): set "
                'loss="logistic" for labels 0 and 1, or give a regressor.'
            )


@dataclass(frozen=True)
class TaskRegressors:
    """Regressors of all tasks, fitted without each fold of the rows in turn.

    Attributes
    ----------
    folds : tuple of tuples of pairs (ndarray of int, regressor)
        For each fold regressors of all tasks, each with the tasks that it predicts.
    stack : Stack
        What is made of their predictions.
    """

    folds: tuple[Parts, ...]
    stack: Stack

    def transform(self, X: NDArray[Any] | Rows) -> NDArray[Any]:
        """Combinations of predictions that components are made of, (n, m), in the dtype of X."""
        return self.stack.combine(self.predict(X))

    def predict(self, X: NDArray[Any] | Rows) -> NDArray[Any]:
        """Mean prediction of all tasks in their standard units, (n, n_tasks), in the dtype of X.

        Rows in a file are read in pieces.
        """
        if isinstance(X, Rows):
            return np.concatenate([self.predict(part) for _, part in X.chunks()])
        total = sum(_predict_all(parts, X) for parts in self.folds)
        return np.asarray(total / len(self.folds)).astype(X.dtype)


def cross_fit(
    settings: RegressorSettings,
    X: NDArray[Any] | Rows,
    targets: Targets,
    groups: ArrayLike | None,
    seed: int,
) -> tuple[NDArray[Any], NDArray[np.intp], tuple[Parts, ...]]:
    """Fit a regressor of all tasks without each fold in turn.

    A task is fitted on the rows that have a label of it. Tasks with labels on the same rows share a
    regressor if it takes several targets; otherwise each has its own.

    Parameters
    ----------
    settings : RegressorSettings
        The regressor is cloned for each fit. Of a classifier log-odds are predicted, the same for
        all rows where a task has labels of one kind.
    X : ndarray or Rows of shape (n, d)
        Rows in a file are read as a whole.
    targets : Targets
        In standard units.
    groups : array-like of shape (n,), optional
        Rows of one group are in one fold.
    seed : int
        Of the folds, and of regressors whose `random_state` is None.

    Returns
    -------
    held_out : ndarray of shape (n, n_tasks)
        Predictions of each row by regressors that were fitted without its fold.
    fold : ndarray of int, shape (n,)
        Fold of each row.
    folds : tuple of parts
        Regressors of each fold.
    """
    settings.check_losses(targets)
    rows, regressor = X[:] if isinstance(X, Rows) else X, settings.encoder
    random = np.random.RandomState(seed)
    fold = _folds(settings.cv, targets, groups, seed)
    n_folds = int(fold.max()) + 1
    predicted, folds = np.empty(targets.shape, dtype=rows.dtype), []
    for k in range(n_folds):
        kept, where = fold != k, f"in fold {k + 1} of {n_folds}"
        _require_labels(targets, kept, where)
        try:
            folds.append(_fit(regressor, rows, targets, np.flatnonzero(kept), random))
            predicted[~kept] = _predict_all(folds[-1], rows[~kept])
        except Exception as error:
            name = type(regressor).__name__
            raise ValueError(
                f"encoder={name} failed {where}: {type(error).__name__}: {error}"
            ) from error
    _warn_of_one_kind(folds, targets)
    return predicted, fold, tuple(folds)


def _folds(cv: Any, targets: Targets, groups: ArrayLike | None, seed: int) -> NDArray[np.intp]:
    """Fold in which each row is left out."""
    n = targets.shape[0]
    if groups is not None:
        check_consistent_length(groups, np.empty(n))
        groups = np.asarray(groups)
    splitter = cv
    if cv is None or isinstance(cv, Integral):
        most = n if groups is None else len(np.unique(groups))
        kind = KFold if groups is None else GroupKFold
        splitter = kind(min(cv or N_FOLDS, most), shuffle=True, random_state=seed)
    y = targets.array[:, 0] if targets.shape[1] == 1 else None
    fold, times = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    for k, (_, test) in enumerate(check_cv(splitter).split(np.empty((n, 1)), y, groups)):
        fold[test], times[test] = k, times[test] + 1
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        raise ValueError(
            f"cv must put each row into one test set, as KFold does, so that each has predictions "
            f"of a regressor that has not seen it: row {wrong[0]} is in {times[wrong[0]]} of them "
            f"({len(wrong)} of {n} rows are in none or several)."
        )
    return fold


def _require_labels(targets: Targets, kept: NDArray[np.bool_], where: str) -> None:
    """Raise for tasks that have no label outside of a fold."""
    count = targets.values.of_rows(torch.from_numpy(kept)).count.numpy()
    empty = targets.tasks[count == 0]
    if len(empty):
        raise ValueError(
            f"{len(empty)} of {len(targets.tasks)} tasks have no label to fit the encoder to "
            f"{where}, because all of theirs are in it: {', '.join(map(str, empty[:5]))}"
            f"{', ...' if len(empty) > 5 else ''}. Leave these tasks out, or give cv= splits that "
            "share their labels out."
        )


def _warn_of_one_kind(folds: Iterable[Parts], targets: Targets) -> None:
    """Name tasks with labels of both kinds that have one kind outside of a fold."""
    alike = np.zeros(len(targets.tasks), dtype=bool)
    for parts in folds:
        for tasks, model in parts:
            alike[tasks] |= isinstance(model, ConstantOdds)
    names = targets.tasks[alike & ~one_kind(targets)]
    if len(names):
        warn_caller(
            f"{len(names)} of {len(alike)} tasks have labels of one kind only outside of a fold "
            f"({', '.join(map(str, names[:5]))}{', ...' if len(names) > 5 else ''}): in it their "
            "share is predicted for all rows. Give cv= splits that share both kinds out."
        )


def _fit(
    regressor: Any,
    X: NDArray[Any],
    targets: Targets,
    rows: NDArray[np.intp],
    random: np.random.RandomState,
) -> Parts:
    """Fit regressors of all tasks on their labels on some rows."""
    together = get_tags(regressor).target_tags.multi_output
    classes = is_classifier(regressor)
    parts: list[tuple[NDArray[np.intp], Any]] = []
    for tasks, own, values, weights in targets.values.of_rows(torch.from_numpy(rows)).same_rows():
        x, Y, weight = X[rows[own]], values.numpy(), weights.numpy()
        Y = Y.astype(np.int64) if classes else Y
        alike = (Y[0] == Y).all(axis=0) if classes else np.zeros(len(tasks), dtype=bool)
        parts += [(np.asarray(tasks)[[k]], ConstantOdds.of(Y[:, k])) for k in np.flatnonzero(alike)]
        varied = np.flatnonzero(~alike)
        for columns in [varied] if together and len(varied) else varied[:, None]:
            y = Y[:, columns[0]] if len(columns) == 1 else Y[:, columns]
            parts.append((np.asarray(tasks)[columns], _fit_one(regressor, x, y, weight, random)))
    return tuple(parts)


def _fit_one(
    regressor: Any,
    X: NDArray[Any],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    random: np.random.RandomState,
) -> Any:
    fitted = clone(regressor)
    fitted.set_params(**dict(_seeds(fitted, random)))
    if (weight == 1).all():
        return fitted.fit(X, y)
    return fitted.fit(X, y, **{_weight_argument(fitted): weight})


def _seeds(regressor: Any, random: np.random.RandomState) -> Iterator[tuple[str, int]]:
    """Draw a seed for each `random_state` that is None."""
    for name, value in sorted(regressor.get_params().items()):
        if value is None and name.rpartition("__")[2] == "random_state":
            yield name, random.randint(LARGEST_SEED)


def _weight_argument(regressor: Any) -> str:
    """Name by which the `fit` of a regressor takes weights of rows."""
    if isinstance(regressor, Pipeline) and not get_config()["enable_metadata_routing"]:
        name, last = regressor.steps[-1]
        return f"{name}__{_weight_argument(last)}"
    if isinstance(regressor, Pipeline) or has_fit_parameter(regressor, "sample_weight"):
        return "sample_weight"
    raise TypeError(
        f"{type(regressor).__name__}.fit takes no sample_weight, and rows or labels have weights "
        "that are not all one. Leave sample_weight out, or give an encoder that takes it."
    )


def _predict_all(parts: Parts, X: NDArray[Any]) -> NDArray[np.float64]:
    """Predictions of all tasks, shape (n, n_tasks)."""
    found = np.empty((len(X), sum(len(tasks) for tasks, _ in parts)))
    for tasks, regressor in parts:
        found[:, tasks] = _predict(regressor, X, len(tasks))
    return found


def _predict(regressor: Any, X: NDArray[Any], n_tasks: int) -> NDArray[np.float64]:
    """Predictions of some tasks, shape (n, n_tasks), which must be finite."""
    if isinstance(regressor, ConstantOdds) or is_classifier(regressor):
        predicted = log_odds(regressor, X)
    else:
        predicted = np.asarray(regressor.predict(X), dtype=np.float64)
    if predicted.size != len(X) * n_tasks or len(predicted) != len(X):
        raise ValueError(
            f"predict gave an array of shape {predicted.shape} for {len(X)} rows and {n_tasks} "
            "targets."
        )
    if not np.isfinite(predicted).all():
        raise ValueError("predict gave values that are not finite.")
    return predicted.reshape(len(X), n_tasks)
