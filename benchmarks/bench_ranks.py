"""How much faster do two ranks of torchrun train than one, with one thread each?

Milliseconds of a step (median of the steps after the first five, two runs each of one and two
ranks in turn, on the CPU with gloo) and whether the models are equal: largest difference of the
loss curves of two ranks and of one, in float64.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np

from benchmarks._common import print_table, versions

# encoder, batch size, rows, tasks, steps
CASES = {
    "mlp 100-100, 1000 rows, 100 tasks": ("mlp", 1000, 100, 60),
    "mlp 100-100, 8000 rows, 100 tasks": ("mlp", 8000, 100, 30),
    "conv, 128 images of 64 x 64, 100 tasks": ("conv", 128, 100, 16),
    "few-shot conv4, 28 x 28, 4 episodes of 5 + 75": ("conv4", 80, 0, 10),
}
N_RUNS = 2


def model_and_data(name):
    """Estimator and arguments of its fit."""
    from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation

    encoder, n_rows, n_tasks, steps = CASES[name]
    random = np.random.default_rng(0)
    common = {"max_iter": steps, "early_stopping": False, "random_state": 0, "device": "cpu"}
    if encoder == "conv4":
        model = GroupLassoSVMMetaClassifier(
            64, encoder="conv4", head="ridge", episodes_per_batch=4, **common
        )
        return model, random.normal(size=(400, 784)), np.repeat(np.arange(20), 20)
    n_features = 20 if encoder == "mlp" else 4096
    X = random.normal(size=(n_rows, n_features))
    Y = X[:, :10] @ random.normal(size=(10, n_tasks)) + random.normal(size=(n_rows, n_tasks))
    return SparseDisentangledRepresentation(10, encoder=encoder, batch_size=n_rows, **common), X, Y


def work(name):
    """Fit as a rank, and print times and losses."""
    import torch
    from skorch.callbacks import Callback

    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    times = []

    class Timer(Callback):
        def on_batch_end(self, net, **kwargs):
            times.append(time.perf_counter())

    model, X, y = model_and_data(name)
    model.set_params(callbacks=[Timer()]).fit(X, y)
    if int(os.environ.get("RANK", "0")) == 0:
        step = 1000 * float(np.median(np.diff(times)[4:]))
        print(json.dumps({"ms": step, "losses": model.loss_curve_.tolist()}))


def launch(name, n_ranks):
    """Outcome of one run."""
    command = [sys.executable, "-m", "benchmarks.bench_ranks"]
    if n_ranks > 1:
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}", "-m"]
        command = [sys.executable, "-m", *launcher, "benchmarks.bench_ranks"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [*command, name], check=True, capture_output=True, text=True, env=environment
    )
    return json.loads(found.stdout.splitlines()[-1])


def main():
    """Print the table."""
    if len(sys.argv) > 1:
        work(sys.argv[1])
        return
    print(versions(), end="\n\n")
    rows = []
    for name in CASES:
        runs = [(launch(name, 1), launch(name, 2)) for _ in range(N_RUNS)]
        ratios = [one["ms"] / two["ms"] for one, two in runs]
        difference = np.abs(np.subtract(runs[0][0]["losses"], runs[0][1]["losses"])).max()
        medians = [np.median([run[k]["ms"] for run in runs]) for k in (0, 1)]
        rows.append(
            [
                name,
                *(f"{ms:.1f}" for ms in medians),
                f"{np.median(ratios):.2f}",
                f"{difference:.0e}",
            ]
        )
    print_table(("training", "1 rank, ms", "2 ranks, ms", "ratio", "difference"), rows)


if __name__ == "__main__":
    main()
