"""Which tasks have which loss, and what follows from it for their heads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from sklearn_sparsedis.functional import bernoulli_entropy
from sklearn_sparsedis.inputs._targets import Targets

__all__ = [
    "LOSSES",
    "calibrate_intercepts",
    "mark_labels",
    "one_kind",
    "task_weights",
]

LOSSES = ("auto", "logistic", "squared_error")
# steps of Newton's method for an intercept, none longer than one
CALIBRATION_STEPS = 200

Losses = str | Sequence[str] | Mapping[Any, str]


def mark_labels(targets: Targets, loss: Losses) -> Targets:
    """Targets with their losses, which must suit their values."""
    wanted = _wanted(loss, targets)
    Y = targets.array
    binary_values = ~targets.any((Y != 0) & (Y != 1))
    both = targets.any(Y == 1) & targets.any(Y == 0)
    logistic = (wanted == "logistic") | ((wanted == "auto") & binary_values & both)
    wrong = np.flatnonzero(logistic & ~binary_values)
    if len(wrong):
        t = wrong[0]
        other = _other_value(targets, t)
        raise ValueError(
            f"Y: the loss 'logistic' needs labels 0 and 1, but task {targets.tasks[t]} has the "
            f"value {other:g} ({len(wrong)} of {len(wanted)} tasks have such values). Encode its "
            "labels as 0 and 1, or give it the loss 'squared_error'."
        )
    if not logistic.any():
        return targets
    return replace(targets, binary=tuple(logistic.tolist()))


def _wanted(loss: Losses, targets: Targets) -> NDArray[np.str_]:
    """The loss asked for, one a task."""
    names, known = targets.tasks.tolist(), ", ".join(repr(name) for name in LOSSES)
    if isinstance(loss, str):
        losses = [loss] * len(names)
    elif isinstance(loss, Mapping):
        unknown = [name for name in loss if name not in names]
        if unknown and targets.layout != "long":  # in the long layout a task may have no rows
            raise ValueError(f"loss names a task that Y does not have: {unknown[0]!r}.")
        losses = [loss.get(name, "squared_error") for name in names]
    else:
        losses = list(loss) if isinstance(loss, Sequence | np.ndarray) else [loss]
        if len(losses) != len(names):
            raise ValueError(
                f"loss must be one of {known}, a sequence of one a task or a mapping from tasks, "
                f"got {loss!r} for {len(names)} tasks. In adapt, pass the loss of the new tasks."
            )
    for name in losses:
        if not isinstance(name, str) or name not in LOSSES:
            raise ValueError(f"loss must be one of {known} for each task, got {name!r}.")
    return np.array(losses, dtype=np.str_)


def _other_value(targets: Targets, task: int) -> float:
    """The smallest value of a task's labels that is neither 0 nor 1."""
    Y = targets.array
    others = (Y != 0) & (Y != 1) & (targets.at(np.arange(targets.shape[1])) == task)
    if targets.weights is not None:
        others &= targets.weights[:, None] > 0
    return float(Y[others].min())


def one_kind(targets: Targets) -> NDArray[np.bool_]:
    """Which tasks have labels of one kind only."""
    ones, zeros = targets.any(targets.array == 1), targets.any(targets.array == 0)
    return np.array(targets.binary, dtype=bool) & ~(ones & zeros)


def task_weights(targets: Targets, *, balanced: bool) -> Tensor | None:
    """Weights of the tasks' losses under which that of each task's best constant is one half.

    It is for standardised values; a task of labels of one kind gets the weight zero.
    """
    if targets.binary is None:
        return None
    rate = torch.from_numpy(targets.mean(targets.array)).clamp(0, 1)
    constant = bernoulli_entropy(torch.full_like(rate, 0.5) if balanced else rate)
    of_labels = torch.where((rate > 0) & (rate < 1), 0.5 / constant, 0.0)
    return torch.where(torch.tensor(targets.binary), of_labels, 1.0)


def calibrate_intercepts(scores: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Changes of intercepts under which tasks' mean probabilities are their mean labels.

    Parameters
    ----------
    scores : ndarray like `targets.array`
        Log-odds before.
    targets : Targets

    Returns
    -------
    change : ndarray of shape (n_tasks,)
        Zero for tasks that do not have labels of both kinds, or have values.
    """
    counted = np.array(targets.binary, dtype=bool) & ~one_kind(targets)
    rate = targets.mean(targets.array)
    change = np.zeros(targets.shape[1])
    for _ in range(CALIBRATION_STEPS):
        p = expit(scores + targets.at(change))
        slope = np.maximum(targets.mean(p * (1 - p)), np.finfo(np.float64).tiny)
        step = np.where(counted, np.clip(rate - targets.mean(p), -slope, slope) / slope, 0.0)
        change += step
        if (np.abs(step) < 1e-12).all():
            break
    return change
