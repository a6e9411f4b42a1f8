"""Does the sparsest basis recover the latents, and do other rotations?

Run with ``python -m benchmarks.bench_recovery [section ...]``; sections are the keys of SECTIONS.
The data are ideal features: a random linear mixing of the latents, equicorrelated Gaussian;
supports Bernoulli, standard normal values, noise as a fraction of each target's standard deviation.
"""

import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import scipy
import sklearn
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FastICA

from sklearn_sparsedis import SparseRotation

# name -> number of seeds, settings of make_data
SETTINGS = {
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


def settings_table(prefix: str) -> Iterator[str]:
    """One line a setting: spread over seeds and time."""
    yield f"{'setting':36} seeds  median    min  seconds"
    for name, (seeds, setting) in SETTINGS.items():
        if name.startswith(prefix):
            scores, seconds = _run("SparseRotation", seeds, setting)
            yield (
                f"{name:36} {seeds:5d}  {np.median(scores):.4f} {scores.min():.4f}  {seconds:6.2f}"
            )


def correlation_table() -> Iterator[str]:
    """Median (minimum) MCC over 5 seeds, methods against correlations."""
    yield f"{'median (min) of 5 seeds':18}" + "".join(f"{rho:>15}" for rho in CORRELATIONS)
    for method in METHODS:
        cells = []
        for rho in CORRELATIONS:
            scores, _ = _run(method, 5, {"correlation": rho})
            cells.append(f"  {np.median(scores):.4f} ({scores.min():.2f})")
        yield f"{method:18}" + "".join(f"{cell:>15}" for cell in cells)


def cost_table() -> Iterator[str]:
    """Seconds of fit as the number of tasks or rows grows."""
    for setting in (
        {"n_tasks": 100},
        {"n_tasks": 1000},
        {"n_tasks": 10_000, "n_samples": 1000},
        {"n_samples": 1_000_000, "n_tasks": 30},
    ):
        scores, seconds = _run("SparseRotation", 1, setting)
        yield f"{setting!s:44} MCC {scores[0]:.4f}  {seconds:.2f} s"


SECTIONS: dict[str, Callable[[], Iterator[str]]] = {
    "issue": lambda: settings_table("issue"),
    "hard": lambda: settings_table("hard"),
    "correlation": correlation_table,
    "cost": cost_table,
}


def main() -> None:
    """Print the sections named on the command line, or all."""
    torch.set_num_threads(1)
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__}, torch {torch.__version__}, one thread"
    )
    for name in sys.argv[1:] or SECTIONS:
        print(f"\n[{name}]")
        for line in SECTIONS[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
