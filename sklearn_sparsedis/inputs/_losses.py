"""Losses of tasks, and what follows from them for the heads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import LOSSES, Loss, SquaredError
from sklearn_sparsedis.losses._groups import each_loss, tasks_where

__all__ = [
    "calibrate_intercepts",
    "loss_names",
    "mark_losses",
    "one_kind",
    "respond",
    "standard_units",
    "task_weights",
]

# of tasks without a loss of their own, and the word for a choice by the targets
DEFAULT, AUTO = SquaredError.name, "auto"
# steps of Newton's method for an intercept, none longer than one
CALIBRATION_STEPS = 200

Losses = str | Sequence[str] | Mapping[Any, str]


def mark_losses(targets: Targets, loss: Losses) -> Targets:
    """Targets with their losses, which must suit their values."""
    names = _wanted(loss, targets)
    suited = {name: kind.suits(targets) for name, kind in LOSSES.items()} if AUTO in names else {}
    losses = []
    for t, name in enumerate(names):
        fitting = (known for known, suits in suited.items() if suits[t])
        losses.append(LOSSES[next(fitting, DEFAULT) if name == AUTO else name])
    _check_domains(targets, losses)
    if all(loss.name == DEFAULT for loss in losses):
        return targets
    return replace(targets, losses=tuple(losses))


def _check_domains(targets: Targets, losses: Sequence[Loss]) -> None:
    """Raise where a task has a value that its loss is not for."""
    for loss, chosen in each_loss(losses, len(losses)):
        wrong = np.flatnonzero(chosen & targets.any(~loss.allows(targets.array)))
        if len(wrong):
            labels = targets.values.labels_of(wrong[0]).numpy()
            least = labels[~loss.allows(labels)].min()
            raise ValueError(
                f"Y: the loss {loss.name!r} needs {loss.domain}, but task "
                f"{targets.tasks[wrong[0]]} has the value {least:g} "
                f"({len(wrong)} of {len(losses)} tasks have such values). {loss.remedy}, or give "
                f"it the loss {DEFAULT!r}."
            )


def _wanted(loss: Losses, targets: Targets) -> list[str]:
    """The loss asked for, one a task."""
    allowed = sorted((AUTO, *LOSSES))
    names, known = targets.tasks.tolist(), ", ".join(repr(name) for name in allowed)
    if isinstance(loss, str):
        losses = [loss] * len(names)
    elif isinstance(loss, Mapping):
        unknown = [name for name in loss if name not in names]
        if unknown and targets.layout != "long":  # in the long layout a task may have no rows
            raise ValueError(f"loss names a task that Y does not have: {unknown[0]!r}.")
        losses = [loss.get(name, DEFAULT) for name in names]
    else:
        losses = list(loss) if isinstance(loss, Sequence | np.ndarray) else [loss]
        if len(losses) != len(names):
            raise ValueError(
                f"loss must be one of {known}, a sequence of one a task or a mapping from tasks, "
                f"got {loss!r} for {len(names)} tasks. In adapt, pass the loss of the new tasks."
            )
    for name in losses:
        if not isinstance(name, str) or name not in allowed:
            raise ValueError(f"loss must be one of {known} for each task, got {name!r}.")
    return [str(name) for name in losses]


def loss_names(targets: Targets) -> NDArray[np.str_]:
    """The loss of each task."""
    losses = targets.losses or (LOSSES[DEFAULT],) * targets.shape[1]
    return np.array([loss.name for loss in losses], dtype=f"U{max(map(len, LOSSES))}")


def respond(names: NDArray[np.str_], scores: NDArray[np.float64]) -> None:
    """Turn scores into predictions in place, with the loss of each in the last dimension."""
    for name in np.unique(names):
        response = LOSSES[name].response
        if response is not None:
            chosen = names == name
            scores[..., chosen] = response(torch.from_numpy(scores[..., chosen])).numpy()


def one_kind(targets: Targets) -> NDArray[np.bool_]:
    """Mark tasks that have labels of one kind only; probabilities are of both."""
    ones, zeros = targets.any(targets.array > 0), targets.any(targets.array < 1)
    return _have_classes(targets) & ~(ones & zeros)


def _have_classes(targets: Targets) -> NDArray[np.bool_]:
    return tasks_where(targets.losses, targets.shape[1], lambda loss: loss.classes)


def standard_units(
    targets: Targets, *, jointly: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Location and scale of the tasks' targets, as their losses have them, and which tasks vary."""
    n_tasks = targets.shape[1]
    location, scale, varied = np.zeros(n_tasks), np.ones(n_tasks), np.ones(n_tasks, dtype=bool)
    for loss, chosen in each_loss(targets.losses, n_tasks):
        units = loss.units(targets, jointly=jointly)
        for whole, own in zip((location, scale, varied), units, strict=True):
            whole[chosen] = own[chosen]
    return location, scale, varied


def task_weights(targets: Targets, *, balanced: bool) -> Tensor | None:
    """Weights of the tasks' losses under which that of each task's best constant is one half.

    It is for standardised values.
    """
    if targets.losses is None:
        return None
    weights = torch.ones(targets.shape[1], dtype=torch.float64)
    for loss, chosen in each_loss(targets.losses, len(weights)):
        own = loss.task_weights(targets, balanced=balanced)
        weights = torch.where(torch.from_numpy(chosen), own, weights)
    return weights


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
    counted = _have_classes(targets) & ~one_kind(targets)
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
