"""Records of the checked parameters of the trained estimators, one for each part."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._checkpoints import check_callbacks, skorch_callbacks
from sklearn_sparsedis.estimators._regressors import RegressorSettings
from sklearn_sparsedis.inputs._losses import mark_losses
from sklearn_sparsedis.inputs._outputs import number_tasks, share_supports
from sklearn_sparsedis.inputs._parameters import (
    LARGEST_RATE,
    check_choice,
    check_device,
    check_integer,
    check_real,
    check_sizes,
)
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import each_loss
from sklearn_sparsedis.nn._episode_heads import EPISODE_HEADS, FewShotHead
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.penalties._registry import check_penalty, penalties_with
from sklearn_sparsedis.training._net import OPTIMIZERS
from sklearn_sparsedis.training._train import TrainingPlan

__all__ = [
    "EncoderSettings",
    "EpisodeSettings",
    "HeadSettings",
    "RepresentationSettings",
    "TrainingSettings",
    "few_shot_head",
]

# An image shape that starts with one of these numbers, before two sides, has its channels first.
COMMON_CHANNELS = (1, 3, 4)
SMALLEST_SIDE = 8
# outer steps of an encoder that is a network, and of the basis of a regressor's predictions
DEFAULT_STEPS = 1500
STEPS_OF_BASIS = 300
# strength of the penalty in training where held-out labels choose that of the final heads
TRAINING_ALPHA = 0.05
# outer steps on episodes: enough to draw each row so often, within these bounds
DRAWS_OF_A_ROW, FEWEST_STEPS, MOST_STEPS = 60, 100, 1000


@dataclass(frozen=True)
class HeadSettings:
    """Heads of SparseDisentangledRepresentation; fields as its parameters.

    Attributes
    ----------
    relative : bool
        Whether `alpha` is a fraction of the penalty's unit.
    chooses_alpha : bool
        Whether held-out labels choose the alpha of the final heads; `alpha` is that of training.
    balanced : bool
        Whether the classes 0 and 1 of a task get the same total weight.
    """

    penalty: Penalty
    alpha: float
    relative: bool
    tol: float
    balanced: bool
    common_head: bool
    loss: Any
    task_of_output: Any
    chooses_alpha: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "HeadSettings":
        """From the parameters of an estimator; raises for one that is not in its domain."""
        penalty, common, mode = (params[k] for k in ("penalty", "common_head", "alpha_mode"))
        kind = check_penalty(params)
        if not isinstance(common, bool | np.bool_):
            raise TypeError(f"common_head must be True or False, got {common!r}.")
        if common and not kind.supports_common_head:
            known = penalties_with(lambda penalty: penalty.supports_common_head)
            raise ValueError(
                f"common_head=True is not available with penalty={penalty!r}: choose {known}."
            )
        check_choice("alpha_mode", mode, ("absolute", "relative"))
        if params["class_weight"] is not None:
            check_choice("class_weight", params["class_weight"], ("balanced",), ", or None")
        alpha, chooses = params["alpha"], isinstance(params["alpha"], str)
        if chooses:
            _check_automatic_alpha(alpha, kind, mode)
            alpha = TRAINING_ALPHA
        check_real("alpha", alpha, 0, 1 if mode == "relative" else np.inf)
        return cls(
            penalty=kind,
            alpha=alpha,
            relative=mode == "relative",
            chooses_alpha=chooses,
            tol=float(params["tol"]),
            balanced=params["class_weight"] == "balanced",
            common_head=bool(common),
            loss=params["loss"],
            task_of_output=params["task_of_output"],
        )

    def targets(self, targets: Targets) -> Targets:
        """Targets with their losses and the tasks of their columns, which must suit the heads."""
        targets = mark_losses(targets, self.loss)
        for loss, chosen in each_loss(targets.losses, targets.shape[1]):
            if not loss.from_statistics:
                self._check_loss(loss, int(chosen.sum()), len(chosen))
        numbers = number_tasks(targets, self.task_of_output)
        if numbers is None:
            return targets
        if not _keep_support(self.penalty):
            raise ValueError(
                f"penalty={self.penalty.name!r} chooses the support of every output by itself, so "
                "that outputs of one task cannot share one: choose "
                f"{penalties_with(_keep_support)}, or leave task_of_output None."
            )
        if self.common_head:
            raise ValueError(
                "common_head=True is not available for tasks with several outputs: the outputs of "
                "a task do not resemble one head. Leave task_of_output None or common_head False."
            )
        return share_supports(targets, numbers) if self.penalty.sparse else targets

    def _check_loss(self, loss: Loss, n_chosen: int, n_tasks: int) -> None:
        """Raise where tasks cannot have a loss whose heads need the rows."""
        which = f"the loss {loss.name!r}, which {n_chosen} of {n_tasks} tasks have"
        if self.penalty.smooth is None:
            known = penalties_with(lambda penalty: penalty.smooth is not None)
            raise ValueError(
                f"penalty={self.penalty.name!r} is not available with {which}: choose {known}, or "
                "the loss 'squared_error' for all tasks."
            )
        if self.common_head:
            raise ValueError(
                f"common_head=True is not available with {which}: give all tasks the loss "
                "'squared_error', also those with labels 0 and 1."
            )
        if self.alpha == 0:
            raise ValueError(
                f"alpha must be above 0 with the loss {loss.name!r}: {loss.smooth.without_penalty}"
            )

    @property
    def of_stacked_predictions(self) -> bool:
        """Whether heads behind a regressor are fitted to its stacked predictions, not to labels.

        Evidence and a common head need to know how far labels are from heads.
        """
        return not self.penalty.turns_components and not self.common_head

    def problem(self, scale: Tensor) -> HeadProblem:
        """Inner problem for targets that were divided by `scale`."""
        penalty = self.penalty.trained_through
        alpha: Tensor | float = self.alpha
        if not self.relative:
            penalty, alpha = penalty.in_units(self.alpha, scale)
        return HeadProblem(
            penalty,
            alpha,
            self.relative,
            self.tol,
            balanced=self.balanced,
            common=self.common_head,
        )


def _check_automatic_alpha(alpha: str, penalty: Penalty, mode: str) -> None:
    """Raise where a word for alpha is unknown, or there is no alpha to be chosen."""
    check_choice("alpha", alpha, ("auto",), ", or a number")
    if penalty.turns_components:
        raise ValueError(
            f"alpha='auto' is not available with penalty={penalty.name!r}, whose zeros are chosen "
            "by their evidence: leave alpha out."
        )
    if mode != "relative":
        raise ValueError(
            "alpha='auto' chooses among fractions of alpha_max_: leave alpha_mode='relative', or "
            "give alpha as a number."
        )


def _keep_support(penalty: Penalty) -> bool:
    """Return True if outputs of a task share their support, or have no zeros to share."""
    return penalty.fit_outputs is not None or not penalty.sparse


@dataclass(frozen=True)
class EncoderSettings:
    """Encoder of a trained estimator; fields as its parameters."""

    encoder: Any
    n_components: int
    hidden_layer_sizes: Sequence[int]
    input_shape: Sequence[int] | None

    @classmethod
    def of(cls, params: Mapping[str, Any], names: Collection[str]) -> "EncoderSettings":
        """From the parameters of an estimator that has networks of these names."""
        found = cls(**{name: params[name] for name in cls.__dataclass_fields__})
        encoder = found.encoder
        check_integer("n_components", found.n_components, 1)
        if isinstance(encoder, str) or not (isinstance(encoder, nn.Module) or callable(encoder)):
            also = ", an nn.Module, or a callable (n_features_in, n_components) -> nn.Module"
            check_choice("encoder", encoder, names, also)
        check_sizes("hidden_layer_sizes", found.hidden_layer_sizes)
        check_sizes("input_shape", found.input_shape, none="square grey images")
        return found

    def warn_channels_first(self) -> None:
        """Warn where a shape looks like (channels, height, width)."""
        shape = self.input_shape
        if shape is None or len(shape) != 3:
            return
        first, *rest = shape
        if first in COMMON_CHANNELS and min(rest) >= SMALLEST_SIDE and max(rest) <= 4 * min(rest):
            warn_caller(
                f"input_shape={tuple(shape)} means images of height {first} and width {rest[0]} "
                f"with {rest[1]} channels, which come last. For X_first of shape (n_samples, "
                f"{first}, {rest[0]}, {rest[1]}) pass X = numpy.moveaxis(X_first, 1, -1)"
                f".reshape(len(X_first), -1) and input_shape=({rest[0]}, {rest[1]}, {first}).",
            )


@dataclass(frozen=True)
class TrainingSettings:
    """Outer loop of a trained estimator; fields as its parameters."""

    max_iter: int
    learning_rate: float
    optimizer: str
    weight_decay: float
    n_init: int
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int | None
    callbacks: Sequence[Any] | None
    device: str | torch.device
    random_state: Any
    verbose: bool

    @classmethod
    def of(cls, params: Mapping[str, Any], *, patience: str) -> "TrainingSettings":
        """From the parameters of an estimator; `patience` says what n_iter_no_change=None does."""
        found = cls(**{name: params[name] for name in cls.__dataclass_fields__})
        check_integer("max_iter", found.max_iter, 0)
        check_real("learning_rate", found.learning_rate, 0, LARGEST_RATE, closed="right")
        check_choice("optimizer", found.optimizer, OPTIMIZERS)
        check_real("weight_decay", found.weight_decay, 0, LARGEST_RATE)
        check_integer("n_init", found.n_init, 1)
        if found.early_stopping not in (True, False, "auto"):
            raise ValueError(
                f'early_stopping must be True, False or "auto", got {found.early_stopping!r}.'
            )
        fraction = found.validation_fraction
        check_real("validation_fraction", fraction, 0, 1, closed="neither")
        check_integer("n_iter_no_change", found.n_iter_no_change, 1, none=patience)
        check_real("tol", params["tol"], 0, np.inf, closed="neither")
        check_callbacks(found.callbacks)
        check_device(found.device)
        return found

    def plan(self, patience: int, watching: Sequence[Callback], **options: Any) -> TrainingPlan:
        """Plan of the training of an encoder.

        Parameters
        ----------
        patience : int
            Patience if n_iter_no_change is None.
        watching : sequence of skorch callbacks
            Callbacks of the fit, called after the user's.
        **options
            Other attributes of the plan.
        """
        wanted = self.n_iter_no_change
        return TrainingPlan(
            **{"max_iter": self.max_iter, **options},
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            device=check_device(self.device),
            patience=patience if wanted is None else wanted,
            callbacks=(*skorch_callbacks(self.callbacks), *watching),
            verbose=bool(self.verbose),
        )


@dataclass(frozen=True)
class RepresentationSettings:
    """All of SparseDisentangledRepresentation but what is given with each call.

    Attributes
    ----------
    regressor : RegressorSettings or None
        Of the encoder, if that is a regressor: then `encoder` is that of its predictions.
    """

    heads: HeadSettings
    encoder: EncoderSettings
    training: TrainingSettings
    query_fraction: float | None
    batch_size: int
    tasks_per_batch: int | None
    regressor: RegressorSettings | None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "RepresentationSettings":
        """From the parameters; raises for one that is not in its domain."""
        heads, regressor = HeadSettings.of(params), RegressorSettings.of(params)
        steps = DEFAULT_STEPS
        if regressor is not None:
            steps = STEPS_OF_BASIS if heads.penalty.trained_through.sparse else 0
            params = {**params, "encoder": "linear"}
            # a basis fits no noise
            if params["early_stopping"] == "auto":
                params["early_stopping"] = False
        if isinstance(params["n_components"], str) and params["n_components"] == "auto":
            # until their number is chosen it is one
            params = {**params, "n_components": 1}
        if params["max_iter"] is None:
            params = {**params, "max_iter": steps}
        encoder = EncoderSettings.of(params, ENCODERS)
        training = TrainingSettings.of(params, patience="a third of the evaluations")
        own = {name: params[name] for name in ("query_fraction", "batch_size", "tasks_per_batch")}
        fraction = own["query_fraction"]
        check_real("query_fraction", fraction, 0, 1, closed="neither", none="the same rows")
        check_integer("batch_size", own["batch_size"], 2)
        check_integer("tasks_per_batch", own["tasks_per_batch"], 1, none="all tasks")
        return cls(heads, encoder, training, **own, regressor=regressor)

    def with_components(self, n_components: int) -> "RepresentationSettings":
        """Settings with another number of components."""
        return replace(self, encoder=replace(self.encoder, n_components=n_components))


@dataclass(frozen=True)
class EpisodeSettings:
    """All of GroupLassoSVMMetaClassifier but what is given with each call.

    Attributes
    ----------
    own_budget : bool
        Whether the rows say how many steps to take, at most `training.max_iter`.
    """

    head: FewShotHead
    encoder: EncoderSettings
    training: TrainingSettings
    n_way: int
    n_shot: int
    n_query: int
    episodes_per_batch: int
    label_smoothing: float
    rotations: bool
    discriminants: bool
    own_budget: bool

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "EpisodeSettings":
        """From the parameters; raises for one that is not in its domain."""
        encoder = EncoderSettings.of(params, EPISODE_ENCODERS)
        own_budget = params["max_iter"] is None
        if own_budget:
            params = {**params, "max_iter": MOST_STEPS}
        training = TrainingSettings.of(params, patience="10 evaluations")
        check_choice("head", params["head"], EPISODE_HEADS)
        check_real("group_reg", params["group_reg"], 0, np.inf, closed="left")
        check_real("l2_reg", params["l2_reg"], 0, np.inf, closed="neither")
        for name, least in (("n_way", 2), ("n_shot", 1), ("n_query", 1), ("episodes_per_batch", 1)):
            check_integer(name, params[name], least)
        check_real("label_smoothing", params["label_smoothing"], 0, 1, closed="left")
        own = [name for name in cls.__dataclass_fields__ if name in params]
        head = few_shot_head(params)
        given = {name: params[name] for name in own if name not in ("head", "encoder")}
        return cls(head=head, encoder=encoder, training=training, own_budget=own_budget, **given)

    def with_budget(self, n_rows: int, n_drawn: int) -> "EpisodeSettings":
        """Settings with the number of steps for so many rows, of which a step draws `n_drawn`."""
        if not self.own_budget:
            return self
        steps = math.ceil(DRAWS_OF_A_ROW * n_rows / n_drawn)
        steps = min(max(steps, FEWEST_STEPS), MOST_STEPS)
        return replace(self, training=replace(self.training, max_iter=steps))


def few_shot_head(params: Mapping[str, Any]) -> FewShotHead:
    """Inner problem for the parameters of GroupLassoSVMMetaClassifier."""
    group_reg, l2_reg, tol = (float(params[name]) for name in ("group_reg", "l2_reg", "tol"))
    return FewShotHead(params["head"], group_reg, l2_reg, tol, bool(params["fit_intercept"]))
