"""Fits that several ranks share, to be started by torchrun: all cases, or one with a checkpoint."""

import os
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from scipy.sparse import coo_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.exceptions import RankError
from sklearn_sparsedis.training import _objective

DATA = make_sparse_multitask(
    301, 21, n_latents=3, n_features=6, missing_fraction=0.3, random_state=0
)
WHOLE = make_sparse_multitask(301, 21, n_latents=3, n_features=6, random_state=0)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, 301)
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0, "device": "cpu"}
TASKS = SparseDisentangledRepresentation(3, **SMALL)
CLASSES = GroupLassoSVMMetaClassifier(
    6, head="ridge", n_way=3, episodes_per_batch=3, **{**SMALL, "max_iter": 10}
)
CASES = {
    "batches of missing labels": (clone(TASKS).set_params(batch_size=64), DATA.X, DATA.Y),
    "all rows, queries, some tasks": (
        clone(TASKS).set_params(query_fraction=0.3, tasks_per_batch=5),
        WHOLE.X,
        WHOLE.Y,
    ),
    "all rows": (clone(TASKS).set_params(early_stopping=False), WHOLE.X, WHOLE.Y),
    "tasks with rows of their own": (
        clone(TASKS).set_params(batch_size=40, tasks_per_batch=5),
        DATA.X,
        DATA.Y,
    ),
    "one task": (clone(TASKS), WHOLE.X, WHOLE.Y[:, 0]),
    "labels": (
        clone(TASKS).set_params(loss=dict.fromkeys(range(9), "logistic")),
        WHOLE.X,
        np.where(np.arange(21) < 9, WHOLE.Y > 0, WHOLE.Y),
    ),
    "common head": (clone(TASKS).set_params(common_head=True), WHOLE.X, WHOLE.Y),
    "several outputs": (
        clone(TASKS).set_params(
            task_of_output=np.arange(21) // 3, query_fraction=0.3, tasks_per_batch=5
        ),
        WHOLE.X,
        WHOLE.Y,
    ),
    "all rows, weights": (clone(TASKS).set_params(penalty="l2"), WHOLE.X, WHOLE.Y, WEIGHTS),
    "float32": (clone(TASKS), WHOLE.X.astype(np.float32), WHOLE.Y),
    "dealt": (clone(TASKS).set_params(early_stopping=False), WHOLE.X, WHOLE.Y),
    "dealt missing labels": (clone(TASKS).set_params(batch_size=64), DATA.X, DATA.Y),
    "outputs of one task": (
        clone(TASKS).set_params(task_of_output=np.arange(21) // 3),
        WHOLE.X,
        WHOLE.Y,
    ),
    "mcp": (clone(TASKS).set_params(penalty="mcp", encoder="linear"), WHOLE.X, WHOLE.Y),
    "classes": (CLASSES, WHOLE.X, np.digitize(WHOLE.Y[:, 0], np.linspace(-1, 1, 9))),
    "images": (
        clone(CLASSES).set_params(encoder="conv4", max_iter=3, rotations=True),
        load_digits().data[:300].astype(np.float64),
        load_digits().target[:300],
    ),
}
# cases whose tasks are dealt out although they are few
DEALT = ("dealt", "dealt missing labels")


class File:
    """A table that is read by slices, as those in files are."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, rows):
        return self.array[rows]


LATENTS = WHOLE.Z @ np.random.default_rng(1).standard_normal((3, 3)) + 100
ROW, TASK = np.nonzero(~np.isnan(DATA.Y))
WITHOUT_LAST = WHOLE.Y.copy()
WITHOUT_LAST[-1, 0] = np.nan
# arguments of one call of fit, or of several of partial_fit
# three labels a row: with one, rounding decides what some of the resamples find
LABELLED = np.repeat(np.arange(301), 3)
OF_TASK = (LABELLED + 2 * (np.arange(903) % 3)) % 7
ROTATIONS = {
    "shared rows": [(LATENTS, WHOLE.Y)],
    "files": [(File(LATENTS), File(WHOLE.Y))],
    "files with a missing label": [(File(LATENTS), File(WITHOUT_LAST))],
    "parts": [(LATENTS[:200], WHOLE.Y[:200]), (LATENTS[200:], WHOLE.Y[200:])],
    "sparse": [(LATENTS, coo_array((DATA.Y[ROW, TASK], (ROW, TASK)), shape=DATA.Y.shape))],
    "long": [(LATENTS[LABELLED], WHOLE.Y[LABELLED, OF_TASK], OF_TASK)],
}
# trainings that are long enough to be killed
LONGER = {"max_iter": 300}


def fit(name, path=None, **changes):
    """Outcome of a case as arrays."""
    torch.set_num_threads(1)
    model, X, y, *weights = CASES[name]
    model = clone(model).set_params(**changes)
    if path is not None:
        model.set_params(callbacks=[Checkpoint(path, every=7)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, **({"sample_weight": weights[0]} if weights else {}))
    names = ("coef_", "intercept_", "loss_curve_", "validation_loss_curve_", "n_iter_")
    arrays = {key: np.asarray(getattr(model, key)) for key in names}
    return {**arrays, "transformed": model.transform(X)}


def rotate(name):
    """Outcome of a rotation as arrays."""
    model, calls = SparseRotation(3, random_state=0), ROTATIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for F, Y, *task in calls:
            if len(calls) > 1:
                model.partial_fit(F, Y)
            else:
                model.fit(F, Y, task_id=task[0] if task else None)
    names = ("rotation_", "mixing_", "mean_", "coef_", "intercept_", "stability_", "head_spectrum_")
    return {key: getattr(model, key) for key in names}


def main():
    """Fit with the other ranks, and store what this rank comes to."""
    folder, *rest = sys.argv[1:]
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    if rest:
        name = rest[0]
        Path(folder, f"pid {rank}").write_text(str(os.getpid()))
        found = fit(name, Path(folder, "checkpoint"), **LONGER)
        np.savez(Path(folder, f"{name} {rank}.npz"), **found)
    else:
        usual = dict(_objective.MIN_DEALT)
        for name in CASES:
            _objective.MIN_DEALT[False] = 1 if name in DEALT else usual[False]
            np.savez(Path(folder, f"{name} {rank}.npz"), **fit(name))
        for name in ROTATIONS:
            np.savez(Path(folder, f"rotation {name} {rank}.npz"), **rotate(name))
        fit_what_differs(rank, Path(folder))
    dist.destroy_process_group()


def network(width, n_features, n_components):
    """An encoder."""
    return nn.Sequential(nn.Linear(n_features, width), nn.Linear(width, n_components))


def fit_what_differs(rank, folder):
    """Store the messages of fits whose ranks were not given the same."""
    model, X, y = CASES["all rows"]
    wrong = [
        (model, X[rank:], y[rank:]),
        (model, X + rank * 1e-3, y),
        (clone(model).set_params(random_state=rank), X, y),
        (clone(model).set_params(alpha=0.1 + 0.1 * rank), X, y),
        (clone(model).set_params(encoder=partial(network, 4 + rank)), X, y),
        (clone(model).set_params(loss={rank: "logistic"}), X, np.abs(np.sign(y))),
        (clone(CLASSES).set_params(episodes_per_batch=1), X, (y[:, 0] > 0).astype(int)),
    ]
    unreadable = LATENTS.copy()
    unreadable[-1] = np.nan
    rotation = SparseRotation(3, random_state=0)
    wrong += [
        (rotation, LATENTS[rank:], y[rank:]),
        (rotation, LATENTS, y[:, rank:]),
        (rotation, LATENTS + rank, y),
        # the first rank does not read the row
        (rotation, File(unreadable), y),
        (rotation, LATENTS, File(np.where(np.arange(301)[:, None] < 300, y, np.inf))),
    ]
    messages = [message_of(given, rows, targets) for given, rows, targets in wrong]
    if rank == 0:  # the other has come to its end
        messages.append(message_of(rotation, LATENTS, y))
    (folder / f"messages {rank}").write_text("\n\n".join(messages))


def message_of(model, rows, targets):
    """What a fit says."""
    try:
        model.fit(rows, targets)
    except (ValueError, RankError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


if __name__ == "__main__":
    main()
