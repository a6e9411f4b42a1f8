"""Fits that several ranks share, to be started by torchrun: all cases, or one with a checkpoint."""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from sklearn.base import clone
from sklearn.datasets import load_digits

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask

DATA = make_sparse_multitask(
    301, 21, n_latents=3, n_features=6, missing_fraction=0.3, random_state=0
)
WHOLE = make_sparse_multitask(301, 21, n_latents=3, n_features=6, random_state=0)
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 40, "random_state": 0, "device": "cpu"}
TASKS = SparseDisentangledRepresentation(3, **SMALL)
CLASSES = GroupLassoSVMMetaClassifier(
    6, head="ridge", n_way=3, episodes_per_batch=3, **{**SMALL, "max_iter": 20}
)
CASES = {
    "batches of missing labels": (clone(TASKS).set_params(batch_size=64), DATA.X, DATA.Y),
    "all rows, queries, some tasks": (
        clone(TASKS).set_params(query_fraction=0.3, tasks_per_batch=5),
        WHOLE.X,
        WHOLE.Y,
    ),
    "all rows": (clone(TASKS).set_params(early_stopping=False), WHOLE.X, WHOLE.Y),
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
    "mcp": (clone(TASKS).set_params(penalty="mcp", encoder="linear"), WHOLE.X, WHOLE.Y),
    "classes": (CLASSES, WHOLE.X, np.digitize(WHOLE.Y[:, 0], np.linspace(-1, 1, 9))),
    "images": (
        clone(CLASSES).set_params(encoder="conv4", max_iter=3, rotations=True),
        load_digits().data[:300].astype(np.float64),
        load_digits().target[:300],
    ),
}
# trainings that are long enough to be killed
LONGER = {"max_iter": 300}


def fit(name, path=None, **changes):
    """Outcome of a case as arrays."""
    torch.set_num_threads(1)
    model, X, y = CASES[name]
    model = clone(model).set_params(**changes)
    if path is not None:
        model.set_params(callbacks=[Checkpoint(path, every=7)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    names = ("coef_", "intercept_", "loss_curve_", "validation_loss_curve_", "n_iter_")
    arrays = {key: np.asarray(getattr(model, key)) for key in names}
    return {**arrays, "transformed": model.transform(X)}


def main():
    """Fit with the other ranks, and store what this rank comes to."""
    folder, *rest = sys.argv[1:]
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    if rest == ["differ"]:
        fit_what_differs(rank, Path(folder))
    elif rest:
        name = rest[0]
        Path(folder, f"pid {rank}").write_text(str(os.getpid()))
        found = fit(name, Path(folder, "checkpoint"), **LONGER)
        np.savez(Path(folder, f"{name} {rank}.npz"), **found)
    else:
        for name in CASES:
            np.savez(Path(folder, f"{name} {rank}.npz"), **fit(name))
    dist.destroy_process_group()


def fit_what_differs(rank, folder):
    """Store the messages of fits whose ranks were not given the same."""
    model, X, y = CASES["all rows"]
    wrong = [
        (model, X[rank:], y[rank:]),
        (model, X + rank * 1e-3, y),
        (clone(model).set_params(random_state=rank), X, y),
        (clone(model).set_params(alpha=0.1 + 0.1 * rank), X, y),
        (clone(CLASSES).set_params(episodes_per_batch=1), X, (y[:, 0] > 0).astype(int)),
    ]
    messages = []
    for given, rows, targets in wrong:
        try:
            given.fit(rows, targets)
            messages.append("no error")
        except ValueError as error:
            messages.append(str(error))
    (folder / f"messages {rank}").write_text("\n".join(messages))


if __name__ == "__main__":
    main()
