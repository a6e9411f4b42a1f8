"""Which penalty recovers the latents, and what happens where the assumptions fail?

6 latents in 20 dimensions, supports Bernoulli(1/2), T = 100 tasks, N = 3000 rows, noise 0.1, unless
said; encoder and other parameters at their defaults. Run with
``python -m benchmarks.bench_penalties [section ...]``; sections are the keys of SECTIONS. Classical
rotations of the heads come from factor_analyzer, where it is installed.
"""

import time
import warnings

import numpy as np
from sklearn.decomposition import FastICA

from benchmarks._common import command, progress
from benchmarks.bench_recovery import rotate_promax, rotate_varimax
from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask, make_sparse_tasks
from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score

CORRELATIONS = (0.0, 0.5, 0.9, 0.95, 0.99)
# correlation, noise
TARGETS = ((0.9, 0.1), (0.95, 0.1), (0.99, 0.1), (0.9, 1.0))


def make(seed, *, n_samples=3000, n_tasks=100, correlation=0.9, **more):
    """Data of one seed."""
    return make_sparse_multitask(
        n_samples, n_tasks, correlation=correlation, random_state=1000 + seed, **more
    )


def fit(data, penalty, seed, *, n_components=6, encoder="linear", **more):
    """Fitted model, seconds, and what it warned of."""
    model = SparseDisentangledRepresentation(
        n_components, encoder=encoder, penalty=penalty, random_state=seed, **more
    )
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data.X, data.Y)
    return model, time.perf_counter() - start, [str(warning.message) for warning in caught]


def independent(model, data, seed, **more):
    """MCC on independent latents under the same mixing."""
    test = make_sparse_multitask(
        2000, 2, mixing=data.mixing, correlation=0, random_state=5000 + seed, **more
    )
    return mean_corrcoef_score(test.Z, model.transform(test.X))


def targets(n_seeds, options):
    """MCC of l0 on the settings that are asked for."""
    for correlation, noise in options.targets:
        found = []
        for seed in range(n_seeds):
            data = make(seed, correlation=correlation, noise=noise, n_samples=options.rows)
            model, seconds, _ = fit(data, "l0", seed, **options.fit)
            mcc = mean_corrcoef_score(data.Z, model.transform(data.X))
            found.append((mcc, independent(model, data, seed), seconds))
        yield _row(f"linear, corr. {correlation}, noise {noise}", np.array(found))


def nonlinear(n_seeds, options):
    """The same under a leaky-ReLU MLP mixing."""
    found = []
    for seed in range(n_seeds):
        data = make(seed, n_samples=5000, n_tasks=300, mixing="mlp")
        model, seconds, _ = fit(data, "l0", seed, encoder="mlp")
        Z = model.transform(data.X)
        mcc, r = mean_corrcoef_score(data.Z, Z), linear_recovery_score(data.Z, Z)
        found.append((mcc, independent(model, data, seed), seconds))
        progress(f"seed {seed}: MCC {mcc:.4f}, R {r:.4f}, MCC/R {mcc / r:.4f}")
    yield _row("MLP, corr. 0.9, T = 300, N = 5000", np.array(found))


def mcp(n_seeds, options):
    """MCP against l1, at correlation 0.9."""
    found = {"l1": [], "mcp": []}
    for seed in range(n_seeds):
        data = make(seed)
        for penalty, rows in found.items():
            model, seconds, _ = fit(data, penalty, seed)
            mcc = mean_corrcoef_score(data.Z, model.transform(data.X))
            rows.append((mcc, independent(model, data, seed), seconds))
        last = {name: round(rows[-1][0], 4) for name, rows in found.items()}
        progress(f"seed {seed}: {last}")
    for penalty, rows in found.items():
        yield _row(penalty, np.array(rows))


def _row(name, found):
    mcc, test, seconds = found.T
    return (
        name,
        len(found),
        f"{np.median(mcc):.4f}",
        f"{mcc.min():.4f}",
        f"{np.median(test):.4f}",
        f"{test.min():.4f}",
        f"{np.median(seconds):.1f}",
    )


def _classical(method):
    from factor_analyzer.rotator import Rotator

    def rotate(Z, Y, seed):
        U, s, _ = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
        F = U[:, s > 1e-8 * s[0]] * np.sqrt(len(Z))
        heads = (Y - Y.mean(0)).T @ F / len(F)
        rotator = Rotator(method=method, max_iter=1000)
        rotated = rotator.fit_transform(heads)
        directions = np.linalg.lstsq(heads, rotated, rcond=None)[0]
        return F @ np.linalg.pinv(directions).T

    return rotate


def rotations():
    """What can be done to the components of an l2 model after the fact."""
    found = {
        "l2": lambda Z, Y, seed: Z,
        "l2 + FastICA": lambda Z, Y, seed: FastICA(
            random_state=seed, max_iter=1000, whiten="unit-variance"
        ).fit_transform(Z),
        "l2 + varimax": rotate_varimax,
        "l2 + promax": rotate_promax,
    }
    try:
        import factor_analyzer  # noqa: F401
    except ImportError:
        return found
    for method in ("oblimin", "geomin_obl", "quartimin"):
        found[f"l2 + {method}"] = _classical(method)
    return found


