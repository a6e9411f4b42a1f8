"""Records of the checked parameters of the trained estimators, one for each part."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._checkpoints import check_callbacks, skorch_callbacks
from sklearn_sparsedis.estimators._head_settings import HeadSettings
from sklearn_sparsedis.estimators._regressors import RegressorSettings
from sklearn_sparsedis.inputs._parameters import (
    LARGEST_RATE,
    check_choice,
    check_device,
    check_integer,
    check_real,
    check_sizes,
)
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.training._net import OPTIMIZERS
from sklearn_sparsedis.training._train import TrainingPlan

__all__ = [
    "EncoderSettings",
    "RepresentationSettings",
    "TrainingSettings",
]

# An image shape that starts with one of these numbers, before two sides, has its channels first.
COMMON_CHANNELS = (1, 3, 4)
SMALLEST_SIDE = 8
# outer steps of an encoder that is a network, and of the basis of a regressor's predictions
DEFAULT_STEPS = 1500
STEPS_OF_BASIS = 300
# strength of heads that are refitted on their supports, where it chooses zeros and takes nothing
# from coefficients
ALPHA_OF_REFITTED = 0.2


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

    @property
    def refits_heads(self) -> bool:
        """Whether final heads are refitted on their supports: to stacked predictions of tasks."""
        stacked = self.regressor is not None and self.heads.of_stacked_predictions
        return stacked and self.heads.penalty.sparse

    @property
    def final_heads(self) -> HeadSettings:
        """Settings of heads on components that are not trained any further."""
        heads, squared = self.heads, self.heads.loss == "squared_error"
        stronger = self.refits_heads and heads.by_default and heads.relative and squared
        return replace(heads, alpha=ALPHA_OF_REFITTED) if stronger else heads

    def with_components(self, n_components: int) -> "RepresentationSettings":
        """Settings with another number of components."""
        return replace(self, encoder=replace(self.encoder, n_components=n_components))
