"""What estimators tell scikit-learn's callbacks."""

from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext

from sklearn_sparsedis.estimators._base import StampedEstimator
from sklearn_sparsedis.nn import Encoder
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
    """Callbacks of the trainings of a fit: one where the estimator has callbacks, or none.

    Parameters
    ----------
    estimator, context
        Whose fit, and its task; None for a fit without callbacks.
    attributes : callable
        Fitted attributes if training ended with an encoder.
    X, y, **metadata
        Data of the fit, as given; metadata that are None are left out.
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
    """Tell the callbacks that a fit is done and its estimator ready."""
    if context is not None and getattr(estimator, "_skl_callbacks", None):
        context.call_on_fit_task_end(
            estimator=estimator, **_data(X, y, metadata), reconstruction_attributes=dict
        )


def new_attributes(ready: StampedEstimator, estimator: StampedEstimator) -> dict[str, Any]:
    """Attributes that a copy of an estimator has, and it has not."""
    before = vars(estimator)
    return {
        name: value
        for name, value in vars(ready).items()
        if name not in before or before[name] is not value
    }


def _data(X: Any, y: Any, metadata: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in metadata.items() if value is not None}
    return {"X": X, "y": y, "metadata": given or None}
