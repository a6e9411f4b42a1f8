"""What do heads and rotation cost in time and memory as tasks and rows grow?

Heads: Lasso heads of T tasks on 10 components from one Gram matrix, float64, to a relative duality
gap of 1e-6, at alpha = 0.05 and 0.1 alpha_max.

Rotation: SparseRotation of 20 features of 10 correlated latents (0.5, 30 % used, noise a tenth),
the features in a memory map: long layout (rows of 10,000 tasks in random order), wide layouts, and
a sparse Y of as many observations.

Every row is measured in a process of its own: seconds of the solve or fit alone, peak resident
memory above that before it. The pages of a memory map count, though the system can drop them.
Slopes are those of log seconds on log size. `--threads` sets the threads of torch and BLAS.
"""

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks._common import command, in_child

N_LATENTS, N_FEATURES, CHUNK = 10, 20, 50_000
HEADS = [(T, share) for share in (0.05, 0.1) for T in (1000, 10_000, 100_000, 1_000_000)]
# layout, rows, tasks
ROTATIONS = [
    ("long", 1_000_000, 10_000),
    ("sparse", 10_000, 10_000),
    ("wide", 1_000_000, 100),
    ("wide", 5000, 10_000),
    ("wide", 5000, 1000),
    ("wide", 5000, 100),
    ("long", 100_000, 1000),
    ("long", 10_000, 100),
    ("long", 5_000_000, 50_000),
]
PEERS = ()
SETTINGS = {
    "full": {"threads": os.cpu_count(), "only": None, "heads": HEADS, "rotations": ROTATIONS},
    # a tenth of the sizes at most
    "short": {
        "heads": [case for case in HEADS if case[0] <= 100_000],
        "rotations": [case for case in ROTATIONS if case[1] <= 100_000],
    },
    "quick": {"only": "rotation", "rotations": [("long", 2000, 20)]},
}


def resident(what):
    """Resident memory of this process in MB: "VmRSS" now, "VmHWM" at its peak (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


@contextmanager
def measured():
    """A dictionary that gets the seconds of a block and the growth to its peak of memory."""
    found = {}
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from now
    before, start = resident("VmRSS"), time.perf_counter()
    yield found
    found["s"] = time.perf_counter() - start
    found["MB"] = resident("VmHWM") - before


def heads(T, share):
    """Seconds, memory and certificate of one batch of heads."""
    import torch

    from sklearn_sparsedis.solvers import solve_lasso_gram

    g = torch.Generator().manual_seed(0)
    double = {"generator": g, "dtype": torch.float64}
    mixing = torch.eye(N_LATENTS).double() + 0.4 * torch.randn(N_LATENTS, N_LATENTS, **double)
    Z = torch.randn(2000, N_LATENTS, **double) @ mixing
    gram = Z.T @ Z / len(Z)
    used = torch.rand(T, N_LATENTS, generator=g) < 0.3
    corr = (torch.randn(T, N_LATENTS, **double) * used) @ gram
    corr += 0.015 * torch.randn(T, N_LATENTS, **double)
    y_sq = 1.05 * (corr * torch.linalg.solve(gram, corr.T).T).sum(1) + 0.01
    alpha = share * corr.abs().amax(1)
    solve_lasso_gram(gram, corr[:10], y_sq[:10], alpha[:10])
    with measured() as found:
        result = solve_lasso_gram(gram, corr, y_sq, alpha, tol=1e-6)
    return {**found, "gap": float(result.gap.max())}


def make_tables(folder, n, T):
    """Memory maps of features and latents, and the heads of the tasks."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.5 * np.eye(N_LATENTS) + 0.5)
    W = rng.standard_normal((T, N_LATENTS)) * (rng.random((T, N_LATENTS)) < 0.3)
    W[np.arange(T), rng.integers(N_LATENTS, size=T)] = 1.0
    A = rng.standard_normal((N_LATENTS, N_FEATURES))
    F = np.memmap(folder / "F", np.float64, "w+", shape=(n, N_FEATURES))
    Z = np.memmap(folder / "Z", np.float64, "w+", shape=(n, N_LATENTS))
    for i in range(0, n, CHUNK):
        Z[i : i + CHUNK] = rng.standard_normal((min(CHUNK, n - i), N_LATENTS)) @ root.T
        F[i : i + CHUNK] = Z[i : i + CHUNK] @ A
        F[i : i + CHUNK] += 0.01 * rng.standard_normal((min(CHUNK, n - i), N_FEATURES))
    return np.memmap(folder / "F", np.float64, "r", shape=F.shape), Z, W


