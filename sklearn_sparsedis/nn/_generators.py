"""Random generators that belong to one fit, in place of torch's global ones."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode

__all__ = ["Generators", "current_generators", "diverted_draws", "seeded"]

_CURRENT: ContextVar["Generators | None"] = ContextVar("generators", default=None)
# Held while the state of a global generator is replaced.
_LENT = Lock()


class Generators(TorchDispatchMode):
    """A generator for each device, from which torch draws in the body of a `with` statement.

    Layers such as dropout, and the initialisation of weights, draw from one global generator a
    device, which all threads of a process share: what one thread draws would depend on the others.
    Here every operation that draws is caught below autograd, in this thread alone, and is given a
    generator of this object, with the outcome that the global one would have had with this seed.

    Parameters
    ----------
    seed : int
        Seed of each generator.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self._of: dict[str, torch.Generator] = {}

    # The next three methods replace torch's. Those set flags for all threads, which would be wrong
    # after threads enter and leave in turn, and load torch's compiler, which takes two seconds.

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __enter__(self) -> "Generators":
        _push_mode(self)
        return self

    def __exit__(self, *error: object) -> None:
        _pop_mode()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
        device = _device_of(named)
        if device.type == "meta" or named.get("generator") is not None:
            return func(*args, **kwargs)
        _refuse_recomputation()
        generator = self.on(device)
        taking = _taking_generator(func)
        if taking is not None:
            return taking(**{**named, "generator": generator})
        with _in_place_of_global(generator):
            return func(*args, **kwargs)

    def on(self, device: torch.device) -> torch.Generator:
        """The generator of a device."""
        if device.type != "cpu" and device.index is None:
            device = torch.empty(0, device=device).device
        if str(device) not in self._of:
            self._of[str(device)] = torch.Generator(device).manual_seed(self.seed)
        return self._of[str(device)]

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators that were drawn from, by device."""
        return {device: generator.get_state() for device, generator in self._of.items()}

    def load_state_dict(self, states: dict[str, Tensor]) -> None:
        """Restore states from `state_dict`, for the devices that this machine has."""
        for device, state in states.items():
            place = torch.device(device)
            if (place.index or 0) < torch.get_device_module(place).device_count():
                self.on(place).set_state(state)


@contextmanager
def seeded(seed: int) -> Iterator[Generators]:
    """Let `diverted_draws` in this thread draw from generators with this seed."""
    generators = Generators(seed)
    token = _CURRENT.set(generators)
    try:
        yield generators
    finally:
        _CURRENT.reset(token)


def current_generators() -> Generators | None:
    """Return the generators of the enclosing `seeded` in this thread, or None."""
    return _CURRENT.get()


def diverted_draws() -> AbstractContextManager[Any]:
    """Context in which torch draws from the enclosing `seeded`, or as usual without one."""
    return _CURRENT.get() or nullcontext()


def _device_of(named: dict[str, Any]) -> torch.device:
    """Device on which an operation draws."""
    for value in named.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device(named.get("device") or "cpu")


@cache
def _taking_generator(func: Any) -> Any:
    """Find the overload of an operation that takes a generator as well, or return None."""
    wanted = {argument.name for argument in func._schema.arguments} | {"generator"}
    packet = func.overloadpacket
    for name in packet.overloads():
        overload = getattr(packet, name)
        if {argument.name for argument in overload._schema.arguments} == wanted and all(
            str(mine.type) == str(theirs.type)
            for mine in func._schema.arguments
            for theirs in overload._schema.arguments
            if mine.name == theirs.name
        ):
            return overload
    return None


@contextmanager
def _in_place_of_global(generator: torch.Generator) -> Iterator[None]:
    """Replace the global generator for an operation that cannot be given another one."""
    device = generator.device
    if device.type == "cpu":
        usual = torch.default_generator
    else:
        usual = torch.get_device_module(device).default_generators[device.index]
    with _LENT:
        state = usual.get_state()
        usual.set_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(usual.get_state())
            usual.set_state(state)


def _refuse_recomputation() -> None:
    """Raise inside torch.utils.checkpoint, which would repeat a draw from the global generator."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "torch.utils.checkpoint":
            raise ValueError(
                "encoder draws random numbers, for example for dropout, inside "
                "torch.utils.checkpoint, which would draw other numbers when it computes again "
                "for the gradient. Remove the random layer or the checkpointing."
            )
        frame = frame.f_back  # type: ignore[assignment]
