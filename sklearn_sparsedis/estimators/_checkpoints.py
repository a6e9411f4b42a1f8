"""Which callbacks an estimator was given, and whose training a checkpoint is."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis._validation import check_integer
from sklearn_sparsedis.estimators._base import Identity
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.training import (
    Checkpoint,
    NotComparable,
    TrainingRecord,
    describe,
)

__all__ = ["agree", "check_callbacks", "open_record", "skorch_callbacks"]

# parameters that do not change what a training from a given seed comes to
WITHOUT_EFFECT = ("callbacks", "device", "random_state", "verbose", "warm_start")
# rows of a large table that ranks compare
COMPARED_ROWS = 1000


def check_callbacks(callbacks: Any) -> None:
    """Raise unless it is None or a list of skorch callbacks, with at most one Checkpoint."""
    if callbacks is None:
        return
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of skorch callbacks or None, got {callbacks!r}.")
    given = list(callbacks)
    for callback in given:
        # skorch takes classes and (name, callback) pairs as well
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
        raise ValueError("callbacks must have at most one Checkpoint.")
    for checkpoint in checkpoints:
        check_integer("every of Checkpoint", checkpoint.every, 1)


def skorch_callbacks(callbacks: Iterable[Any] | None) -> list[Any]:
    """Callbacks without a Checkpoint."""
    return [callback for callback in callbacks or () if not isinstance(callback, Checkpoint)]


def open_record(
    identity: Identity,
    arrays: Mapping[str, NDArray[Any] | Rows | None],
    seed: int,
    started: nn.Module | None,
) -> TrainingRecord | None:
    """Record of a fit on these arrays, where the callbacks have a Checkpoint."""
    checkpoints = [callback for callback in identity.callbacks if isinstance(callback, Checkpoint)]
    if not checkpoints:
        return None
    if identity.params["random_state"] is None:
        raise ValueError(
            "Checkpoint needs a random_state that is not None: with another seed each time there "
            "is no training to be continued."
        )
    params = _describe_parameters(identity.params, strict=True)
    params["seed drawn from random_state"] = str(seed)
    params["encoder to start from"] = describe(started)
    facts = {
        "estimator": {"class": identity.estimator},
        "parameters": params,
        "data": {f"data {name}": _digest(array) for name, array in arrays.items()},
    }
    return TrainingRecord(checkpoints[0], facts)


def agree(identity: Identity, arrays: Mapping[str, NDArray[Any] | Rows | None], seed: int) -> int:
    """The seed of a fit, after the ranks that share it were found to have been given the same.

    Parameters
    ----------
    identity : Identity
    arrays : mapping of str to ndarray
        Data by name; of large ones some rows are compared.
    seed : int
        As drawn on this rank. Without a `random_state` that of the main rank is taken.
    """
    ranks = Ranks.joined()
    if ranks.size == 1:
        return seed
    params = _describe_parameters(identity.params, strict=False)
    shapes = {f"shape of {name}": getattr(array, "shape", None) for name, array in arrays.items()}
    ranks.require_same(params | shapes)
    ranks.require_same({name: _digest(_some_rows(array)) for name, array in arrays.items()})
    if identity.params["random_state"] is not None:
        ranks.require_same({"the seed drawn from random_state": seed})
    return ranks.from_main(lambda: seed)


def _some_rows(array: NDArray[Any] | Rows | None) -> NDArray[Any] | None:
    if array is None:
        return None
    step = -(-len(array) // COMPARED_ROWS)
    return array.take(np.arange(0, len(array), step)) if isinstance(array, Rows) else array[::step]


def _describe_parameters(params: Mapping[str, Any], *, strict: bool) -> dict[str, str]:
    """Parameters that change what a training comes to, as texts; unless `strict`, of all values."""
    texts = {}
    for name, value in params.items():
        if name in WITHOUT_EFFECT:
            continue
        try:
            texts[name] = describe(value)
        except NotComparable as error:
            if strict:
                raise ValueError(
                    f"Checkpoint cannot tell one {name} from another, and so whose training it "
                    f"goes on with: {name} holds {error}, of which the state cannot be read. Make "
                    "such things where they are used, or leave the Checkpoint out."
                ) from error
            texts[name] = type(value).__qualname__
    return texts


def _digest(array: NDArray[Any] | Rows | None) -> str:
    if array is None:
        return "None"
    total = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    parts = (part for _, part in array.chunks()) if isinstance(array, Rows) else (array,)
    for part in parts:
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()[:16]
