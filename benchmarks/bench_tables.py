"""Does the estimator predict as well as the usual baselines on real tables?

Mean R^2 over targets, 5-fold, features and targets standardised on the training part, missing
features replaced by their mean, and the share of labels in our intervals of 90 %. Ours at the
defaults, with strengths or numbers of components that labels choose, and with a random forest as
encoder; peers: RidgeCV, MultiTask-free LassoCV (one a target), PLS with the best of seven numbers
of components, MLPRegressor with early stopping, a random forest and gradient boosting (one a
target), at scikit-learn's defaults otherwise. Times are of the processor.
"""

import gzip
import time
import warnings

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks._common import command, data
from benchmarks.bench_new_tasks import load
from sklearn_sparsedis import SparseDisentangledRepresentation

TABLES = ["wq", "oes97", "enb", "hepatic", "osales", "tecator"]
PEERS = ()
SETTINGS = {
    "full": {"seeds": 2, "tables": TABLES, "only": None, "folds": 5, "ours": {}},
    "short": {"seeds": 1, "tables": ["wq"], "folds": 2},
    "quick": {
        "seeds": 1,
        "tables": ["enb"],
        "only": ["RidgeCV", "ours"],
        "folds": 2,
        "ours": {"max_iter": 5},
    },
}


def load_table(name):
    """Features and targets."""
    if name != "tecator":
        return load(name)
    with gzip.open(data("tecator", "meats.csv.gz"), "rt") as file:
        names = file.readline().strip().split(",")
        rows = np.array([line.strip().split(",") for line in file])
    chosen = [
        [n.startswith("x_") for n in names],
        [n in ("water", "fat", "protein") for n in names],
    ]
    X, Y = (rows[:, columns].astype(float) for columns in chosen)
    return X, Y


def models(seed, ours):
    """Name and estimator of everything that is compared."""
    return {
        "RidgeCV": RidgeCV(np.logspace(-3, 5, 33)),
        "LassoCV": MultiOutputRegressor(LassoCV(cv=5, random_state=seed)),
        "MLPRegressor": MLPRegressor(early_stopping=True, max_iter=1000, random_state=seed),
        "MLPRegressor, no early stopping": MLPRegressor(max_iter=1000, random_state=seed),
        "PLSRegression": GridSearchCV(
            PLSRegression(scale=False), {"n_components": [1, 2, 3, 5, 8, 12, 16]}, error_score=-9.0
        ),
        "RandomForestRegressor": RandomForestRegressor(random_state=seed),
        "HistGradientBoostingRegressor": MultiOutputRegressor(
            HistGradientBoostingRegressor(random_state=seed)
        ),
        "ours": SparseDisentangledRepresentation(random_state=seed, **ours),
        "ours, auto": SparseDisentangledRepresentation(
            "auto", alpha="auto", random_state=seed, **ours
        ),
        "ours, forest": SparseDisentangledRepresentation(
            encoder=RandomForestRegressor(), random_state=seed
        ),
    }


def score_folds(make, X, Y, seed, folds):
    """Mean R^2 of the folds, share of zeros, coverage of intervals, processor's seconds a fit."""
    scores, zeros, times, covered = [], [], [], []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(X):
        filled = np.where(np.isnan(X), np.nanmean(X[train], 0), X)
        scale_x, scale_y = StandardScaler().fit(filled[train]), StandardScaler().fit(Y[train])
        model, start = make(), time.process_time()
        model.fit(scale_x.transform(filled[train]), scale_y.transform(Y[train]))
        times.append(time.process_time() - start)
        predicted = model.predict(scale_x.transform(filled[test]))
        scores.append(r2_score(scale_y.transform(Y[test]), predicted))
        if hasattr(model, "support_"):
            zeros.append(1 - model.support_.mean())
            ends = model.predict_interval(scale_x.transform(filled[test]))[1]
            found = scale_y.transform(Y[test])
            covered.append(((ends[..., 0] <= found) & (found <= ends[..., 1])).mean())
    extra = [np.mean(x) if x else np.nan for x in (zeros, covered)]
    return np.mean(scores), *extra, np.mean(times)


def score_rows(options):
    """One row a table and model."""
    for table in options.tables:
        X, Y = load_table(table)
        for name in options.only or models(0, options.ours):
            found = [
                score_folds(lambda n=name, s=s: models(s, options.ours)[n], X, Y, s, options.folds)
                for s in range(options.seeds)
            ]
            score, *extra, spent = np.mean(found, axis=0)
            spread = np.std([f[0] for f in found])
            shown = [f"{x:.2f}" for x in extra]
            yield table, name, f"{score:.4f}", f"{spread:.4f}", *shown, f"{spent:.2f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--only", nargs="*", help="names of models")


def tables(options):
    """One."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    header = ("table", "model", "mean R2", "sd over seeds", "zeros", "covered", "s a fit")
    yield "Cross-validation", header, score_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
