"""Callbacks of the outer loop."""

import copy
from collections.abc import Callable
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from tqdm.auto import tqdm

from sklearn_sparsedis.training._judge import LinearJudge
from sklearn_sparsedis.training._net import StopTraining

__all__ = ["EarlyStopping", "ProgressBar"]


class EarlyStopping(Callback):
    """Evaluate before the first step and after each epoch; keep the best.

    Parameters
    ----------
    evaluate : callable
        Held-out loss of the module in training.
    patience : int
        Epochs without a better loss after which training stops.
    earliest : int
        Step before which it does not stop.
    keep_from : int
        Step from which on an encoder can be kept; the last one is, when training ends before.
    """

    def __init__(
        self,
        evaluate: Callable[[Any], float],
        patience: int,
        earliest: int,
        keep_from: int = 0,
    ) -> None:
        self.evaluate = evaluate
        self.patience = patience
        self.earliest = earliest
        self.keep_from = keep_from

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.losses_: list[float] = []
        self.best_step_ = 0
        self.best_loss_ = float("inf")
        self._best_state: dict[str, Any] | None = None
        self._evaluate(net, 0)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        loss = self._evaluate(net, net.n_steps_done)
        net.history.record("valid_loss", loss)
        if isinstance(self.evaluate, LinearJudge) and self.evaluate.only_hurts():
            raise StopTraining("held-out loss clearly higher than before")
        waited = len(self.losses_) - 1 - self._best_index
        if waited >= self.patience and net.n_steps_done >= self.earliest:
            raise StopTraining(f"held-out loss no lower since step {self.best_step_}")

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self._best_state is None:
            self.best_step_ = net.n_steps_done
        else:
            net.module_.load_state_dict(self._best_state)

    def state_dict(self) -> dict[str, Any]:
        """Losses and the best encoder so far."""
        names = ("losses_", "best_step_", "best_loss_", "_best_index", "_best_state")
        state = {name: getattr(self, name) for name in names}
        best = self._best_state
        judge = self.evaluate.state_dict() if isinstance(self.evaluate, LinearJudge) else None
        return {**state, "_best_state": None if best is None else dict(best), "judge": judge}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        own = {name: value for name, value in state.items() if name != "judge"}
        self.__dict__.update(own)
        if isinstance(self.evaluate, LinearJudge):
            self.evaluate.load_state_dict(state["judge"])

    def _evaluate(self, net: NeuralNet, step: int) -> float:
        loss = self.evaluate(net.module_)
        self.losses_.append(loss)
        if step < self.keep_from:
            self._best_index = len(self.losses_) - 1
        elif loss < self.best_loss_:
            self._best_index = len(self.losses_) - 1
            self.best_loss_, self.best_step_ = loss, step
            self._best_state = copy.deepcopy(net.module_.state_dict())
        return loss


class ProgressBar(Callback):
    """A bar on standard error with the losses of the last epoch.

    Parameters
    ----------
    n_steps : int
        Length of the bar.
    title : str
        What the steps are.
    """

    def __init__(self, n_steps: int, title: str) -> None:
        self.n_steps = n_steps
        self.title = title

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self._bar = tqdm(total=self.n_steps, desc=self.title, leave=True)

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self._bar.update(net.n_steps_done - self._bar.n)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        last = net.history[-1]
        shown = {"loss": last["batches"][-1]["train_loss"]}
        if "valid_loss" in last:
            shown["held out"] = last["valid_loss"]
        self._bar.set_postfix(shown)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if net.stopped:
            self._bar.set_description_str(f"{self.title}, stopped early ({net.stopped})")
        self._bar.close()
