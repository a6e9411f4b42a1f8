"""What do saving, checkpoints and worker processes cost?

Files: saving and loading beside pickle in memory. Checkpoint: time of a fit with a checkpoint every
so many steps over one without, in pairs. Workers: four fits one after the other with all threads,
and by two workers. Medians of repeats.
"""

import io
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from benchmarks._common import command, seconds
from sklearn_sparsedis import (
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    load_model,
    save_model,
)
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask

# model, features, tasks
FILES = {
    "mlp 100-100, 100 tasks": (SparseDisentangledRepresentation(10), 20, 100),
    "resnet12, 84 x 84 x 3": (
        GroupLassoSVMMetaClassifier(
            640, encoder="resnet12", input_shape=(84, 84, 3), head="prototype"
        ),
        84 * 84 * 3,
        0,
    ),
}
PEERS = ("safetensors", "joblib")
SETTINGS = {
    "full": {
        "repeats": 5,
        "files": list(FILES),
        "every": [100, 10],
        "checkpoint_steps": 200,
        "workers": [1, 2],
        "worker_steps": 100,
        "worker_repeats": 3,
    },
    "short": {
        "repeats": 1,
        "files": list(FILES)[:1],
        "checkpoint_steps": 50,
        "worker_steps": 20,
        "worker_repeats": 1,
    },
    "quick": {
        "repeats": 1,
        "files": ["mlp 100-100, 100 tasks"],
        "every": [10],
        "checkpoint_steps": 10,
        "workers": [1],
        "worker_steps": 2,
        "worker_repeats": 1,
    },
}


def file_rows(folder, options):
    """Saving and loading beside pickle, which does not write to the disk through its cache."""
    random = np.random.default_rng(0)
    for name in options.files:
        model, n_features, n_tasks = FILES[name]
        model = clone(model)
        X = random.normal(size=(20, n_features)).astype(np.float32)
        y = random.normal(size=(20, n_tasks)) if n_tasks else np.arange(20) % 2
        model.set_params(max_iter=0, random_state=0).fit(X, y)
        path = Path(folder) / "model.safetensors"
        times = {key: [] for key in ("save", "load", "dumps", "loads")}
        for _ in range(options.repeats):
            times["save"].append(seconds(save_model, model, path))
            times["load"].append(seconds(load_model, path))
            buffer = io.BytesIO()
            times["dumps"].append(seconds(pickle.dump, model, buffer))
            times["loads"].append(seconds(pickle.loads, buffer.getvalue()))
        equal = (load_model(path).predict(X) == model.predict(X)).all()
        medians = [f"{1000 * np.median(times[key]):.1f}" for key in times]
        yield [name, f"{path.stat().st_size / 1e6:.2f}", *medians, equal]


def checkpoint_rows(folder, options):
    """A fit with a checkpoint every 100 steps over one without, in pairs."""
    data = make_sparse_multitask(2000, 100, random_state=0)
    model = SparseDisentangledRepresentation(
        6, max_iter=options.checkpoint_steps, n_iter_no_change=50, random_state=0
    )
    for every in options.every:
        ratios, path = [], Path(folder) / "training.safetensors"
        for _ in range(options.repeats):
            path.unlink(missing_ok=True)
            callbacks = [Checkpoint(path, every=every)]
            with_it = clone(model).set_params(callbacks=callbacks)
            timed = seconds(with_it.fit, data.X, data.Y)
            ratios.append(timed / seconds(clone(model).fit, data.X, data.Y))
        yield [every, f"{np.median(ratios):.3f}", f"{path.stat().st_size / 1e6:.2f}"]


def fit_one(seed, steps):
    """One fit of a worker."""
    data = make_sparse_multitask(2000, 100, random_state=0)
    model = SparseDisentangledRepresentation(6, max_iter=steps, random_state=seed)
    return seconds(model.fit, data.X, data.Y), torch.get_num_threads()


def worker_rows(options):
    """Four fits one after the other with all threads, and by two workers."""
    for n_jobs in options.workers:
        workers = Parallel(n_jobs=n_jobs)

        def run(n_fits, workers=workers):
            return workers(delayed(fit_one)(seed, options.worker_steps) for seed in range(n_fits))

        n_threads = run(2)[0][1]  # and imports
        total = [seconds(run, 4) for _ in range(options.worker_repeats)]
        yield [n_jobs, n_threads, f"{np.median(total):.1f}"]


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--repeats", type=int, help="of files and of fits with a checkpoint")


def tables(options):
    """Files, checkpoints, workers."""
    with tempfile.TemporaryDirectory() as folder:
        header = ["model", "MB", "save ms", "load ms", "pickle", "unpickle", "bit-equal"]
        yield "Files", header, file_rows(folder, options)
        header = ["steps between writings", "time of a fit, ratio", "MB"]
        yield "Checkpoints", header, checkpoint_rows(folder, options)
    header = ["n_jobs", "threads of torch each", "seconds of four fits"]
    yield "Workers", header, worker_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
