"""How do time and memory of a training grow with rows, tasks, components and features?

Step: milliseconds of an outer step (median after the first five) of an MLP on 1000 rows, and the
peak of resident memory of the fit above that before it, as one size grows. "all labels" has dense
targets; "few labels" has a sparse Y with 20 labels a task in the mean and 100 tasks a step.

Inner iterations: peak memory of 2000 Lasso heads on 50 components and their gradient, as the limit
on the iterations grows, with a tolerance that none reaches.

Every row is measured in a process of its own on one thread. Slopes are those of log on log, from
half of the sizes on, where what does not grow matters least. Padding is the share of a step's
rectangles that no label fills. ``--plot FILE`` draws the curves.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._common import command
from benchmarks.bench_scale import in_own_process, measured, slope

# what grows: sizes; the others are these
USUAL = {"N": 20_000, "T": 100, "m": 10, "d": 20}
GROWTH = {
    "N": (2000, 20_000, 200_000, 2_000_000),
    "T": (100, 1000, 10_000, 100_000),
    "m": (5, 10, 20, 40, 80),
    "d": (20, 200, 2000, 20_000),
}
NAMES = {"N": "rows N", "T": "tasks T", "m": "components m", "d": "features d"}
CASES = [("all labels", "N"), ("few labels", "N"), ("few labels", "T"), ("all labels", "T")]
CASES += [("all labels", "m"), ("all labels", "d")]
# features beside a growing number of components
WIDE = 200
# larger than these would not fit: values of a dense Y, or rows of many features
MOST = {"T": 10_000}
BATCH, TASKS, LABELS, FIRST = 1000, 100, 20, 5
ITERATIONS = (10, 100, 1000)
COLOURS = {"all labels": "C0", "few labels": "C1"}
PEERS = ()
SETTINGS = {
    "full": {
        "threads": 1,
        "steps": 25,
        "cases": CASES,
        "sizes": None,
        "plot": None,
        "limits": ITERATIONS,
    },
    "short": {"steps": FIRST + 3, "cases": CASES[:2], "sizes": 2, "limits": ITERATIONS[:1]},
    "quick": {"steps": FIRST + 2, "cases": CASES[:1], "sizes": 1},
}


def make_rows(folder, N, d, m):
    """Latents, and features in a memory map."""
    rng = np.random.default_rng(0)
    Z, A = rng.standard_normal((N, m)), rng.standard_normal((m, d)) / m**0.5
    X = np.memmap(Path(folder) / "X", np.float32, "w+", shape=(N, d))
    step = max(1, 2**22 // d)
    for i in range(0, N, step):
        X[i : i + step] = Z[i : i + step] @ A + 0.1 * rng.standard_normal((len(Z[i : i + step]), d))
    X.flush()
    return Z, np.memmap(Path(folder) / "X", np.float32, "r", shape=(N, d))


def make_targets(Z, T, few):
    """Targets of all tasks on all rows, or of each on some."""
    rng = np.random.default_rng(1)
    W = rng.standard_normal((T, Z.shape[1])) * (rng.random((T, Z.shape[1])) < 0.3)
    if not few:
        return Z @ W.T + 0.3 * rng.standard_normal((len(Z), T))
    from scipy.sparse import coo_array

    task = np.repeat(np.arange(T), rng.poisson(LABELS, T) + 2)
    row = rng.integers(len(Z), size=len(task))
    keys = np.unique(row * T + task)
    row, task = keys // T, keys % T
    y = (Z[row] * W[task]).sum(1) + 0.3 * rng.standard_normal(len(row))
    return coo_array((y, (row, task)), shape=(len(Z), T)).tocsr()


def step(kind, steps, N, T, m, d):
    """Milliseconds of a step, seconds and megabytes of the fit."""
    from skorch.callbacks import Callback

    from sklearn_sparsedis import SparseDisentangledRepresentation

    few, times, padding = kind == "few labels", [], []

    class Timer(Callback):
        def on_batch_end(self, net, batch, **kwargs):
            times.append(time.perf_counter())
            if few:
                padding.append(float((batch.weights == 0).double().mean()))

    with tempfile.TemporaryDirectory() as folder:
        Z, X = make_rows(folder, N, d, m)
        Y = make_targets(Z, T, few)
        model = SparseDisentangledRepresentation(
            m,
            encoder="mlp",
            batch_size=BATCH,
            tasks_per_batch=TASKS if few else None,
            max_iter=steps,
            early_stopping=False,
            random_state=0,
            device="cpu",
            callbacks=[Timer()],
        )
        with measured() as found:
            model.fit(X, Y)
    ms = 1000 * float(np.median(np.diff(times)[FIRST - 1 :]))
    return {**found, "ms": ms, "padding": float(np.mean(padding)) if few else 0.0}


def inner(limit):
    """Megabytes of a solve of heads and its gradient."""
    import torch

    from sklearn_sparsedis.functional import lasso_alpha_max
    from sklearn_sparsedis.implicit import lasso_gram

    g = torch.Generator().manual_seed(0)
    Z = torch.randn(5000, 50, generator=g, dtype=torch.float64)
    Z[:, 25:] += 3 * Z[:, :25]
    corr = torch.randn(2000, 50, generator=g, dtype=torch.float64)
    gram, y_sq = Z.T @ Z / len(Z), 20 * corr.square().sum(1)
    alpha = 0.001 * lasso_alpha_max(corr)
    lasso_gram(gram, corr[:2].requires_grad_(), y_sq[:2], alpha[:2]).loss.sum().backward()
    corr = corr.detach().requires_grad_()
    with measured() as found:
        fit = lasso_gram(gram, corr, y_sq, alpha, tol=1e-300, max_iter=limit)
        fit.loss.sum().backward()
    return {**found, "n_iter": int(fit.result.n_iter.max())}


def growth(options, kind, name):
    """Sizes, milliseconds and megabytes."""
    sizes = [size for size in GROWTH[name] if kind == "few labels" or size <= MOST.get(name, size)]
    measures = []
    for size in sizes[: options.sizes]:
        arguments = {**USUAL, name: size}
        if name == "m":  # more features than components, else these depend on one another
            arguments["d"] = WIDE
        found = in_own_process(step, options.threads, kind, options.steps, *arguments.values())
        measures.append([size, *(found[name] for name in ("ms", "MB", "s", "padding"))])
    return np.array(measures)


def step_rows(options, curves):
    """A row a size that grows."""
    for kind, name in options.cases:
        sizes, ms, mb, s, padding = growth(options, kind, name).T
        curves[kind, name] = sizes, ms, mb
        last = slice(len(sizes) // 2 - (len(sizes) == 2), None)
        slopes = ("-", "-")
        if len(sizes) > 1:
            slopes = [f"{slope(sizes[last], values[last]):.2f}" for values in (ms, mb)]
        shown = [" / ".join(f"{x:,.{k}f}" for x in xs) for xs, k in ((sizes, 0), (ms, 1), (mb, 0))]
        yield kind, NAMES[name], *shown, *slopes, f"{s[-1]:.0f}", f"{padding[-1]:.0%}"


def inner_rows(options):
    """A row a limit."""
    for limit in options.limits:
        found = in_own_process(inner, options.threads, limit)
        yield limit, found["n_iter"], f"{found['MB']:.1f}", f"{found['s']:.2f}"


def draw(curves, path):
    """Milliseconds and megabytes on logarithmic axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(GROWTH), figsize=(12, 5.5), sharey="row", layout="tight")
    for (kind, name), (sizes, ms, mb) in curves.items():
        column = list(GROWTH).index(name)
        for row, values in enumerate((ms, mb)):
            label = f"{kind}: slope {slope(sizes[-2:], values[-2:]):.2f}"
            axes[row, column].loglog(sizes, values, "o-", color=COLOURS[kind], label=label)
    for column, name in enumerate(GROWTH):
        axes[1, column].set_xlabel(NAMES[name])
        for row in range(2):
            axes[row, column].legend(fontsize=8)
            axes[row, column].grid(alpha=0.3)
            axes[row, column].xaxis.set_minor_formatter("")
    axes[0, 0].set_ylabel("ms a step")
    axes[1, 0].set_ylabel("MB at the peak of fit")
    figure.savefig(path, dpi=110)


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--plot", help="where to draw the curves")


def tables(options):
    """Steps, and inner iterations."""
    curves = {}
    header = ("targets", "what grows", "sizes", "ms a step", "MB", "slope of ms", "slope of MB")
    yield "Steps", (*header, "s, the last fit", "padding"), step_rows(options, curves)
    if options.plot:
        draw(curves, options.plot)
    if options.extent != "quick":
        header = ("most inner iterations", "iterations taken", "MB", "s")
        yield "Memory against inner iterations", header, inner_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
