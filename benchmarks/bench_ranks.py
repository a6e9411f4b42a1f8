"""How much faster do two ranks of torchrun train than one, with one thread each?

Milliseconds of a step (median of the steps after the first five, two runs each of one and two
ranks in turn, on the CPU with gloo) and whether the models are equal: largest difference of the
loss curves of two ranks and of one, in float64. Of SparseRotation the milliseconds of a fit to
tables of two-byte numbers in files, and the difference of the heads.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._common import command, in_child

# encoder, batch size, rows, tasks, steps
CASES = {
    "mlp 100-100, 1000 rows, 100 tasks": ("mlp", 1000, 100, 60),
    "mlp 100-100, 8000 rows, 100 tasks": ("mlp", 8000, 100, 30),
    "conv, 128 images of 64 x 64, 100 tasks": ("conv", 128, 100, 16),
    "few-shot conv4, 28 x 28, 4 episodes of 5 + 75": ("conv4", 80, 0, 10),
}
# rows, tasks, share of the labels that are there
ROTATIONS = {
    "rotation, 400,000 rows, 100 tasks, a third missing": (400_000, 100, 0.67),
}
TWO_RANKS = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
FIRST = 4
PEERS = ()
SETTINGS = {
    "full": {"runs": 2, "cases": [*CASES, *ROTATIONS], "steps": None},
    "short": {"runs": 1, "cases": list(CASES)[:1]},
    "quick": {"runs": 1, "cases": list(CASES)[:1], "steps": FIRST + 2},
}


def model_and_data(name, steps):
    """Estimator and arguments of its fit; as many steps as the case says where not given."""
    from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation

    encoder, n_rows, n_tasks, usual = CASES[name]
    random = np.random.default_rng(0)
    common = {
        "max_iter": steps or usual,
        "early_stopping": False,
        "random_state": 0,
        "device": "cpu",
    }
    if encoder == "conv4":
        model = GroupLassoSVMMetaClassifier(
            64, encoder="conv4", head="ridge", episodes_per_batch=4, **common
        )
        return model, random.normal(size=(400, 784)), np.repeat(np.arange(20), 20)
    n_features = 20 if encoder == "mlp" else 4096
    X = random.normal(size=(n_rows, n_features))
    Y = X[:, :10] @ random.normal(size=(10, n_tasks)) + random.normal(size=(n_rows, n_tasks))
    return SparseDisentangledRepresentation(10, encoder=encoder, batch_size=n_rows, **common), X, Y


def rotation_tables(name, folder):
    """Write features and targets to files."""
    n_rows, n_tasks, share = ROTATIONS[name]
    random = np.random.default_rng(0)
    Z = random.normal(size=(n_rows, 10))
    heads = random.normal(size=(10, n_tasks)) * (random.random((10, n_tasks)) < 0.3)
    F = 1000 * Z @ random.normal(size=(10, 20))
    Y = 1000 * (Z @ heads + 0.3 * random.normal(size=(n_rows, n_tasks)))
    F, Y = (np.clip(np.round(table), -30_000, 30_000) for table in (F, Y))
    # of two-byte numbers only those of half precision have NaN
    Y = np.where(random.random(Y.shape) < share, Y, np.nan).astype(np.float16)
    for table, file in ((F.astype(np.int16), "F.npy"), (Y, "Y.npy")):
        np.save(Path(folder) / file, table)


def rotate(folder):
    """Fit a rotation as a rank; the first returns milliseconds and heads."""
    import torch

    from sklearn_sparsedis import SparseRotation

    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    F, Y = (np.load(Path(folder) / file, mmap_mode="r") for file in ("F.npy", "Y.npy"))
    start = time.perf_counter()
    model = SparseRotation(10, random_state=0).fit(F, Y)
    seconds = time.perf_counter() - start
    if int(os.environ.get("RANK", "0")) > 0:
        return None
    return {"ms": 1000 * seconds, "losses": model.coef_.ravel().tolist()}


def work(name, steps):
    """Fit as a rank; the first returns milliseconds of a step and losses."""
    import torch
    from skorch.callbacks import Callback

    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    times = []

    class Timer(Callback):
        def on_batch_end(self, net, **kwargs):
            times.append(time.perf_counter())

    model, X, y = model_and_data(name, steps)
    model.set_params(callbacks=[Timer()]).fit(X, y)
    if int(os.environ.get("RANK", "0")) > 0:
        return None
    step = 1000 * float(np.median(np.diff(times)[FIRST:]))
    return {"ms": step, "losses": model.loss_curve_.tolist()}


def case_rows(options):
    """A row a case: runs of one and of two ranks in turn."""
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            run = (work, name, options.steps)
            if name in ROTATIONS:
                rotation_tables(name, folder)
                run = (rotate, folder)
            runs = [
                [
                    in_child(*run, launcher=launcher, OMP_NUM_THREADS="1")
                    for launcher in ((), TWO_RANKS)
                ]
                for _ in range(options.runs)
            ]
        ratios = [one["ms"] / two["ms"] for one, two in runs]
        difference = np.abs(np.subtract(runs[0][0]["losses"], runs[0][1]["losses"])).max()
        medians = [f"{np.median([run[k]['ms'] for run in runs]):.1f}" for k in (0, 1)]
        yield name, *medians, f"{np.median(ratios):.2f}", f"{difference:.0e}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--runs", type=int)
    parser.add_argument("--cases", nargs="+")


def tables(options):
    """One."""
    header = ("fit", "1 rank, ms", "2 ranks, ms", "ratio", "difference")
    yield "A step, or a rotation, of one and of two ranks", header, case_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
