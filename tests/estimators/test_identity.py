"""Texts of parameters: as many as there are values, and the same in every process."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading

import identities
import numpy as np
import pytest
import torch
from torch import nn

from sklearn_sparsedis.estimators._identity import NotComparable, describe


def test_different_values_have_different_texts():
    for name, found in identities.texts().items():
        assert len(set(found)) == len(found), name
        assert max(map(len, found)) < 250


def test_another_process_has_the_same_texts():
    script = identities.__file__
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == identities.texts()


@pytest.mark.parametrize("name", ["layers", "code of modules", "functions", "objects", "mappings"])
def test_copies_have_the_same_texts(name):
    for value in identities.GROUPS[name]:
        assert describe(copy.deepcopy(value)) == describe(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((8, 4), np.array([8, 4])),
        (0.5, np.float64(0.5)),
        ({"a": 1, "b": 2}, {"b": 2, "a": np.int64(1)}),
        ({"l", "k"}, frozenset("kl")),
        (identities.Builder(8), pickle.loads(pickle.dumps(identities.Builder(8)))),
        (identities.network(nn.ReLU()).eval(), identities.network(nn.ReLU())),
        (identities.network(), identities.network().requires_grad_(False)),
    ],
)
def test_what_trains_alike_has_one_text(one, other):
    assert describe(one) == describe(other)


def test_a_compiled_module_has_a_text_too():
    texts = [
        describe(torch.compile(identities.network(layer), backend="eager"))
        for layer in (nn.ReLU(), nn.ReLU(), nn.Tanh())
    ]
    assert texts[0] == texts[1] != texts[2]


def test_tensors_without_plain_values():
    found = [
        nn.LazyLinear(3),
        nn.Linear(2, 3, device="meta"),
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.eye(2).to_sparse(),
        torch.ones(()),
    ]
    assert len({describe(value) for value in found}) == len(found)


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        (i for i in range(3)),
        {"a": [threading.Lock()]},
        identities.custom(lambda self, x: x, lock=threading.Lock()),
        (lambda lock: lambda n, m: lock)(threading.Lock()),
    ],
)
def test_what_has_no_state_to_be_read_is_refused(value):
    with pytest.raises(NotComparable, match="a (lock|generator)"):
        describe(value)
