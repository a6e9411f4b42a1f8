"""A fit in a process of its own, to be killed while it runs."""

import warnings

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask

DATA = make_sparse_multitask(300, 20, n_latents=3, n_features=6, random_state=0)
LABELS = np.digitize(DATA.Y[:, 0], np.quantile(DATA.Y[:, 0], np.linspace(0.1, 0.9, 9)))
CASES = {
    "tasks": SparseDisentangledRepresentation(
        3, hidden_layer_sizes=(16,), batch_size=64, max_iter=100, n_init=2, random_state=0
    ),
    "classes": GroupLassoSVMMetaClassifier(
        6, hidden_layer_sizes=(16,), head="ridge", n_way=3, max_iter=300, random_state=0
    ),
}


class StepCounter(Callback):
    """Counts the steps that this process takes."""

    n_steps = 0

    def on_batch_end(self, net, **kwargs):
        type(self).n_steps += 1


def fit(name, path, **changes):
    """Fitted model of a case, with a checkpoint where a path is given, and the steps it took."""
    torch.set_num_threads(1)
    StepCounter.n_steps = 0
    callbacks = [StepCounter()] + ([] if path is None else [Checkpoint(path, every=7)])
    model = clone(CASES[name]).set_params(callbacks=callbacks, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(DATA.X, LABELS if name == "classes" else DATA.Y), StepCounter.n_steps


def outcome(model):
    """All that a fit comes to."""
    names = ("coef_", "intercept_", "loss_curve_", "validation_loss_curve_", "n_iter_")
    arrays = {name: np.asarray(getattr(model, name)) for name in names}
    return {**arrays, "transformed": model.transform(DATA.X)}


def work(name, path, connection):
    """What the process does: tell that it starts, fit, and tell the outcome."""
    fit(name, None, max_iter=2)  # what is imported late is no part of the training
    connection.send("started")
    model, n_steps = fit(name, path)
    connection.send((outcome(model), n_steps))
