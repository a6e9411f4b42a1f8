"""Values by which trainings are told apart, in groups of which all differ; a script as well."""

import functools
import json
import logging
import operator
import sys
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from sklearn_sparsedis.estimators._identity import describe

WIDTH = 8
Pair = namedtuple("Pair", "one two")


def network(*layers, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), *layers)


def hooked(factor):
    module = network()
    module.register_forward_hook(lambda module, args, output: factor * output)
    return module


def tied(tie):
    module = network(nn.Linear(2, 2), nn.Linear(2, 2))
    module[2].load_state_dict(module[1].state_dict())
    if tie:
        module[2].weight = module[1].weight
    return module


def custom(body, **attributes):
    """Module of a class with the same name each time."""

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.__dict__.update(attributes)

        forward = body

    return Custom()


def helped(helper):
    """A function of the same code each time, whose global name stands for another function."""
    code = "def build(n, m):\n    return helper(n) + m\n"
    namespace = {"helper": helper, "__name__": "a_module_of_mine"}
    exec(code, namespace)
    return namespace["build"]


def factory(width, *, bias=True):
    return lambda n, m: nn.Sequential(nn.Linear(n, width, bias=bias), nn.Linear(width, m))


@dataclass
class Builder:
    width: int

    def build(self, n, m):
        return nn.Linear(n, m + self.width + WIDTH)

    def __call__(self, n, m):
        return self.build(n, m)


class Slotted:
    __slots__ = ("width",)

    def __init__(self, width):
        self.width = width


@functools.lru_cache
def cached(n, m):
    return nn.Linear(n, m)


def recursive(n, m):
    return recursive(n - 1, m) if n else m


GROUPS = {
    "mappings": [
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
        {"a": 1},
        {},
        ["a", "b"],
        None,
        OrderedDict(a=1),
    ],
    "plain": [1, 1.5, "1", b"1", True, 1j, (1, 2), {1, 2}, [2, 1], [[1], 2], float("nan"), -0.0],
    "arrays": [np.arange(3), np.arange(3.0), np.arange(3)[:, None], torch.arange(3)],
    "large arrays": [np.arange(20_000), np.arange(20_000) + 1, np.arange(20_000.0)],
    "layers": [
        network(nn.ReLU()),
        network(nn.Tanh()),
        network(nn.LeakyReLU(0.1)),
        network(nn.LeakyReLU(0.2)),
        network(nn.Dropout(0.1)),
        network(nn.ReLU(), nn.Identity()),
        network(nn.ReLU(), seed=1),
        network(nn.ReLU()).double(),
        hooked(1),
        hooked(2),
        tied(True),
        tied(False),
        nn.Sequential(*[nn.Linear(2, 2, device="meta")] * 2),
        nn.Sequential(*(nn.Linear(2, 2, device="meta") for _ in range(2))),
        nn.Sequential(weight_norm(nn.Linear(3, 2))),
    ],
    "attributes that are not shown": [
        nn.TransformerEncoderLayer(4, 2, 8, activation=activation, device="meta")
        for activation in ("relu", "gelu", torch.tanh)
    ],
    "code of modules": [
        custom(lambda self, x: x),
        custom(lambda self, x: -x),
        custom(lambda self, x: x.relu()),
        custom(lambda self, x: x.tanh()),
        custom(lambda self, x: x, factor=2),
        custom(lambda self, x: x, factor=3),
        custom(lambda self, x: x, _options={"factor": 3}),
        custom(lambda self, x: x, _options={"shift": 3}),
        custom(lambda self, x: x, sizes=(1, 2)),
        custom(lambda self, x: x, act=torch.relu),
        custom(lambda self, x: x, act=torch.tanh),
    ],
    "functions": [
        lambda n, m: nn.Linear(n, m),
        lambda n, m: nn.Linear(n, m, bias=False),
        lambda n, m: nn.Bilinear(n, m, 3),
        lambda m, n: nn.Linear(n, m),
        lambda n, m, bias=True: nn.Linear(n, m, bias),
        lambda n, m, bias=False: nn.Linear(n, m, bias),
        lambda n, m, *, bias=False: nn.Linear(n, m, bias),
        lambda n, m: (lambda k: nn.Linear(k, m))(n),
        lambda n, m: (lambda k: nn.Linear(k, m))(n + 1),
        lambda n, m: n in {"a", "b", "c", "d"},
        lambda n, m: n in {"a", "b", "c", "e"},
        lambda n, m: WIDTH,
        factory(8),
        factory(9),
        factory(8, bias=False),
        helped(lambda n: n),
        helped(lambda n: n + 1),
        helped(factory(2)),
        helped(factory(3)),
        functools.partial(factory, 8),
        functools.partial(factory, 9),
        functools.partial(factory, 8, bias=False),
        recursive,
        cached,
        operator.add,
        torch.relu,
        torch.tanh,
        len,
    ],
    "objects": [
        Builder(8),
        Builder(9),
        Builder(8).build,
        Builder(9).build,
        Builder,
        Slotted(8),
        Slotted(9),
        Pair(1, 2),
        deque([1]),
        Fraction(1, 2),
        SimpleNamespace(width=8, build=lambda n: n),
        SimpleNamespace(width=8, build=lambda n: -n),
        logging.getLogger("one"),
        np.random.RandomState(0),
        np.random.RandomState(1),
    ],
}


def texts():
    """Texts of all values."""
    return {name: [describe(value) for value in group] for name, group in GROUPS.items()}


if __name__ == "__main__":
    json.dump(texts(), sys.stdout)
