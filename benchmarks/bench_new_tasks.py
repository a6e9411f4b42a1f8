"""How well are new targets predicted from few rows, against what one would do without old ones?

Targets of a table are held out, some at a time; the others are fitted on two thirds of the rows.
Then 10, 20, 50 or 100 of these rows have labels of a new target, and R^2 is judged on the other
third: its mean over targets and draws, and the share of targets, in means over draws, that ridge on
X predicts better by more than .02. Features are standardised on the rows of the fit, missing ones
get their mean. Peers: RidgeCV, LassoCV, BayesianRidge, a random forest, PCA with ridge, PLS and a
Gaussian process on X, ridge on the hidden layer of an MLPRegressor and on predictions of the old
targets. Ours has a network as encoder, and a random forest too if asked for.
"""

import gzip
import warnings

import numpy as np
from scipy.io import arff
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge, LassoCV, RidgeCV
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline

from benchmarks._common import command, data
from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask

N_TARGETS = {"wq": 14, "oes97": 16, "osales": 12, "enb": 2}
TABLES = ["oes97", "wq", "hepatic", "osales", "linear", "mlp"]
ALPHAS = np.logspace(-3, 5, 25)
PEERS = ()
SETTINGS = {
    "full": {
        "tables": TABLES,
        "sizes": [10, 20, 50, 100],
        "draws": 10,
        "groups": 4,
        "groups_used": 4,
        "max_iter": 1500,
        "light": False,
        "forest": False,
    },
    "short": {"tables": ["oes97"], "draws": 2, "groups_used": 1, "max_iter": 300, "light": True},
    "quick": {
        "tables": ["linear"],
        "sizes": [10],
        "draws": 1,
        "groups_used": 1,
        "max_iter": 5,
        "light": True,
    },
}


def load_mtr(name):
    """Features and targets of a multi-target table of Mulan."""
    rows, _ = arff.loadarff(data("mulan_mtr", f"{name}.arff"))
    values = np.array([[float(v) if v != b"?" else np.nan for v in row] for row in rows])
    return values[:, : -N_TARGETS[name]], values[:, -N_TARGETS[name] :]


def load_hepatic():
    """Fingerprints, and the assays of which a fifth of the values differ from the median."""
    with gzip.open(data("hepatic", "hepatic_injury_qsar.csv.gz"), "rt") as file:
        names = [name.strip('"') for name in file.readline().strip().split(",")]
        lines = [line.strip().split(",") for line in file]

    def columns(prefix):
        chosen = [i for i, name in enumerate(names) if name.startswith(prefix)]
        return np.array([[float(line[i]) for i in chosen] for line in lines])

    Y = columns("bio_assay")
    return columns("chem_fp"), Y[:, (np.median(Y, 0) != Y).mean(0) > 0.2]


def load(name):
    """Features and targets."""
    if name in N_TARGETS:
        return load_mtr(name)
    if name == "hepatic":
        return load_hepatic()
    drawn = make_sparse_multitask(900, 40, mixing=name, random_state=4)
    return drawn.X, drawn.Y


