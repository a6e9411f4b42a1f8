"""Predictions of all tasks from components, and how good they are."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning
from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._base import ComponentHeads
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._task_names import find_tasks
from sklearn_sparsedis.inputs._tensors import cast_finite
from sklearn_sparsedis.tasks._packs import predictions_at

__all__ = ["TaskPredictions"]

# rows whose products with heads on features are made together
ROWS = 4096


class TaskPredictions(ComponentHeads):
    """Estimator whose heads, on components of X and perhaps on X beside them, predict tasks."""

    tasks_: NDArray[Any]
    losses_: NDArray[np.str_]
    coef_residual_: NDArray[np.float64] | None
    _layout: str

    def _check_X(self, X: ArrayLike) -> NDArray[Any] | Rows:
        raise NotImplementedError

    def _transform(self, X: NDArray[Any] | Rows) -> NDArray[Any]:
        raise NotImplementedError

    def _predictions(
        self, rows: NDArray[Any] | Rows, task_id: ArrayLike | None
    ) -> tuple[NDArray[Any], Tensor | None]:
        """Predictions in the dtype of the rows, of all tasks or of that of each row, and this."""
        columns = None
        if task_id is not None:
            columns = torch.from_numpy(find_tasks(task_id, self.tasks_, len(rows)))
            parts = self._components_and_heads(rows)
            predicted = predictions_at(torch.arange(len(rows)), columns, *parts).numpy()
            self._respond(predicted, self.losses_[columns.numpy()])
        else:
            predicted = self._predict_all(rows)
            if self._layout != "wide" and len(self.tasks_) == 1:
                predicted = predicted[:, 0]
        return cast_finite(predicted, rows.dtype, "the predictions"), columns

    def _predict_all(self, X: NDArray[Any] | Rows) -> NDArray[np.float64]:
        predicted = self._transform(X).astype(np.float64) @ self.coef_.T + self.intercept_
        if self.coef_residual_ is not None:
            for some in _parts(len(X)):
                predicted[some] += X[some].astype(np.float64) @ self.coef_residual_.T
        self._respond(predicted, self.losses_)
        return predicted

    def _respond(self, scores: NDArray[np.float64], names: NDArray[np.str_]) -> None:
        """Turn scores into predictions in place, with the loss of each in the last dimension.

        Those of squared errors are predictions as they are.
        """

    def _components_and_heads(self, X: NDArray[Any] | Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Components of rows, and features with coefficients, these and intercepts, in float64."""
        Z, coef = self._transform(X).astype(np.float64), self.coef_
        if self.coef_residual_ is not None:
            features = [X[some].astype(np.float64) for some in _parts(len(X))]
            Z = np.hstack([Z, np.concatenate(features)])
            coef = np.hstack([coef, self.coef_residual_])
        return torch.from_numpy(Z), torch.from_numpy(coef), torch.from_numpy(self.intercept_)

    def score(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        task_id: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> float:
        """Mean over tasks of the coefficient of determination on the labels that are there.

        For a logistic task that of its probabilities, which is the Brier skill score.

        Parameters
        ----------
        X, Y, sample_weight, task_id, y
            As in `fit`; tasks with fewer than two labels do not count. The columns of a data frame
            are matched with `tasks_` by name where the model was fitted with names, and those of
            arrays by position.

        Returns
        -------
        score : float
        """
        # only here and above, because who rotates features needs no losses
        from sklearn_sparsedis.inputs._targets import check_targets, r2

        rows = self._check_X(X)
        if self._layout == "long" and task_id is None:
            if len(self.tasks_) > 1:
                raise ValueError(
                    "task_id must be passed to score, because the model was fitted on rows with a "
                    "task_id: which task each row of Y belongs to is not known otherwise. Under "
                    "metadata routing, request it with set_score_request(task_id=True)."
                )
            task_id = np.repeat(self.tasks_, len(rows))
        Y = y if Y is None else Y
        targets = check_targets(
            Y,
            len(rows),
            task_id=task_id,
            sample_weight=sample_weight,
            tasks=self.tasks_,
            required=False,
            caller=f"{type(self).__name__}.score",
        )
        predicted = targets.values.predictions(*self._components_and_heads(rows)).numpy()
        self._respond(predicted, targets.at(self.losses_))
        scores = r2(targets, predicted)
        if np.isnan(scores).all():
            warn_caller(
                "R^2 is not defined with fewer than two labels in every task.",
                UndefinedMetricWarning,
            )
            return float("nan")
        return float(np.nanmean(scores))


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS)]
