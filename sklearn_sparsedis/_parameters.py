"""Domains of the parameters of trained estimators."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from torch import nn

from sklearn_sparsedis._checkpoints import check_callbacks
from sklearn_sparsedis._validation import (
    LARGEST_RATE,
    check_choice,
    check_device,
    check_integer,
    check_real,
    check_sizes,
)
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.nn import ENCODERS
from sklearn_sparsedis.penalties import check_penalty, penalties_with
from sklearn_sparsedis.training import OPTIMIZERS

__all__ = ["check_parameters", "check_training", "warn_channels_first"]

# a shape of images that starts with one of these and goes on with two sides has its channels first
COMMON_CHANNELS = (1, 3, 4)
SMALLEST_SIDE = 8


def check_parameters(estimator: Any) -> None:
    """Raise for a parameter of SparseDisentangledRepresentation that is not in its domain."""
    p = estimator
    check_training(p, ENCODERS, patience="a third of the evaluations")
    penalty = check_penalty(p.penalty)
    if not isinstance(p.common_head, bool | np.bool_):
        raise TypeError(f"common_head must be True or False, got {p.common_head!r}.")
    if p.common_head and not penalty.supports_common_head:
        known = penalties_with(lambda penalty: penalty.supports_common_head)
        raise ValueError(
            f"common_head=True is not available with penalty={p.penalty!r}: choose {known}."
        )
    check_choice("alpha_mode", p.alpha_mode, ("absolute", "relative"))
    if p.class_weight is not None:
        check_choice("class_weight", p.class_weight, ("balanced",), ", or None")
    relative = p.alpha_mode == "relative"
    check_real("alpha", p.alpha, 0, 1 if relative else np.inf)
    check_real("query_fraction", p.query_fraction, 0, 1, closed="neither", none="the same rows")
    check_integer("batch_size", p.batch_size, 2)
    check_integer("tasks_per_batch", p.tasks_per_batch, 1, none="all tasks")


def check_training(estimator: Any, encoders: Collection[str], *, patience: str) -> None:
    """Raise for a parameter that the trained estimators share and that is not in its domain.

    Parameters
    ----------
    estimator : estimator
    encoders : collection of str
        Names of its own networks.
    patience : str
        What n_iter_no_change=None stands for.
    """
    p = estimator
    check_integer("n_components", p.n_components, 1)
    if isinstance(p.encoder, str) or not (isinstance(p.encoder, nn.Module) or callable(p.encoder)):
        also = ", an nn.Module, or a callable (n_features_in, n_components) -> nn.Module"
        check_choice("encoder", p.encoder, encoders, also)
    check_sizes("hidden_layer_sizes", p.hidden_layer_sizes)
    check_sizes("input_shape", p.input_shape, none="square grey images")
    check_integer("max_iter", p.max_iter, 0)
    check_real("learning_rate", p.learning_rate, 0, LARGEST_RATE, closed="right")
    check_choice("optimizer", p.optimizer, OPTIMIZERS)
    check_real("weight_decay", p.weight_decay, 0, LARGEST_RATE)
    check_integer("n_init", p.n_init, 1)
    if p.early_stopping not in (True, False, "auto"):
        raise ValueError(f'early_stopping must be True, False or "auto", got {p.early_stopping!r}.')
    check_real("validation_fraction", p.validation_fraction, 0, 1, closed="neither")
    check_integer("n_iter_no_change", p.n_iter_no_change, 1, none=patience)
    check_real("tol", p.tol, 0, np.inf, closed="neither")
    check_callbacks(p.callbacks)
    check_device(p.device)


def warn_channels_first(input_shape: Sequence[int] | None) -> None:
    """Warn where a shape looks like (channels, height, width)."""
    if input_shape is None or len(input_shape) != 3:
        return
    first, *rest = input_shape
    if first in COMMON_CHANNELS and min(rest) >= SMALLEST_SIDE and max(rest) <= 4 * min(rest):
        warn_caller(
            f"input_shape={tuple(input_shape)} means images of height {first} and width {rest[0]} "
            f"with {rest[1]} channels, which come last. For X_first of shape (n_samples, {first}, "
            f"{rest[0]}, {rest[1]}) pass X = numpy.moveaxis(X_first, 1, -1).reshape(len(X_first), "
            f"-1) and input_shape=({rest[0]}, {rest[1]}, {first}).",
        )
