"""How much faster do two ranks of torchrun train than one, with one thread each?

Milliseconds of a step (median of the steps after the first five, two runs each of one and two
ranks in turn, on the CPU with gloo) and whether the models are equal: largest difference of the
loss curves of two ranks and of one, in float64.
"""

import os
import time

import numpy as np

from benchmarks._common import command, in_child

# encoder, batch size, rows, tasks, steps
CASES = {
    "mlp 100-100, 1000 rows, 100 tasks": ("mlp", 1000, 100, 60),
    "mlp 100-100, 8000 rows, 100 tasks": ("mlp", 8000, 100, 30),
    "conv, 128 images of 64 x 64, 100 tasks": ("conv", 128, 100, 16),
    "few-shot conv4, 28 x 28, 4 episodes of 5 + 75": ("conv4", 80, 0, 10),
}
TWO_RANKS = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
FIRST = 4
PEERS = ()
SETTINGS = {
    "full": {"runs": 2, "cases": list(CASES), "steps": None},
    "short": {"runs": 1},
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
        runs = [
            [
                in_child(work, name, options.steps, launcher=launcher, OMP_NUM_THREADS="1")
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


def tables(options):
    """One."""
    header = ("training", "1 rank, ms", "2 ranks, ms", "ratio", "difference")
    yield "A step of one and of two ranks", header, case_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
