"""Does the sparsest basis find the scales of questionnaires and test batteries, and again?

Items are tasks. Their heads are regressions on the first principal components ("PCA"), or loadings
that maximise the likelihood of the correlation matrix ("ML", `SparseRotation.fit_correlation`).
"Own" counts items whose largest coefficient is on the factor of their key, F1 compares what is
used with the key: `support_` for us, coefficients of .3 or more for rotations. Halves: people are
split at random; the congruence of factors in one half with those matched in the other, by Tucker's
coefficient of their columns of the pattern. Leaks: heads of T = 25 tasks on m = 5 latents of
correlation .5, one coefficient of .5 to 1 each and normal ones of this standard deviation
elsewhere, 2,000 rows; the truth's own MCC is one.
"""

import csv
import gzip
import time
import warnings
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks._common import command, data, progress
from benchmarks._rotations import ROTATIONS
from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.basis._factor_analysis import extract_factors
from sklearn_sparsedis.metrics import mean_corrcoef_score

TABLES = ["bfi", "holzinger-swineford", "holzinger_9", "thurstone"]
THRESHOLD = 0.3
PEERS = ()
SETTINGS = {
    "full": {"tables": TABLES, "splits": 20, "leaks": [0.0, 0.1, 0.2, 0.3], "seeds": 20},
    "short": {"splits": 1, "leaks": [0.1], "seeds": 2},
    "quick": {"tables": ["thurstone"], "splits": 0, "leaks": [0.1], "seeds": 1},
}


def load_rows(name):
    """Standardised items of people without gaps, and the key of each."""
    if name == "bfi":
        with gzip.open(data("rotation", "bfi.csv.gz"), "rt") as file:
            rows = list(csv.reader(file))
        columns = [
            i for i, title in enumerate(rows[0]) if title[0] in "ACENO" and title[1:] in "12345"
        ]
        key = np.repeat(np.arange(5), 5)
    else:
        with open(data("rotation", "holzinger_swineford39.csv")) as file:
            rows = list(csv.reader(file))
        columns = [rows[0].index(f"x{i}") for i in range(1, 10)]
        key = np.repeat(np.arange(3), 3)
    kept = [[row[i] for i in columns] for row in rows[1:]]
    X = np.array([row for row in kept if all(row)], dtype=float)
    return (X - X.mean(0)) / X.std(0), key


def load_correlation(name):
    """Correlation matrix, rows behind it, the key of each test, and the rows if there are."""
    if name in ("holzinger_9", "thurstone"):
        with open(data("rotation", f"{name}.csv")) as file:
            R = np.array([row[1:] for row in list(csv.reader(file))[1:]], dtype=float)
        return R, {"holzinger_9": 145, "thurstone": 213}[name], np.repeat(np.arange(3), 3), None
    X, key = load_rows(name)
    return np.corrcoef(X.T), len(X), key, X


def against_key(pattern, used, key):
    """Items on their own factor, and F1 of what is used, under the best matching of factors."""
    n_factors = max(pattern.shape[1], key.max() + 1)
    share = np.zeros((n_factors, key.max() + 1))
    size = np.abs(pattern) / np.linalg.norm(pattern, axis=1, keepdims=True)
    for k in range(key.max() + 1):
        share[: pattern.shape[1], k] = size[key == k].sum(0)
    factor, scale = linear_sum_assignment(-share)
    of_scale = dict(zip(scale, factor, strict=True))
    own = np.array([of_scale[k] for k in key])
    truth = own[:, None] == np.arange(n_factors)
    used = np.pad(used, ((0, 0), (0, n_factors - used.shape[1])))
    right = (np.abs(pattern).argmax(1) == own).sum()
    return int(right), 2 * (used & truth).sum() / (used.sum() + truth.sum())


def congruence(A, B):
    """Tucker's coefficient of the columns of two patterns under the best matching."""
    found = np.abs((A / np.linalg.norm(A, axis=0)).T @ (B / np.linalg.norm(B, axis=0)))
    return found[linear_sum_assignment(-found)]


def principal_loadings(R, m):
    """Loadings of the first principal components, which are heads on their scores."""
    values, vectors = np.linalg.eigh(R)
    return vectors[:, ::-1][:, :m] * np.sqrt(values[::-1][:m])


def methods(m, loadings=("ML", "PCA")):
    """Name and function from a correlation matrix and rows to pattern, support and model."""
    yield "ours, ML", lambda R, n: ours(SparseRotation(m).fit_correlation, R, n)
    if "PCA" in loadings:
        chosen = SparseRotation()
        yield "ours, ML, factors chosen", lambda R, n: ours(chosen.fit_correlation, R, n)
        rotation = SparseRotation(m)
        yield (
            "ours, PCA",
            lambda R, n: ours(rotation.fit_heads, principal_loadings(R, m), n_samples=n),
        )
    for name, rotate in ROTATIONS.items():
        for kind in loadings:
            yield f"{name}, {kind}", partial(theirs, rotate, kind, m)


