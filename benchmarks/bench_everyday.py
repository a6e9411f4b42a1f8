"""What saving, checkpoints and worker processes cost: python -m benchmarks.bench_everyday."""

import io
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from benchmarks._common import print_table, versions
from sklearn_sparsedis import (
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    load_model,
    save_model,
)
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask

N_REPEATS = 5


def seconds(action, *arguments):
    """Seconds of one call."""
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began


def bench_files(folder):
    """Saving and loading beside pickle, which does not write to the disk through its cache."""
    rows = []
    random = np.random.default_rng(0)
    cases = {
        "mlp 100-100, 100 tasks": (SparseDisentangledRepresentation(10), 20, 100),
        "resnet12, 84 x 84 x 3": (
            GroupLassoSVMMetaClassifier(
                640, encoder="resnet12", input_shape=(84, 84, 3), head="prototype"
            ),
            84 * 84 * 3,
            0,
        ),
    }
    for name, (model, n_features, n_tasks) in cases.items():
        X = random.normal(size=(20, n_features)).astype(np.float32)
        y = random.normal(size=(20, n_tasks)) if n_tasks else np.arange(20) % 2
        model.set_params(max_iter=0, random_state=0).fit(X, y)
        path = Path(folder) / "model.safetensors"
        times = {key: [] for key in ("save", "load", "dumps", "loads")}
        for _ in range(N_REPEATS):
            times["save"].append(seconds(save_model, model, path))
            times["load"].append(seconds(load_model, path))
            buffer = io.BytesIO()
            times["dumps"].append(seconds(pickle.dump, model, buffer))
            times["loads"].append(seconds(pickle.loads, buffer.getvalue()))
        equal = (load_model(path).predict(X) == model.predict(X)).all()
        medians = [f"{1000 * np.median(times[key]):.1f}" for key in times]
        rows.append([name, f"{path.stat().st_size / 1e6:.2f}", *medians, equal])
    print_table(["model", "MB", "save ms", "load ms", "pickle", "unpickle", "bit-equal"], rows)


def bench_checkpoint(folder):
    """A fit with a checkpoint every 100 steps over one without, in pairs."""
    data = make_sparse_multitask(2000, 100, random_state=0)
    model = SparseDisentangledRepresentation(6, max_iter=200, n_iter_no_change=50, random_state=0)
    rows = []
    for every in (100, 10):
        ratios, path = [], Path(folder) / "training.safetensors"
        for _ in range(N_REPEATS):
            path.unlink(missing_ok=True)
            callbacks = [Checkpoint(path, every=every)]
            with_it = clone(model).set_params(callbacks=callbacks)
            timed = seconds(with_it.fit, data.X, data.Y)
            ratios.append(timed / seconds(clone(model).fit, data.X, data.Y))
        rows.append([every, f"{np.median(ratios):.3f}", f"{path.stat().st_size / 1e6:.2f}"])
    print_table(["steps between writings", "time of a fit, ratio", "MB"], rows)


def fit_one(seed):
    """One fit of a worker."""
    data = make_sparse_multitask(2000, 100, random_state=0)
    model = SparseDisentangledRepresentation(6, max_iter=100, random_state=seed)
    return seconds(model.fit, data.X, data.Y), torch.get_num_threads()


def bench_workers():
    """Four fits one after the other with all threads, and by two workers."""
    rows = []
    for n_jobs in (1, 2):
        workers = Parallel(n_jobs=n_jobs)
        workers(delayed(fit_one)(seed) for seed in range(2))  # imports
        total = []
        for _ in range(3):
            began = time.perf_counter()
            found = workers(delayed(fit_one)(seed) for seed in range(4))
            total.append(time.perf_counter() - began)
        rows.append([n_jobs, found[0][1], f"{np.median(total):.1f}"])
    print_table(["n_jobs", "threads of torch each", "seconds of four fits"], rows)


if __name__ == "__main__":
    print(versions("safetensors", "joblib"), end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        bench_files(folder)
        print()
        bench_checkpoint(folder)
    print()
    bench_workers()
