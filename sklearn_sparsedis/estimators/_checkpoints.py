"""Checks of the callbacks of an estimator, and identification of the training of a checkpoint."""

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray
from torch import nn

from sklearn_sparsedis.estimators._agreement import describe_parameters, digest
from sklearn_sparsedis.estimators._base import Identity
from sklearn_sparsedis.estimators._identity import describe
from sklearn_sparsedis.inputs._parameters import check_integer
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.training._checkpoint import Checkpoint, TrainingRecord

__all__ = ["check_callbacks", "open_record", "skorch_callbacks"]


def check_callbacks(callbacks: Any) -> None:
    """Raise an error unless callbacks are None or skorch's, with at most one Checkpoint."""
    if callbacks is None:
        return
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of skorch callbacks or None, got {callbacks!r}.")
    given = list(callbacks)
    for callback in given:
        # skorch also takes classes and pairs (name, callback).
        bare = callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback
        if isinstance(bare, Checkpoint) or hasattr(bare, "on_train_begin"):
            continue
        needed = (
            "callbacks must be skorch callbacks or sklearn_sparsedis.callbacks.Checkpoint, got "
            f"{callback!r}."
        )
        if hasattr(bare, "on_fit_task_end"):
            name = (bare if isinstance(bare, type) else type(bare)).__name__
            needed += (
                f" {name} follows scikit-learn's callback protocol: leave it out of callbacks and "
                f"use set_callbacks instead, estimator.set_callbacks({name}(...)).fit(X, y)."
            )
        raise TypeError(needed)
    checkpoints = [callback for callback in given if isinstance(callback, Checkpoint)]
    if len(checkpoints) > 1:
        raise ValueError(
            f"callbacks must have at most one Checkpoint, got {len(checkpoints)}. Keep one of them."
        )
    for checkpoint in checkpoints:
        check_integer("every of Checkpoint", checkpoint.every, 1)


def skorch_callbacks(callbacks: Iterable[Any] | None) -> list[Any]:
    """Return the callbacks without a Checkpoint."""
    return [callback for callback in callbacks or () if not isinstance(callback, Checkpoint)]


def open_record(
    identity: Identity,
    arrays: Mapping[str, NDArray[Any] | Rows | None],
    seed: int,
    started: nn.Module | None,
) -> TrainingRecord | None:
    """Return the record of a fit on these arrays, or None without a Checkpoint."""
    checkpoints = [callback for callback in identity.callbacks if isinstance(callback, Checkpoint)]
    if not checkpoints:
        return None
    if identity.params["random_state"] is None:
        raise ValueError(
            "Checkpoint needs a random_state that is not None: with another seed each time there "
            "is no training to be continued."
        )
    params = describe_parameters(identity.params, strict=True)
    params["seed drawn from random_state"] = str(seed)
    params["encoder to start from"] = describe(started)
    facts = {
        "estimator": {"class": identity.estimator},
        "parameters": params,
        "data": {f"data {name}": digest(array) for name, array in arrays.items()},
    }
    return TrainingRecord(checkpoints[0], facts)