def ours(fit, *arguments, **options):
    """Pattern, support and model of a fit with a fixed seed."""
    fit.__self__.set_params(random_state=0)
    model = fit(*arguments, **options)
    return model.coef_, model.support_, model


def theirs(rotate, kind, m, R, n):
    """Pattern and loadings that count."""
    loadings = principal_loadings(R, m) if kind == "PCA" else extract_factors(R, m).loadings
    pattern = rotate(loadings)[0]
    return pattern, np.abs(pattern) >= THRESHOLD, None


def classical(options):
    """One row a table and method."""
    for name in options.tables:
        R, n, key, _ = load_correlation(name)
        for method, run in methods(key.max() + 1):
            start = time.perf_counter()
            pattern, used, model = run(R, n)
            spent = time.perf_counter() - start
            own, f1 = against_key(pattern, used, key)
            said = "" if model is None else f"{model.identified_.sum()} of {pattern.shape[1]}"
            misfit = "" if model is None else f"{model.min_effect_:.2f}"
            yield (
                name,
                method,
                pattern.shape[1],
                f"{own} of {len(key)}",
                f"{f1:.2f}",
                f"{used.mean():.0%}",
                misfit,
                said,
                f"{spent:.2f}",
            )


def halves(options):
    """One row a method: congruence of factors between halves of the people of bfi."""
    if not options.splits:
        return
    X, key = load_rows("bfi")
    m, found = key.max() + 1, {}
    for split in range(options.splits):
        order = np.random.default_rng(split).permutation(len(X))
        parts = order[: len(X) // 2], order[len(X) // 2 :]
        for method, run in methods(m, loadings=("ML",)):
            (one, _, model), (two, _, other) = (
                run(np.corrcoef(X[part].T), len(part)) for part in parts
            )
            found.setdefault(method, []).append(congruence(one, two))
            if model is not None:
                averages = model.coef_average_, other.coef_average_
                found.setdefault(f"{method}, averaged", []).append(congruence(*averages))
        progress(f"halves: {split + 1} of {options.splits}")
    for method, values in found.items():
        values = np.array(values)
        yield (
            method,
            f"{np.median(values):.4f}",
            f"{np.median(values.min(1)):.4f}",
            f"{values.min():.3f}",
        )


def leaky(seed, leak, n_tasks=25, m=5, n=2000):
    """Features, targets and latents of heads with leaks."""
    rng = np.random.default_rng(seed)
    W = leak * rng.standard_normal((n_tasks, m))
    W[np.arange(n_tasks), np.arange(n_tasks) % m] = rng.uniform(0.5, 1, n_tasks)
    Z = rng.standard_normal((n, m)) @ np.linalg.cholesky(np.full((m, m), 0.5) + 0.5 * np.eye(m)).T
    Y = Z @ W.T
    Y += 0.3 * Y.std(0) * rng.standard_normal(Y.shape)
    return Z @ rng.standard_normal((m, m)), Y, Z


def rotated(rotate, F, Y):
    """Components of features after a rotation of the heads."""
    U, s, _ = np.linalg.svd(F - F.mean(0), full_matrices=False)
    white = U * np.sqrt(len(F))
    heads = (Y - Y.mean(0)).T @ white / len(F)
    pattern = rotate(heads)[0]
    return white @ np.linalg.pinv(np.linalg.lstsq(heads, pattern, rcond=None)[0]).T


def leaks(options):
    """One row a leak and method."""
    for leak in options.leaks:
        found = {}
        for seed in range(options.seeds):
            F, Y, Z = leaky(seed, leak)
            fitted = SparseRotation(random_state=0).fit(F, Y).transform(F)
            found.setdefault("ours", []).append(mean_corrcoef_score(Z, fitted))
            for name, rotate in ROTATIONS.items():
                found.setdefault(name, []).append(mean_corrcoef_score(Z, rotated(rotate, F, Y)))
        for method, scores in found.items():
            yield leak, method, f"{np.median(scores):.4f}", f"{np.min(scores):.3f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--splits", type=int, help="of the people of bfi")
    parser.add_argument("--leaks", nargs="*", type=float)
    parser.add_argument("--seeds", type=int, help="of each leak")


def tables(options):
    """Three."""
    warnings.simplefilter("ignore")  # doubtful components are in the table
    header = ("data", "method", "factors", "own", "F1", "used", "misfit", "identified", "s")
    yield "Classical data", header, classical(options)
    header = ("method", "median congruence", "median of the least of a split", "least")
    yield "Halves of bfi", header, halves(options)
    yield "Leaks", ("leak", "method", "median MCC", "least MCC"), leaks(options)


if __name__ == "__main__":
    command(__spec__.name)
