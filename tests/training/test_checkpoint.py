"""Trainings that were interrupted end as if they had not been."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
from checkpointed_fit import CASES, DATA, LABELS, fit, outcome, work
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.storage._file import read_file

pytestmark = pytest.mark.filterwarnings("ignore:1 of 1 heads use no feature:UserWarning")
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 40, "random_state": 0}
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier
MODELS = {
    "restarts": Representation(3, n_init=2, batch_size=64, tasks_per_batch=7, **SMALL),
    "query rows": Representation(3, query_fraction=0.3, early_stopping=False, **SMALL),
    "one epoch": Representation(3, early_stopping=False, optimizer="sgd", **SMALL),
    "mcp, stops early": Representation(3, penalty="mcp", n_iter_no_change=3, **SMALL),
    "l0": Representation(3, penalty="l0", encoder="linear", **SMALL),
    "classes": Classifier(4, n_way=3, group_reg=0.01, **SMALL),
    "classes held out": Classifier(
        4, n_way=2, head="ridge", early_stopping=True, optimizer="adam", **SMALL
    ),
    "dropout": Classifier(4, encoder="resnet12", head="ridge", input_shape=(2, 3), **SMALL),
}


class Interrupted(Exception):
    pass


class Interrupt(Callback):
    """Raises at one of the steps that it sees, counted over all trainings of a fit."""

    def __init__(self, at):
        self.at = at
        self.seen = 0

    def on_batch_end(self, net, **kwargs):
        self.seen += 1
        if self.seen == self.at:
            raise Interrupted

    def set_params(self, **params):  # not a fresh count in each training
        return self

    def initialize(self):
        return self


class Spy(Callback):
    """Notes the step at which each of its trainings was first seen."""

    first = []

    def on_batch_begin(self, net, **kwargs):
        if net is not getattr(self, "net", None):
            self.net = net
            self.first.append(net.n_steps_done)


def targets(model):
    return LABELS if isinstance(model, Classifier) else DATA.Y


def assert_equal(one, other):
    for name, value in outcome(one).items():
        np.testing.assert_array_equal(outcome(other)[name], value, err_msg=name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@functools.cache
def undisturbed(name):
    return clone(MODELS[name]).fit(DATA.X, targets(MODELS[name]))


@pytest.mark.filterwarnings("ignore:Not every component:UserWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("moments", [(3, 8, 25), (41, 60)])
def test_interrupted_fits_end_as_undisturbed_ones(path, name, moments):
    model, y = MODELS[name], targets(MODELS[name])
    for at in moments:
        callbacks = [Interrupt(at), Checkpoint(path, every=7)]
        with contextlib.suppress(Interrupted):  # what is left may be fewer steps
            clone(model).set_params(callbacks=callbacks).fit(DATA.X, y)
    before = torch.get_rng_state()
    resumed = clone(model).set_params(callbacks=[Checkpoint(path, every=9)]).fit(DATA.X, y)
    assert torch.equal(torch.get_rng_state(), before), "global generators are left alone"
    assert_equal(undisturbed(name), resumed)
    assert os.listdir(path.parent) == [path.name]


def test_an_encoder_of_ones_own_goes_on_with_its_random_draws_and_hidden_buffers(path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
            self.register_buffer("calls", torch.zeros(()), persistent=False)

        def forward(self, x):
            if self.training:
                self.calls += 1
            return self.layers(x) * (1 + 0.01 * self.calls)

    torch.manual_seed(0)
    model = Representation(4, encoder=Own(), max_iter=30, early_stopping=False, random_state=0)
    expected = clone(model).fit(DATA.X, DATA.Y)
    callbacks = [Interrupt(17), Checkpoint(path, every=5)]
    with pytest.raises(Interrupted):
        clone(model).set_params(callbacks=callbacks).fit(DATA.X, DATA.Y)
    resumed = clone(model).set_params(callbacks=[Checkpoint(path)]).fit(DATA.X, DATA.Y)
    assert_equal(expected, resumed)


def test_it_goes_on_from_the_last_writing(path):
    model = MODELS["one epoch"]
    with pytest.raises(Interrupted):
        clone(model).set_params(callbacks=[Interrupt(33), Checkpoint(path, every=10)]).fit(
            DATA.X, DATA.Y
        )
    Spy.first.clear()
    clone(model).set_params(callbacks=[Spy(), Checkpoint(path)]).fit(DATA.X, DATA.Y)
    assert Spy.first == [31]
    clone(model).set_params(callbacks=[Spy(), Checkpoint(path)]).fit(DATA.X, DATA.Y)
    assert Spy.first == [31], "a training that came to its end takes no step"


@pytest.mark.parametrize(
    ("change", "shift", "message"),
    [
        ({"alpha": 0.1}, 0, r"alpha \(None there, 0.1 here\)"),
        ({"hidden_layer_sizes": [9]}, 0, r"hidden_layer_sizes \(\[8\] there, \[9\] here\)"),
        ({"random_state": 1}, 0, "seed drawn from random_state"),
        ({"encoder": lambda n, m: nn.Linear(n, m)}, 0, r"encoder \('mlp' there"),
        ({}, 1e-9, r"data X \(\w+ there, \w+ here\)"),
    ],
)
def test_other_fits_are_refused(path, change, shift, message):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)])
    model.fit(DATA.X, DATA.Y)
    before = path.read_bytes()
    other = clone(model).set_params(**change)
    with pytest.raises(ValueError, match=rf"another fit, which differs in .*{message}"):
        other.fit(DATA.X + shift, DATA.Y)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"another fit, which differs in data Y"):
        model.fit(DATA.X, DATA.Y + 1)
    with pytest.raises(ValueError, match=r"which differs in class"):
        clone(MODELS["classes"]).set_params(callbacks=[Checkpoint(path)]).fit(DATA.X, LABELS)


def factory(width):
    return lambda n, m: nn.Sequential(nn.Linear(n, width), nn.Tanh(), nn.Linear(width, m))


def module(layer, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 3), layer)


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"loss": {0: "logistic"}}, {"loss": {1: "logistic"}}, r"loss \({0: 'logistic'} there"),
        (
            {"loss": {0: "logistic", 1: "squared_error"}},
            {"loss": {0: "squared_error", 1: "logistic"}},
            r"loss \({0: 'logistic', 1: 'squared_error'} there, {0: 'squared_error', 1: 'log",
        ),
        ({"encoder": module(nn.ReLU())}, {"encoder": module(nn.Tanh())}, r"encoder \(Sequential"),
        ({"encoder": module(nn.ReLU())}, {"encoder": module(nn.ReLU(), 1)}, "encoder"),
        ({"encoder": factory(8)}, {"encoder": factory(9)}, r"encoder \(factory.<locals>.<lambda>"),
        (
            {"encoder": lambda n, m: nn.Linear(n, m)},
            {"encoder": lambda n, m: nn.Linear(n, m, bias=False)},
            r"encoder \(<lambda> \w+ there, <lambda> \w+ here\)",
        ),
    ],
)
def test_other_losses_and_encoders_are_refused(path, before, after, named):
    Y = np.c_[DATA.Y[:, :2] > 0, DATA.Y[:, 2:]]
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)], max_iter=3)
    found = model.set_params(**before).fit(DATA.X, Y).coef_
    assert (clone(model).fit(DATA.X, Y).coef_ == found).all()
    with pytest.raises(ValueError, match=rf"another fit, which differs in .*{named}"):
        clone(model).set_params(**after).fit(DATA.X, Y)


def test_tasks_that_change_their_losses_with_their_names_are_refused(path):
    pd = pytest.importorskip("pandas")
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)], max_iter=3)
    model.set_params(loss={"a": "logistic"})
    Y = pd.DataFrame(DATA.Y[:, :2] > 0, columns=["a", "b"]).astype(float)
    model.fit(DATA.X, Y)
    with pytest.raises(ValueError, match=r"another fit, which differs in data losses"):
        model.fit(DATA.X, Y.set_axis(["b", "a"], axis=1))


def test_an_encoder_that_nothing_tells_from_others_is_refused(path):
    lock = threading.Lock()
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)])
    model.set_params(encoder=lambda n, m: nn.Linear(n, m) if lock else None)
    with pytest.raises(ValueError, match=r"cannot tell one encoder from another.* holds a lock"):
        model.fit(DATA.X, DATA.Y)
    assert not path.exists()
    model.set_params(callbacks=None).fit(DATA.X, DATA.Y)


def test_the_same_parameters_in_other_types_are_the_same(path):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)], alpha=0.05)
    first = model.fit(DATA.X, DATA.Y).coef_
    model.set_params(hidden_layer_sizes=np.array([8]), alpha=np.float64(0.05), verbose=True)
    assert (model.fit(DATA.X, DATA.Y).coef_ == first).all()


@pytest.mark.parametrize("change", ["cut", "foreign", "model"])
def test_damaged_files_are_refused(path, change):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)])
    model.fit(DATA.X, DATA.Y)
    content = {"cut": path.read_bytes()[:-1], "foreign": b"else", "model": b""}[change]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint.safetensors cannot be loaded: it is not a"):
        model.fit(DATA.X, DATA.Y)


def test_what_makes_no_sense_is_refused(path):
    def refuse(kind, match, *callbacks, **params):
        model = clone(MODELS["one epoch"]).set_params(callbacks=list(callbacks), **params)
        with pytest.raises(kind, match=match):
            model.fit(DATA.X, DATA.Y)

    refuse(ValueError, "needs a random_state that is not None", Checkpoint(path), random_state=None)
    refuse(ValueError, "at most one Checkpoint", Checkpoint(path), Checkpoint(path))
    refuse(ValueError, "every of Checkpoint must be at least 1", Checkpoint(path, every=0))
    refuse(ValueError, "the directory of path=.* does not exist", Checkpoint(path / "a" / "b"))
    refuse(TypeError, "callbacks must be skorch callbacks or .*Checkpoint, got 1", 1)
    with pytest.raises(TypeError, match="callbacks must be a list of skorch callbacks or None"):
        clone(MODELS["one epoch"]).set_params(callbacks="x").fit(DATA.X, DATA.Y)


def test_a_directory_gives_each_fit_its_file(tmp_path):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(tmp_path)], max_iter=5)
    search = GridSearchCV(model, {"alpha": [0.05, 0.1]}, cv=2, n_jobs=2, refit=False)
    search.fit(DATA.X, DATA.Y)
    files = sorted(os.listdir(tmp_path))
    assert len(files) == 4
    again = clone(search).set_params(n_jobs=1).fit(DATA.X, DATA.Y)
    assert sorted(os.listdir(tmp_path)) == files
    scores = "mean_test_score"
    assert (again.cv_results_[scores] == search.cv_results_[scores]).all()


def test_partial_fit_writes_nothing(path):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path, every=1)])
    model.partial_fit(DATA.X, DATA.Y).partial_fit(DATA.X[:50], DATA.Y[:50])
    assert not path.exists()


def test_warm_starts_have_their_own_checkpoint(path):
    model = clone(MODELS["one epoch"]).set_params(callbacks=[Checkpoint(path)], warm_start=True)
    model.fit(DATA.X, DATA.Y)
    with pytest.raises(ValueError, match=r"which differs in encoder to start from \(None there"):
        model.fit(DATA.X, DATA.Y)


def test_a_file_holds_one_state_and_the_ends(path):
    model = clone(MODELS["restarts"]).set_params(callbacks=[Checkpoint(path, every=7)])
    model.fit(DATA.X, DATA.Y)
    content = read_file(path, "checkpoint")
    # each restart once with held-out rows, and once on all of them
    assert len(content["finished"]) == 4
    assert content["current"] is None


def killed_fits(name, path, n_kills, duration):
    """Kill fits at random moments; outcomes and steps of those that got to their end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["checkpointed_fit"])
    random = np.random.default_rng(n_kills)
    ends, kills = [], 0
    while kills < n_kills or not ends:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(name, path, theirs))
        process.start()
        theirs.close()
        assert ours.recv() == "started"
        if ours.poll(duration * random.uniform(0, 0.6) if kills < n_kills else None):
            ends.append(ours.recv())
            path.unlink()  # from the start again
        else:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        ours.close()
    return ends


@pytest.mark.parametrize(
    ("name", "n_kills"),
    [("classes", 3), *(pytest.param(name, 20, marks=pytest.mark.slow) for name in CASES)],
)
def test_killed_fits_end_as_undisturbed_ones(path, name, n_kills, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of the processes
    fit(name, None, max_iter=2)
    began = time.perf_counter()
    model, n_steps = fit(name, None)
    ends = killed_fits(name, path, n_kills, time.perf_counter() - began)
    assert min(taken for _, taken in ends) < n_steps, "no training was continued"
    for end, _ in ends:
        for key, value in outcome(model).items():
            np.testing.assert_array_equal(end[key], value, err_msg=key)
    assert all(file == path.name or file.endswith(".part") for file in os.listdir(path.parent))
