"""Are fewer labels needed for a new binary task if there are old ones?

Tasks are held out, a third of them at a time, and the others fitted on four fifths of their rows.
Labels of a new task, of which two are ones and two zeros at least, are on rows that the fit has not
seen; the AUC is that on its other ones, and the mean over tasks and draws is given. Peers are
fitted to these labels alone. tox21 and sider: assays of molecules, with Morgan fingerprints (radius
2, 1024 bits, by rdkit), and log-odds of a random forest as encoder. Landmine: fields with rows of
their own, 9 features, and log-odds of logistic regressions.
"""

import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import scale

from benchmarks._common import command
from benchmarks.bench_binary import load_landmine, load_molecules
from sklearn_sparsedis import SparseDisentangledRepresentation

TABLES = ["landmine", "sider", "tox21"]
PEERS = ("rdkit",)
SETTINGS = {
    "full": {
        "tables": TABLES,
        "sizes": [10, 16, 20, 32, 50, 64, 100],
        "draws": 2,
        "seeds": 2,
        "groups_used": 3,
        "max_iter": None,
        "trees": 100,
    },
    "short": {"tables": ["landmine"], "sizes": [20], "seeds": 1, "groups_used": 1, "max_iter": 30},
    "quick": {
        "tables": ["landmine"],
        "sizes": [20],
        "draws": 1,
        "seeds": 1,
        "groups_used": 1,
        "max_iter": 1,
        "trees": 5,
    },
}


def load(name):
    """Features, and labels of all tasks with NaN."""
    if name != "landmine":
        return load_molecules(name)
    features, labels = load_landmine()
    task = np.repeat(np.arange(len(labels)), [len(y) for y in labels])
    Y = np.full((len(task), len(labels)), np.nan)
    Y[np.arange(len(task)), task] = np.concatenate(labels)
    return scale(np.vstack(features)), Y


def fit_old(name, X, Y, options, seed):
    """Ours on the old tasks."""
    encoder = LogisticRegression(C=0.1)
    if name != "landmine":
        encoder = RandomForestClassifier(options.trees, random_state=seed)
    there = ~np.isnan(Y).all(1)
    model = SparseDisentangledRepresentation(
        encoder=encoder,
        loss="logistic",
        max_iter=options.max_iter,
        random_state=seed,
        device="cpu",
    )
    return model.fit(X[there], Y[there])


def choose(y, rows, n, random):
    """Rows of labels of a new task."""
    ones, zeros = (random.permutation(rows[y[rows] == kind])[:2] for kind in (1, 0))
    first = np.r_[ones, zeros]
    return np.r_[first, random.permutation(np.setdiff1d(rows, first))[: n - len(first)]]


def measure(name, options, seed):
    """AUC of each new task and draw, by number of labels and model."""
    X, Y = load(name)
    random, found = np.random.default_rng(seed), {}
    fitted = random.random(len(X)) < 0.8
    for new in np.array_split(random.permutation(Y.shape[1]), 3)[: options.groups_used]:
        old = np.setdiff1d(np.arange(Y.shape[1]), new)
        model = fit_old(name, X[fitted], Y[fitted][:, old], options, seed)
        seen = fitted & ~np.isnan(Y[:, old]).all(1)
        models = {
            "ours, adapt": lambda x, y, model=model: model.adapt(x, y).predict,
            "LogisticRegression": alone(LogisticRegression(max_iter=1000)),
            "LogisticRegression(C=0.1)": alone(LogisticRegression(C=0.1, max_iter=1000)),
            "random forest": alone(RandomForestClassifier(options.trees, random_state=seed)),
        }
        for task in new:
            rows, y = np.flatnonzero(~seen & ~np.isnan(Y[:, task])), Y[:, task]
            for draw in range(options.draws):
                for n in options.sizes:
                    few = choose(y, rows, n, np.random.default_rng([seed, task, draw]))
                    rest = np.setdiff1d(rows, few)
                    for kind, fit in models.items():
                        auc = roc_auc_score(y[rest], fit(X[few], y[few])(X[rest]))
                        found.setdefault((n, kind), []).append(auc)
    return found


def alone(peer):
    """Function from rows and labels to a function from rows to probabilities."""

    def fit(x, y):
        fitted = peer.fit(x, y)
        return lambda rows: fitted.predict_proba(rows)[:, 1]

    return fit


def rows_of(options):
    """One row a table, number of labels and model."""
    for name in options.tables:
        by_seed = [measure(name, options, seed) for seed in range(options.seeds)]
        for n, kind in by_seed[0]:
            means = [np.mean(found[n, kind]) for found in by_seed]
            yield name, n, kind, f"{np.mean(means):.3f}", ", ".join(f"{x:.3f}" for x in means)


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--tables", nargs="*", choices=TABLES)
    parser.add_argument("--sizes", nargs="*", type=int)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--seeds", type=int, help="of the split of rows and tasks, and of fits")
    parser.add_argument("--groups-used", type=int, help="of the three groups of held-out tasks")
    parser.add_argument("--max-iter", type=int, help="outer steps")
    parser.add_argument("--trees", type=int)


def tables(options):
    """One."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    header = ("table", "labels", "model", "mean AUC", "by seed")
    yield "New binary tasks from few labels", header, rows_of(options)


if __name__ == "__main__":
    command(__spec__.name)