def make_targets(layout, Z, W):
    """Targets and, for the long layout, the task of each row."""
    rng = np.random.default_rng(1)
    n, T = len(Z), len(W)
    if layout == "wide":
        Y = np.empty((n, T))
        for i in range(0, n, 2000):
            Y[i : i + 2000] = Z[i : i + 2000] @ W.T
            Y[i : i + 2000] += 0.2 * rng.standard_normal(Y[i : i + 2000].shape)
        return Y, None
    n_observed = n if layout == "long" else 100 * T
    task = rng.permutation(np.arange(n_observed) % T)
    row = np.arange(n_observed) % n
    y = 0.2 * rng.standard_normal(n_observed)
    for i in range(0, n_observed, CHUNK):
        some = slice(i, i + CHUNK)
        y[some] += np.einsum("nm,nm->n", Z[row[some]], W[task[some]])
    if layout == "long":
        return y, task
    from scipy.sparse import coo_array

    keys = np.unique(row * T + task, return_index=True)[1]
    return coo_array((y[keys], (row[keys], task[keys])), shape=(n, T)).tocsr(), None


def rotation(layout, n, T):
    """Seconds, memory and accuracy of one fit."""
    from sklearn_sparsedis import SparseRotation
    from sklearn_sparsedis.metrics import mean_corrcoef_score

    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        F, Z, W = make_tables(Path(folder), n, T)
        Y, task = make_targets(layout, Z, W)
        with measured() as found:
            model = SparseRotation(N_LATENTS, random_state=0).fit(F, Y, task_id=task)
        if layout != "wide":
            found["padding"] = padding(layout, Y, task)
        mcc = mean_corrcoef_score(np.asarray(Z[:20_000]), model.transform(F[:20_000]))
        return {**found, "MCC": float(mcc)}


def padding(layout, Y, task):
    """Share of the batches' slots that stay empty, chunk by chunk as in a fit."""
    import torch

    from sklearn_sparsedis.inputs import _rows
    from sklearn_sparsedis.inputs._observations import check_observations
    from sklearn_sparsedis.tasks._packs import similar_sizes

    n = len(Y) if layout == "long" else Y.shape[0]
    observed = check_observations(Y, n, task_id=task, caller="SparseRotation")
    filled = slots = 0
    for rows in observed.chunks(_rows.CHUNK // (N_FEATURES + 1)):
        count = np.unique(observed.on(rows, slice(0, len(observed.tasks)))[1], return_counts=True)[
            1
        ]
        filled += count.sum()
        slots += sum(len(b) * count[b].max() for b in similar_sizes(torch.from_numpy(count)))
    return float(1 - filled / slots)


def in_own_process(function, threads, *arguments):
    """Measure with so many threads of torch and BLAS."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return in_child(function, *arguments, **variables)


def slope(sizes, seconds):
    """Exponent of a power law, fitted on logarithms."""
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


def head_rows(options):
    """A row a number of tasks, with the slope from the first on."""
    times = {}
    for T, share in options.heads:
        found = in_own_process(heads, options.threads, T, share)
        pairs = times.setdefault(share, [])
        pairs.append((T, found["s"]))
        exponent = f"{slope(*zip(*pairs, strict=True)):.2f}" if len(pairs) > 1 else "-"
        cost = (f"{found['s']:.2f}", f"{found['MB']:.0f}")
        yield T, share, *cost, f"{found['gap']:.1e}", exponent


def rotation_rows(options):
    """A row a fit."""
    for layout, n, T in options.rotations:
        found = in_own_process(rotation, options.threads, layout, n, T)
        share = f"{found['padding']:.1%}" if "padding" in found else "-"
        cost = (f"{found['s']:.1f}", f"{found['MB']:.0f}")
        yield layout, f"{n:,}", f"{T:,}", *cost, share, f"{found['MCC']:.4f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--only", choices=["heads", "rotation"])


def tables(options):
    """Heads and rotation."""
    if options.only != "rotation":
        header = ("T", "alpha / alpha_max", "s", "MB", "largest gap", "slope in T up to here")
        yield "Heads", header, head_rows(options)
    if options.only != "heads":
        header = ("layout", "rows", "tasks", "s", "MB", "padding", "MCC")
        yield "Rotation", header, rotation_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
