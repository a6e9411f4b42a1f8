"""Calls of scikit-learn's callbacks by the estimators."""

from collections.abc import Callable
from typing import Any

from sklearn_sparsedis.estimators._base import StampedEstimator
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.training._callback_protocol import CallbackContext
from sklearn_sparsedis.training._fit_tasks import FitTasks

__all__ = ["end_fit", "fit_tasks", "new_attributes"]


def fit_tasks(
    estimator: StampedEstimator,
    context: CallbackContext | None,
    attributes: Callable[[Encoder], dict[str, Any]],
    X: Any,
    y: Any,
    **metadata: Any,
) -> list[FitTasks]:
    """Return the callbacks of the trainings of a fit: one if the estimator has any, else none.

    Parameters
    ----------
    estimator, context
        The estimator that is fitted, and the context of its fit; None without callbacks.
    attributes : callable
        Function from an encoder to the fitted attributes that the estimator would have with it.
    X, y, **metadata
        Data of the fit as the user gave them; metadata that are None are left out.
    """
    if context is None or not getattr(estimator, "_skl_callbacks", None):
        return []
    data = _data(X, y, metadata)
    context.call_on_fit_task_begin(estimator=estimator, **data)
    return [FitTasks(estimator, context, data, attributes)]


def end_fit(
    estimator: StampedEstimator,
    context: CallbackContext | None,
    X: Any,
    y: Any,
    **metadata: Any,
) -> None:
    """Tell the callbacks that the fit has ended."""
    if context is not None and getattr(estimator, "_skl_callbacks", None):
        context.call_on_fit_task_end(
            estimator=estimator, **_data(X, y, metadata), reconstruction_attributes=dict
        )


def new_attributes(ready: StampedEstimator, estimator: StampedEstimator) -> dict[str, Any]:
    """Attributes of a copy of an estimator that the estimator does not have."""
    before = vars(estimator)
    return {
        name: value
        for name, value in vars(ready).items()
        if name not in before or before[name] is not value
    }


def _data(X: Any, y: Any, metadata: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in metadata.items() if value is not None}
    return {"X": X, "y": y, "metadata": given or None}