def correlation_table(n_seeds, options):
    """Median (least) MCC of every method at every correlation, and seconds."""
    names = [*rotations(), "l1", "mcp", "l0"]
    scores = {name: {rho: [] for rho in options.correlations} for name in names}
    seconds = {name: [] for name in names}
    for rho in options.correlations:
        for seed in range(n_seeds):
            data = make(seed, correlation=rho)
            for penalty in ("l1", "mcp", "l0", "l2"):
                model, spent, _ = fit(data, penalty, seed)
                Z = model.transform(data.X)
                steps = rotations() if penalty == "l2" else {penalty: lambda Z, Y, seed: Z}
                for name, rotate in steps.items():
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        mcc = mean_corrcoef_score(data.Z, rotate(Z, data.Y, seed))
                    scores[name][rho].append(mcc)
                    seconds[name].append(spent + time.perf_counter() - start)
        done = {name: [round(s, 4) for s in scores[name][rho]] for name in names}
        progress(f"corr. {rho}: {done}")
    for name in names:
        cells = [f"{np.median(s):.3f} ({np.min(s):.3f})" for s in scores[name].values()]
        yield (name, *cells, f"{np.median(seconds[name]):.1f}")


def violated(seed):
    """Name, data and number of components of each violation."""
    base = {"correlation": 0.5}
    plain = make(seed, **base)

    def dense(draw):
        rng = np.random.default_rng(seed)
        data = make(seed, **base)
        signal = data.Z @ draw(rng).T
        data.Y = signal + 0.1 * signal.std(0) * rng.standard_normal(signal.shape)
        return data

    def blocks():
        data = make(seed, **base)
        data.update(make_sparse_tasks(data.Z, 100, support="blocks", random_state=seed))
        return data

    def heavy(draw):
        rng = np.random.default_rng(seed)
        Z = draw(rng)
        Z = (Z - Z.mean(0)) / Z.std(0)
        tasks = make_sparse_tasks(Z, 100, random_state=seed)
        data = make(seed, **base)
        data.update(X=Z @ rng.standard_normal((6, 20)), Y=tasks.Y, Z=Z)
        return data

    yield "none", plain, 6
    yield "dense tasks, Gaussian", dense(lambda rng: rng.standard_normal((100, 6))), 6
    yield "dense tasks, Laplace", dense(lambda rng: rng.laplace(size=(100, 6))), 6
    yield "blocks of two latents", blocks(), 6
    yield "8 tasks", make(seed, n_tasks=8, **base), 6
    yield "5 tasks", make(seed, n_tasks=5, **base), 6
    yield "4 components for 6 latents", plain, 4
    yield "10 components for 6 latents", plain, 10
    yield "heavy-tailed latents (t, 3)", heavy(lambda rng: rng.standard_t(3, (3000, 6))), 6
    yield "categorical latents", heavy(lambda rng: rng.integers(0, 3, (3000, 6)).astype(float)), 6


def violations(n_seeds, options):
    """MCC, components that are called identified, and what the user is told."""
    rows = {}
    for seed in range(n_seeds):
        for name, data, m in violated(seed):
            model, _, said = fit(data, "l0", seed, n_components=m, max_iter=500)
            mcc = mean_corrcoef_score(data.Z, model.transform(data.X))
            known = int(model.confidence_.identified.sum())
            rows.setdefault(name, []).append((mcc, known, " ".join(said)[:300]))
    for name, found in rows.items():
        mcc = [f[0] for f in found]
        known = "/".join(str(f[1]) for f in found)
        yield name, f"{np.median(mcc):.3f} ({min(mcc):.3f})", known, found[0][2] or "nothing"


_RECOVERY = ("setting", "seeds", "median MCC", "worst", "independent: median", "worst", "s")
SECTIONS = {
    "targets": (targets, 10, _RECOVERY),
    "nonlinear": (nonlinear, 3, _RECOVERY),
    "mcp": (mcp, 10, _RECOVERY),
    "correlation": (correlation_table, 3, None),  # the header depends on the options
    "violations": (violations, 2, ("violation", "MCC, median (worst)", "identified", "told")),
}


PEERS = ("factor_analyzer",)
SETTINGS = {
    "full": {
        "sections": list(SECTIONS),
        "seeds": None,
        "targets": TARGETS,
        "correlations": CORRELATIONS,
        "rows": 3000,
        "fit": {},
    },
    "short": {"sections": ["targets"], "seeds": 1, "targets": TARGETS[:1], "rows": 1000},
    "quick": {
        "sections": ["targets"],
        "seeds": 1,
        "targets": TARGETS[:1],
        "rows": 300,
        "fit": {"max_iter": 2},
    },
}


def add_options(parser):
    """Of the command line."""
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    parser.add_argument("--seeds", type=int, help="of each section; else its own number")


def tables(options):
    """The sections named on the command line, or all."""
    for name in options.sections:
        rows, seeds, header = SECTIONS[name]
        header = header or ("method", *map(str, options.correlations), "s")
        yield name, header, rows(options.seeds or seeds, options)


if __name__ == "__main__":
    command(__spec__.name)
