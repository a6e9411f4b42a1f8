"""Does the sparsest basis recover the latents, and do other rotations?

Run with ``python -m benchmarks.bench_recovery [section ...]``; sections are the keys of SECTIONS.
The data are ideal features: a random linear mixing of the latents, equicorrelated Gaussian;
supports Bernoulli, standard normal values, noise as a fraction of each target's standard deviation.
"""

import time
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FastICA

from benchmarks._common import command
from sklearn_sparsedis import SparseRotation

# name -> number of seeds, settings of make_data
CASES = {
    "issue: corr 0.9": (10, {"d": 20}),
    "issue: corr 0.95": (10, {"d": 20, "correlation": 0.95}),
    "issue: corr 0.99": (10, {"d": 20, "correlation": 0.99}),
    "issue: noise = signal": (10, {"d": 20, "noise": 1.0}),
    "issue: 6 latents, T=30": (10, {"n_tasks": 30}),
    "issue: 10 latents, T=100": (10, {"m": 10}),
    "issue: 20 latents, 20 %, T=400": (5, {"m": 20, "share": 0.2, "n_tasks": 400}),
    "issue: 50 latents, 10 %, T=2000": (1, {"m": 50, "share": 0.1, "n_tasks": 2000}),
    "hard: 6 latents, T=20": (10, {"n_tasks": 20}),
    "hard: 10 latents, T=50": (10, {"m": 10, "n_tasks": 50}),
    "hard: 10 latents, 80 %, T=200": (5, {"m": 10, "share": 0.8, "n_tasks": 200}),
    "hard: corr 0.99, noise = signal": (10, {"correlation": 0.99, "noise": 1.0}),
    "hard: noise = 3 signal": (10, {"noise": 3.0}),
}
CORRELATIONS = (0.0, 0.5, 0.9, 0.95, 0.99)
COSTS = (
    {"n_tasks": 100},
    {"n_tasks": 1000},
    {"n_tasks": 10_000, "n_samples": 1000},
    {"n_samples": 1_000_000, "n_tasks": 30},
)
Table = tuple[tuple[str, ...], Iterator[tuple]]  # header, rows


