"""Trainings as tasks of scikit-learn's callback protocol."""

from collections.abc import Callable, Mapping
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_sparsedis.training._net import ASKED_FOR, StopTraining

__all__ = ["FitTasks"]


class FitTasks(Callback):
    """Tells scikit-learn's callbacks of each training of a fit, and of its blocks of steps.

    Parameters
    ----------
    estimator : estimator
        The one that is fitted.
    context : sklearn.callback.CallbackContext
        Of its fit; the trainings are subtasks of it, and blocks of steps subtasks of those.
    data : mapping of str to object
        X, y and metadata of the fit.
    attributes : callable
        Fitted attributes that the estimator would have if training ended with an encoder.
    """

    def __init__(
        self,
        estimator: object,
        context: Any,
        data: Mapping[str, Any],
        attributes: Callable[[Any], dict[str, Any]],
    ) -> None:
        self.estimator = estimator
        self.context = context
        self.data = data
        self.attributes = attributes
        self._training: Any = None
        self._block: Any = None

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self._training = self._begin(self.context, "training", max_subtasks=None)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self._block = self._begin(self._training, "steps", max_subtasks=0)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        block, self._block = self._block, None
        if self._end(block, net):
            raise StopTraining(ASKED_FOR)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self._block is not None:  # another callback has ended the training
            self._end(self._block, net)
        self._end(self._training, net)
        self._training = self._block = None

    def _begin(self, parent: Any, name: str, *, max_subtasks: int | None) -> Any:
        task = parent.subcontext(task_name=name, max_subtasks=max_subtasks)
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return task

    def _end(self, task: Any, net: NeuralNet) -> bool:
        return bool(
            task.call_on_fit_task_end(
                estimator=self.estimator,
                **self.data,
                reconstruction_attributes=lambda: self.attributes(net.module_.encoder),
            )
        )
