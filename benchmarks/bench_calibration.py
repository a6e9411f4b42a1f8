"""Are components that count as identified right, and do right ones count as identified?

Run with ``python -m benchmarks.bench_calibration [section ...]``; sections are the keys of
SECTIONS. Data sets of mixed difficulty: heads with exact zeros, leaks, dense heads, blocks, heads
of one latent each and latents of which one is used whenever another is; few and many tasks,
correlated latents, noise, and latents of four laws. A component is right if its correlation with
a latent is above .95 in size.
"""

import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np

from benchmarks._common import command
from benchmarks.bench_recovery import mcc
from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask

KINDS = ("exact zeros", "leaks", "dense", "blocks", "one latent each", "nested")
LAWS = ("normal", "uniform", "laplace", "exponential")
RIGHT = 0.95
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def make_heads(kind: str, n_tasks: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Heads (n_tasks, m) of a kind."""
    W = rng.standard_normal((n_tasks, m))
    main = rng.uniform(0.5, 1, n_tasks)
    tasks = np.arange(n_tasks)
    if kind == "leaks":
        W *= rng.choice([0.1, 0.2, 0.3])
        W[tasks, tasks % m] = main
        return W
    if kind == "one latent each":
        W[:] = 0
        W[tasks, rng.integers(m, size=n_tasks)] = main
        return W
    used = rng.random((n_tasks, m)) < rng.choice([0.8, 1.0] if kind == "dense" else [0.3, 0.5])
    if kind == "blocks":
        used[:, 1] = used[:, 0]
    if kind == "nested":
        used[:, 0] |= used[:, 1]
    idle = ~used.any(axis=1)
    used[idle, rng.integers(m, size=idle.sum())] = True
    return W * used


def make_data(seed: int) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Kind of the heads, features, targets and latents of one data set."""
    rng = np.random.default_rng(seed)
    kind, m = KINDS[seed % len(KINDS)], int(rng.integers(3, 7))
    n_tasks = int(rng.choice([m + 4, 2 * m + 3, 4 * m, 8 * m, 12 * m]))
    world = make_sparse_multitask(
        int(rng.choice([300, 1000, 2000])),
        1,
        m,
        m * int(rng.integers(1, 3)),
        latent_distribution=str(rng.choice(LAWS)),
        correlation=float(rng.choice([0, 0, 0.5, 0.9])),
        random_state=seed,
    )
    Y = world.Z @ make_heads(kind, n_tasks, m, rng).T
    Y = Y / Y.std(axis=0) + rng.choice([0.1, 0.3, 1.0]) * rng.standard_normal(Y.shape)
    return kind, world.X, Y, world.Z


def _fit(X: np.ndarray, Y: np.ndarray, m: int | None = None) -> SparseRotation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SparseRotation(m, random_state=0).fit(X, Y)


def judge(seed: int) -> tuple[str, SparseRotation, np.ndarray]:
    """Kind of a data set, the model, and correlations of components with latents in size."""
    kind, X, Y, Z = make_data(seed)
    m = Z.shape[1]
    model = _fit(X, Y, m)
    return kind, model, np.abs(np.corrcoef(model.transform(X).T, Z.T)[:m, m:]).max(axis=1)


def _share(hits: np.ndarray) -> str:
    return f"{hits.mean():.2f} of {len(hits)}" if len(hits) else "none"


@cache
def judge_all(first: int, sets: int) -> dict[str, np.ndarray]:
    """What is known of all components of some data sets, and whether they are right."""
    found: dict[str, list] = {name: [] for name in ("kind", "right", "by", "stability")}
    for kind, model, size in map(judge, range(first, first + sets)):
        found["kind"].append(np.repeat(kind, len(size)))
        found["right"].append(size > RIGHT)
        found["by"].append(model.identified_by_)
        found["stability"].append(model.stability_)
    return {name: np.concatenate(values) for name, values in found.items()}


def calibration_tables(options: Namespace) -> Iterator[tuple]:
    """How many identified components are right by kind of heads, and by stability."""

    def by_kind() -> Iterator[tuple]:
        kind, right, by, _ = judge_all(options.first, options.sets).values()
        called = by != "nothing"
        for name in (*KINDS, "all"):
            of = (kind == name) | (name == "all")
            yield name, _share(right[of & called]), _share(called[of & right])
        for name in ("sparsity", "non-Gaussianity"):
            yield f"by {name}", _share(right[by == name]), "-"

    def by_stability() -> Iterator[tuple]:
        _, right, by, stable = judge_all(options.first, options.sets).values()
        for low, high in pairwise(BINS):
            of = (by != "non-Gaussianity") & (stable >= low) & ((stable < high) | (high == 1))
            mean = f"{stable[of].mean():.2f}" if of.any() else "-"
            yield f"{low:.1f} to {high:.1f}", mean, _share(right[of])

    sets = f"{options.sets} data sets from seed {options.first}"
    yield sets, ("heads", "identified: right", "right: identified"), by_kind()
    yield "stability", ("stability", "mean", "right"), by_stability()


def law_tables(options: Namespace) -> Iterator[tuple]:
    """Dense heads on independent latents of several laws."""

    def rows() -> Iterator[tuple]:
        for law in LAWS:
            for n in options.rows:
                scores, called = [], []
                for seed in range(options.seeds):
                    rng = np.random.default_rng(seed)
                    world = make_sparse_multitask(
                        n, 1, 6, 12, latent_distribution=law, random_state=seed
                    )
                    heads = rng.standard_normal((30, 6)) * (rng.random((30, 6)) < 0.8)
                    Y = world.Z @ heads.T
                    Y += 0.1 * Y.std(axis=0) * rng.standard_normal(Y.shape)
                    model = _fit(world.X, Y)
                    scores.append(mcc(world.Z, model.transform(world.X)))
                    called.append(model.identified_.mean())
                spread = f"{np.median(scores):.3f} ({min(scores):.3f})"
                yield law, n, spread, f"{np.mean(called):.2f}"

    header = ("law of the latents", "rows", "median (least) MCC", "share identified")
    yield f"80 % of 6 latents used by each of 30 tasks, {options.seeds} seeds", header, rows()


SECTIONS = {"calibration": calibration_tables, "laws": law_tables}
PEERS = ()
SETTINGS = {
    "full": {
        "sections": list(SECTIONS),
        "sets": 100,
        "first": 1100,
        "seeds": 5,
        "rows": (1000, 4000),
        "threads": 1,
    },
    "short": {"sets": 24, "seeds": 1, "rows": (2000,)},
    "quick": {"sections": ["calibration"], "sets": 2},
}


def add_options(parser: ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--sets", type=int, help="data sets")
    parser.add_argument("--first", type=int, help="seed of the first one")
    parser.add_argument("--seeds", type=int, help="data sets of a law")


def tables(options: Namespace) -> Iterator[tuple]:
    """The sections named on the command line, or all."""
    for name in options.sections:
        yield from SECTIONS[name](options)


if __name__ == "__main__":
    command(__spec__.name)
