"""Everything that a training step depends on, as plain values and tensors."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from torch import nn

from sklearn_sparsedis.nn._generators import current_generators
from sklearn_sparsedis.training._judge import NOT_JUDGED

__all__ = [
    "TrainingRun",
    "generator_states",
    "load_generators",
    "load_module",
    "load_net",
    "module_state",
    "net_state",
]

PLAIN = (type(None), bool, int, float, str)


@dataclass(frozen=True)
class TrainingRun:
    """Outcome of `train`.

    Attributes
    ----------
    losses : list of float
        Outer loss of each step.
    held_out_losses : list of float
        Loss on held-out rows before the first step and after each block of steps.
    best_step : int
        Steps after which the encoder that was kept had been reached.
    judgement : dict
        What a `LinearJudge` says.
    """

    losses: list[float]
    held_out_losses: list[float] = field(default_factory=list)
    best_step: int = 0
    judgement: dict[str, Any] = field(default_factory=lambda: dict(NOT_JUDGED))


def module_state(module: nn.Module) -> dict[str, Any]:
    """State of a module with the buffers that its own state leaves out."""
    state = dict(module.state_dict())
    others = {name: value for name, value in module.named_buffers() if name not in state}
    return {"state": state, "others": others}


def load_module(module: nn.Module, stored: dict[str, Any]) -> None:
    """Give a module the state that `module_state` gave."""
    module.load_state_dict(stored["state"])
    buffers = dict(module.named_buffers())
    with torch.no_grad():
        for name, value in stored["others"].items():
            buffers[name].copy_(value)


def net_state(net: NeuralNet) -> dict[str, Any]:
    """State of a net in training, between two steps."""
    return {
        "module": module_state(net.module_),
        "optimizer": net.optimizer_.state_dict(),
        "callbacks": {name: callback.state_dict() for name, callback in _stateful(net)},
        "batches": net.batches.state_dict(),
        "history": [_pack(epoch) for epoch in net.history],
        "generators": generator_states(),
    }


def load_net(net: NeuralNet, stored: dict[str, Any]) -> None:
    """Give a net that is about to take its first step the state that `net_state` gave."""
    load_module(net.module_, stored["module"])
    net.optimizer_.load_state_dict(stored["optimizer"])
    net.history.extend(_unpack(epoch) for epoch in stored["history"])
    net.batches.load_state_dict(stored["batches"])
    load_generators(stored["generators"])
    for name, callback in _stateful(net):
        if name in stored["callbacks"]:
            callback.load_state_dict(stored["callbacks"][name])


def generator_states() -> dict[str, Any]:
    """States of the generators of the fit that is under way."""
    generators = current_generators()
    return {} if generators is None else generators.state_dict()


def load_generators(states: dict[str, Any]) -> None:
    """Set the states that `generator_states` gave."""
    generators = current_generators()
    if generators is not None:
        generators.load_state_dict(states)


def _stateful(net: NeuralNet) -> list[tuple[str, Any]]:
    """Callbacks with a state, by name; for a schedule what it wraps, which has the state."""
    pairs = [
        (name, callback.lr_scheduler_ if isinstance(callback, LRScheduler) else callback)
        for name, callback in net.callbacks_
    ]
    return [pair for pair in pairs if hasattr(pair[1], "load_state_dict")]


def _pack(epoch: dict[str, Any]) -> dict[str, Any]:
    """An epoch of a history, its batches by columns; what is not plain is left out."""
    batches = epoch["batches"]
    names = [name for name, value in batches[0].items() if isinstance(value, bool | int | float)]
    return {
        "epoch": {name: value for name, value in epoch.items() if type(value) in PLAIN},
        "columns": {name: np.array([batch[name] for batch in batches]) for name in names},
    }


def _unpack(stored: dict[str, Any]) -> dict[str, Any]:
    names, columns = list(stored["columns"]), stored["columns"].values()
    rows = zip(*(column.tolist() for column in columns), strict=True)
    batches = [dict(zip(names, row, strict=True)) for row in rows]
    return {**stored["epoch"], "batches": batches}