def prepare(name):
    """Standardised features, targets, and rows of the fit and of the judgement."""
    X, Y = load(name)
    order = np.random.default_rng(100).permutation(len(X))
    train, test = np.sort(order[: 2 * len(X) // 3]), np.sort(order[2 * len(X) // 3 :])
    mean, std = np.nanmean(X[train], 0), np.nanstd(X[train], 0)
    kept = std > 1e-9
    return (np.where(np.isnan(X), mean, X) - mean)[:, kept] / std[kept], Y, train, test


def ridge():
    """The usual one."""
    return RidgeCV(ALPHAS)


def on_features(X, y, light):
    """Name and estimator of the peers on X."""
    n, p = X.shape
    yield "ridge", ridge()
    yield "Lasso", LassoCV(cv=min(5, n // 2), alphas=50, max_iter=2000)
    yield "BayesianRidge", BayesianRidge()
    yield "random forest", RandomForestRegressor(random_state=0)
    if light:
        return
    yield "PCA, ridge", make_pipeline(PCA(min(n // 2, p, 10)), ridge())
    yield "PLS", PLSRegression(min(3, n // 4, p), scale=False)
    kernel = ConstantKernel() * RBF(p**0.5) + WhiteKernel()
    yield "Gaussian process", GaussianProcessRegressor(kernel, normalize_y=True)


def hidden(model, X):
    """Last hidden layer of an MLPRegressor."""
    for weights, offset in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        X = np.maximum(X @ weights + offset, 0)
    return X


def scores(X, Y, rows, test, target, old, options):
    """R^2 of all models on one target from some rows."""
    y, y_test = Y[rows, target], Y[test, target]
    found = {}
    model, forest, network = old
    ours = {"ours": (model, "learned"), "ours, penalty alone": (model, None)}
    if forest is not None:
        ours["ours, forest"] = forest, "learned"
    for name, (fitted, prior) in ours.items():
        found[name] = r2_score(y_test, fitted.adapt(X[rows], y, prior=prior).predict(X[test]))
    for name, estimator in on_features(X[rows], y, options.light):
        found[name] = r2_score(y_test, estimator.fit(X[rows], y).predict(X[test]).ravel())
    views = {"ridge on old predictions": model.predict}
    if network is not None:
        views["ridge on MLPRegressor"] = lambda Z: hidden(network, Z)
    for name, view in views.items():
        found[name] = r2_score(y_test, ridge().fit(view(X[rows]), y).predict(view(X[test])))
    return found


def fit_old(X, Y, options, seed):
    """Ours with a network and with a forest as encoder, and a network, on the old targets."""
    model = SparseDisentangledRepresentation(max_iter=options.max_iter, random_state=seed)
    model.fit(X, Y)
    forest = None
    if options.forest:
        forest = SparseDisentangledRepresentation(
            encoder=RandomForestRegressor(), random_state=seed
        ).fit(X, Y)
    if options.light:
        return model, forest, None
    complete = ~np.isnan(Y).any(1)
    network = MLPRegressor(early_stopping=True, max_iter=1000, random_state=seed)
    standard = (Y - np.nanmean(Y, 0)) / np.nanstd(Y, 0)
    return model, forest, network.fit(X[complete], standard[complete])


def measure(name, options):
    """R^2 by size, model and (target, draw)."""
    X, Y, train, test = prepare(name)
    order = np.random.default_rng(0).permutation(Y.shape[1])
    found = {}
    for g, new in enumerate(np.array_split(order, options.groups)[: options.groups_used]):
        old = fit_old(X[train], Y[train][:, np.setdiff1d(order, new)], options, g)
        for target in new:
            judged = test[~np.isnan(Y[test, target])]
            for draw in range(options.draws):
                known = train[~np.isnan(Y[train, target])]
                known = np.random.default_rng([target, draw]).permutation(known)
                for n in options.sizes:
                    if n <= len(known):
                        by = scores(X, Y, known[:n], judged, target, old, options)
                        for model, score in by.items():
                            found.setdefault(n, {}).setdefault(model, {})[target, draw] = score
    return found


def rows_of(options):
    """One row a table, size and model."""
    for name in options.tables:
        for n, models in measure(name, options).items():
            targets = sorted({target for target, _ in models["ridge"]})

            def means(model, models=models, targets=targets):
                scores = models[model]
                return np.array(
                    [np.mean([s for (t, _), s in scores.items() if t == own]) for own in targets]
                )

            for model, by in models.items():
                values = list(by.values())
                below = (means(model) < means("ridge") - 0.02).mean()
                yield (
                    name,
                    n,
                    model,
                    f"{np.mean(values):.3f}",
                    f"{np.median(values):.3f}",
                    f"{below:.2f}",
                )


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--sizes", nargs="*", type=int)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--groups-used", type=int, help="of the groups of held-out targets")
    parser.add_argument("--max-iter", type=int)
    parser.add_argument("--light", action="store_true", help="four peers on X and one on the old")
    parser.add_argument("--forest", action="store_true", help="as encoder too")


def tables(options):
    """One."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    header = ("table", "rows", "model", "mean R2", "median R2", "targets below ridge")
    yield "New targets from few rows", header, rows_of(options)


if __name__ == "__main__":
    command(__spec__.name)