def make_data(
    seed: int,
    *,
    m: int = 6,
    d: int | None = None,
    n_tasks: int = 100,
    n_samples: int = 3000,
    correlation: float = 0.9,
    share: float = 0.5,
    noise: float = 0.1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, targets and latents."""
    rng = np.random.default_rng(seed)
    covariance = (1 - correlation) * np.eye(m) + correlation
    Z = rng.standard_normal((n_samples, m)) @ np.linalg.cholesky(covariance).T
    support = rng.random((n_tasks, m)) < share
    empty = ~support.any(axis=1)
    support[empty, rng.integers(m, size=empty.sum())] = True
    Y = Z @ (support * rng.standard_normal((n_tasks, m))).T
    Y += noise * Y.std(axis=0) * rng.standard_normal(Y.shape)
    return Z @ rng.standard_normal((m, d or m)), Y, Z


def mcc(Z: np.ndarray, found: np.ndarray) -> float:
    """Mean absolute correlation under the best matching."""
    m = Z.shape[1]
    correlation = np.abs(np.corrcoef(Z.T, found.T)[:m, m:])
    return float(correlation[linear_sum_assignment(-correlation)].mean())


def _whiten(X: np.ndarray) -> np.ndarray:
    U, s, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    return U[:, s > 1e-8 * s[0]] * np.sqrt(len(X))


def _heads(F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return (Y - Y.mean(axis=0)).T @ F / len(F)


def _components(F: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Components whose heads are ``H @ directions`` for heads H on features F."""
    return F @ np.linalg.pinv(directions).T


def varimax(H: np.ndarray, n_iter: int = 500) -> np.ndarray:
    """Orthogonal rotation of largest variance of the squared loadings (T, m)."""
    R = np.eye(H.shape[1])
    for _ in range(n_iter):
        L = H @ R
        U, _, Vt = np.linalg.svd(H.T @ (L**3 - L * (L**2).mean(axis=0)))
        R = U @ Vt
    return R


def promax(H: np.ndarray, power: int = 4) -> np.ndarray:
    """Oblique rotation towards the powers of the varimax loadings."""
    R = varimax(H)
    L = H @ R
    return R @ np.linalg.lstsq(L, L * np.abs(L) ** (power - 1), rcond=None)[0]


def rotate_sparse(X: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """This package."""
    return SparseRotation(random_state=seed).fit(X, Y).transform(X)


def rotate_features_ica(X: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """FastICA of the features."""
    return FastICA(random_state=seed, max_iter=1000).fit_transform(_whiten(X))


def rotate_heads_ica(X: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """FastICA of the heads, tasks as samples."""
    F = _whiten(X)
    H = _heads(F, Y)
    H /= np.linalg.norm(H, axis=1, keepdims=True)
    # heads have mean zero in law only: mirrored copies keep the origin where it is
    ica = FastICA(random_state=seed, max_iter=1000).fit(np.vstack([H, -H]))
    return _components(F, ica.components_.T)


def rotate_varimax(X: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """Varimax of the heads."""
    F = _whiten(X)
    return _components(F, varimax(_heads(F, Y)))


def rotate_promax(X: np.ndarray, Y: np.ndarray, seed: int) -> np.ndarray:
    """Promax of the heads."""
    F = _whiten(X)
    return _components(F, promax(_heads(F, Y)))


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "none": lambda X, Y, seed: _whiten(X),
    "FastICA of F": rotate_features_ica,
    "FastICA of heads": rotate_heads_ica,
    "varimax": rotate_varimax,
    "promax": rotate_promax,
    "SparseRotation": rotate_sparse,
}


def _run(method: str, seeds: int, setting: dict) -> tuple[np.ndarray, float]:
    scores, seconds = [], []
    for seed in range(1000, 1000 + seeds):
        X, Y, Z = make_data(seed, **setting)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = METHODS[method](X, Y, seed)
        seconds.append(time.perf_counter() - start)
        scores.append(mcc(Z, found))
    return np.array(scores), float(np.median(seconds))


def settings_table(prefix: str, options: Namespace) -> Table:
    """One row a setting: spread over seeds and time."""

    def rows() -> Iterator[tuple]:
        for name, (seeds, setting) in CASES.items():
            if name.startswith(prefix):
                seeds = min(seeds, options.seeds or seeds)
                scores, seconds = _run("SparseRotation", seeds, setting)
                figures = f"{np.median(scores):.4f}", f"{scores.min():.4f}", f"{seconds:.2f}"
                yield name.removeprefix(f"{prefix}: "), seeds, *figures

    return ("setting", "seeds", "median MCC", "least MCC", "seconds"), rows()


def correlation_table(options: Namespace) -> Table:
    """Median (minimum) MCC over seeds, methods against correlations."""
    seeds = options.seeds or 5

    def rows() -> Iterator[tuple]:
        for method in METHODS:
            cells = []
            for rho in CORRELATIONS:
                scores, _ = _run(method, seeds, {"correlation": rho})
                cells.append(f"{np.median(scores):.4f} ({scores.min():.2f})")
            yield method, *cells

    return (f"median (least) MCC of {seeds} seeds", *map(str, CORRELATIONS)), rows()


def cost_table(options: Namespace) -> Table:
    """Seconds of fit as the number of tasks or rows grows."""

    def rows() -> Iterator[tuple]:
        for setting in options.costs:
            scores, seconds = _run("SparseRotation", 1, setting)
            yield setting, f"{scores[0]:.4f}", f"{seconds:.2f}"

    return ("setting", "MCC", "seconds"), rows()


SECTIONS: dict[str, Callable[[Namespace], Table]] = {
    "issue": lambda options: settings_table("issue", options),
    "hard": lambda options: settings_table("hard", options),
    "correlation": correlation_table,
    "cost": cost_table,
}
PEERS = ()
SETTINGS = {
    "full": {"sections": list(SECTIONS), "seeds": None, "threads": 1, "costs": COSTS},
    "short": {"sections": ["issue", "cost"], "seeds": 1, "costs": COSTS[:1]},
    "quick": {"sections": ["cost"], "costs": [{"n_tasks": 30, "n_samples": 300}]},
}


def add_options(parser: ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--seeds", type=int, help="at most so many a setting")


def tables(options: Namespace) -> Iterator[tuple]:
    """The sections named on the command line, or all."""
    for name in options.sections:
        yield name, *SECTIONS[name](options)


if __name__ == "__main__":
    command(__spec__.name)
