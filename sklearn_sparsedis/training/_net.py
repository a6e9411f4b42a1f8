"""The skorch net that trains an encoder through its heads."""

from collections.abc import Sequence
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.nn._networks import linear_path
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._episodes import EpisodeBatches
from sklearn_sparsedis.training._checkpoint import TrainingCheckpoint
from sklearn_sparsedis.training._episodes import EpisodeObjective
from sklearn_sparsedis.training._objective import BilevelObjective

__all__ = ["ASKED_FOR", "OPTIMIZERS", "BilevelNet", "StopTraining"]

# reason of a callback that gives none
ASKED_FOR = "a callback asked for it"

# one kernel for all parameters takes half to a third of the time of one an operation and parameter;
# momentum as in the paper's few-shot experiments
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
}
# the gradient jumps where a head's support changes; longer steps than this are cut
MAX_GRADIENT_NORM = 1.0
# the linear path starts near a good representation and has to turn it: a faster rate finds the
# basis more often, while the perceptron beside it would fit noise at that rate
LINEAR_PATH_RATE = 3.0


class StopTraining(Exception):  # noqa: N818  # a signal, not an error
    """Raised by a callback to end training early; says why."""


class _NoCriterion(nn.Module):
    """Stands in for the criterion that skorch wants; the objective computes its own loss."""


class BilevelNet(NeuralNet):
    """Outer loop: one step draws a batch, solves the heads, and moves the encoder.

    An epoch of skorch is a block of steps between two evaluations.

    Parameters
    ----------
    objective : BilevelObjective or EpisodeObjective
        Trained in place.
    batches : TaskBatches or EpisodeBatches
        One epoch of them an iteration.
    optimizer : str
        Key of OPTIMIZERS.
    learning_rate, weight_decay : float
        Of the optimiser; the rate falls to zero along a cosine over `n_steps`.
    n_steps : int or None
        Length of the schedules; None keeps the rate constant.
    anneal : bool
        Whether the heads' alpha follows the objective's schedule (its `anneal`).
    constant_rate : bool
        Whether the learning rate stays what it is.
    callbacks : sequence of skorch callbacks
        Called after the ones of this class.
    checkpoint : TrainingCheckpoint, optional
        Called last; the training goes on from what it has stored.
    device : torch.device
        Where to compute.
    """

    def __init__(
        self,
        objective: BilevelObjective | EpisodeObjective,
        batches: TaskBatches | EpisodeBatches,
        *,
        optimizer: str,
        learning_rate: float,
        weight_decay: float,
        n_steps: int,
        anneal: bool,
        constant_rate: bool,
        callbacks: Sequence[Callback],
        checkpoint: TrainingCheckpoint | None = None,
        device: torch.device,
    ) -> None:
        kind, options = OPTIMIZERS[optimizer]
        schedule: list[Any] = []
        if not constant_rate:
            schedule = [LRScheduler(CosineAnnealingLR, T_max=n_steps, step_every="batch")]
        super().__init__(
            objective,
            criterion=_NoCriterion,
            optimizer=kind,
            lr=learning_rate,
            optimizer__weight_decay=weight_decay,
            optimizer__param_groups=[
                (f"encoder.network.{name}", {"lr": LINEAR_PATH_RATE * learning_rate})
                for name in linear_path(objective.encoder.network)
            ],
            **{f"optimizer__{key}": value for key, value in options.items()},
            train_split=None,
            callbacks=[*schedule, *callbacks, *([] if checkpoint is None else [checkpoint])],
            device=str(device),
            verbose=0,
        )
        self.batches = batches
        self.n_steps = n_steps
        self.anneal = anneal
        self.checkpoint = checkpoint
        self._continued = False
        # why training ended early, if it did
        self.stopped = ""

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def get_dataset(self, X: Any, y: None = None) -> Any:  # noqa: D102
        return X

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:  # noqa: D102
        return dataset

    def check_data(self, X: Any, y: None = None) -> None:  # noqa: D102
        pass

    def on_epoch_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Open an epoch, unless one that was interrupted goes on."""
        if not self._continued:
            super().on_epoch_begin(net, *args, **kwargs)
        self._continued = False

    def on_batch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Move the heads' alpha along its schedule."""
        super().on_batch_begin(net, **kwargs)
        if self.anneal:
            self.module_.anneal(self.n_steps_done / self.n_steps)

    def train_step_single(self, batch: Any, **fit_params: object) -> dict[str, Tensor | None]:
        """Loss and gradient of one batch."""
        self._set_training(True)
        loss = self.module_(batch)
        loss.backward()
        loss = self.module_.ranks.add_gradients(self.module_.parameters(), loss)
        nn.utils.clip_grad_norm_(self.module_.parameters(), MAX_GRADIENT_NORM)
        return {"loss": loss, "y_pred": None}

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Stop at the first loss that is not finite."""
        super().on_batch_end(net, **kwargs)
        loss = self.history[-1, "batches", -1, "train_loss"]
        if not torch.isfinite(torch.tensor(loss)):
            raise DivergenceError(
                f"Training diverged: the loss of step {self.n_steps_done} is {loss}. Lower "
                "learning_rate, or check X and Y for extreme values; the estimator is unchanged."
            )

    @property
    def n_steps_done(self) -> int:
        """Outer steps so far."""
        return sum(len(epoch["batches"]) for epoch in self.history)

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Tell the callbacks; skorch's own early stopping asks for it by a KeyboardInterrupt."""
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as stop:
            if method_name == "on_epoch_end":
                raise StopTraining(ASKED_FOR) from stop
            raise

    def train(self, n_epochs: int) -> "BilevelNet":
        """Run epochs until their number is reached or a callback raises StopTraining."""
        self.initialize()
        self.notify("on_train_begin", X=None, y=None)
        if self.checkpoint is not None and self.checkpoint.restore(self):
            self._continued = True
            n_epochs -= len(self.history) - 1
        try:
            self.fit_loop(self.batches, epochs=n_epochs)
        except StopTraining as stop:
            self.stopped = str(stop)
        self.notify("on_train_end", X=None, y=None)
        return self
