"""What do logistic heads give on binary tasks?

Landmine (29 tasks with rows of their own, 9 features, 6 % positive): mean over tasks of the AUC
on a quarter of each task's rows, the rest for training, classes kept in proportion; share of
zero weights and seconds a fit beside it; with the peer as encoder components are made of its
log-odds. "New tasks": the encoder is trained on 19 tasks, and heads of the 10 others on 20 of
their rows each, of which at least two are positive.

Tox21 (``--only tox21``, needs rdkit): 12 tasks with missing labels on Morgan fingerprints (radius
2, 1024 bits), one random split of the molecules.
"""

import time
import warnings

import numpy as np
from scipy.io import loadmat
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._common import command, data, require
from sklearn_sparsedis import SparseDisentangledRepresentation

OURS = {
    "squared error, l1": {},
    "logistic, l1": {"loss": "logistic"},
    "logistic, l1, balanced": {"loss": "logistic", "class_weight": "balanced"},
    "squared error, l2": {"penalty": "l2"},
    "logistic, l2": {"loss": "logistic", "penalty": "l2"},
    "common head, l1": {"common_head": True},
    "common head, l2": {"common_head": True, "penalty": "l2"},
}
PEERS = ("rdkit",)
SETTINGS = {
    "full": {"seeds": 3, "max_iter": 300, "threads": 1, "only": ["landmine", "new"], "ours": OURS},
    "short": {"seeds": 1, "max_iter": 30, "only": ["new"]},
    "quick": {
        "seeds": 1,
        "max_iter": 1,
        "only": ["new"],
        "ours": {"logistic, l1": OURS["logistic, l1"]},
    },
}


def load_landmine():
    """Features and labels of each task."""
    found = loadmat(data("landmine", "LandmineData.mat"))
    return [x.astype(float) for x in found["feature"][0]], [
        y.ravel().astype(float) for y in found["label"][0]
    ]


def stratified(y, share, random):
    """Which rows are for training."""
    train = np.zeros(len(y), dtype=bool)
    for label in (0, 1):
        rows = random.permutation(np.flatnonzero(y == label))
        train[rows[: round(share * len(rows))]] = True
    return train


def stack(features, labels, masks, tasks):
    """Long layout of some rows of some tasks."""
    X = np.vstack([features[t][masks[t]] for t in tasks])
    y = np.concatenate([labels[t][masks[t]] for t in tasks])
    return X, y, np.concatenate([np.full(masks[t].sum(), t) for t in tasks])


def mean_auc(score, y, task_id):
    """Mean over tasks."""
    return np.mean([roc_auc_score(y[task_id == t], score[task_id == t]) for t in set(task_id)])


def baseline():
    """Ridge logistic regression with its strength chosen by AUC in 5 folds."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 2, 13),
            scoring="roc_auc",
            l1_ratios=(0,),
            use_legacy_attributes=False,
            max_iter=1000,
        ),
    )


def landmine_models(seed, options):
    """Name and function (X, y, task_id, X_test, task_id_test) -> scores, share of zeros."""

    def ours(parameters):
        def run(X, y, t, X_test, t_test):
            settings = {"max_iter": options.max_iter, **parameters}
            model = SparseDisentangledRepresentation(random_state=seed, device="cpu", **settings)
            model.fit(X, y, task_id=t)
            return model.predict(X_test, task_id=t_test), 1 - model.support_.mean()

        return run

    def each(X, y, t, X_test, t_test):
        score = np.empty(len(X_test))
        for task in set(t):
            peer = baseline().fit(X[t == task], y[t == task])
            score[t_test == task] = peer.predict_proba(X_test[t_test == task])[:, 1]
        return score, 0.0

    def pooled(X, y, t, X_test, t_test):
        return baseline().fit(X, y).predict_proba(X_test)[:, 1], 0.0

    def forest(X, y, t, X_test, t_test):
        peer = RandomForestClassifier(500, random_state=seed, min_samples_leaf=3)
        return peer.fit(X, y).predict_proba(X_test)[:, 1], 0.0

    return {
        **{f"ours: {name}": ours(parameters) for name, parameters in options.ours.items()},
        "ours: logistic, encoder LogisticRegressionCV": ours(
            {"loss": "logistic", "encoder": baseline(), "max_iter": None}
        ),
        "LogisticRegressionCV, one a task": each,
        "LogisticRegressionCV, pooled": pooled,
        "random forest, pooled": forest,
    }


def landmine_rows(options):
    """A row a model."""
    features, labels = load_landmine()
    found = {}
    for seed in range(options.seeds):
        random = np.random.default_rng(seed)
        train = [stratified(y, 0.75, random) for y in labels]
        tasks = range(len(labels))
        known = stack(features, labels, train, tasks)
        X_test, y_test, t_test = stack(features, labels, [~m for m in train], tasks)
        for name, run in landmine_models(seed, options).items():
            start = time.perf_counter()
            score, zeros = run(*known, X_test, t_test)
            seconds = time.perf_counter() - start
            auc = mean_auc(score, y_test, t_test)
            found.setdefault(name, []).append((auc, zeros, seconds))
    for name, values in found.items():
        auc, zeros, seconds = np.mean(values, axis=0)
        by_split = ", ".join(f"{v[0]:.4f}" for v in values)
        yield name, f"{auc:.4f}", by_split, f"{zeros:.2f}", f"{seconds:.1f}"


def new_task_rows(options):
    """AUC of heads for new tasks from 20 rows."""
    features, labels = load_landmine()
    found = {}
    for seed in range(options.seeds):
        random = np.random.default_rng(seed)
        order = random.permutation(len(labels))
        old, new = order[:19], order[19:]
        few = []
        for y in labels:
            positive = random.permutation(np.flatnonzero(y == 1))[:2]
            others = np.setdiff1d(np.arange(len(y)), positive)
            mask = np.zeros(len(y), dtype=bool)
            mask[np.r_[positive, random.permutation(others)[:18]]] = True
            few.append(mask)
        everything = [np.ones(len(y), dtype=bool) for y in labels]
        old_rows = stack(features, labels, everything, old)
        X, y, t = stack(features, labels, few, new)
        X_test, y_test, t_test = stack(features, labels, [~m for m in few], new)
        for name, parameters in options.ours.items():
            model = SparseDisentangledRepresentation(
                max_iter=options.max_iter, random_state=seed, device="cpu", **parameters
            )
            model.fit(*old_rows[:2], task_id=old_rows[2])
            adapted = model.adapt(X, y, task_id=t)
            score = adapted.predict(X_test, task_id=t_test)
            found.setdefault(f"ours: {name}", []).append(mean_auc(score, y_test, t_test))
        score = np.empty(len(X_test))
        for task in new:
            peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
            peer.fit(X[t == task], y[t == task])
            score[t_test == task] = peer.predict_proba(X_test[t_test == task])[:, 1]
        found.setdefault("LogisticRegression(C=0.1), raw", []).append(
            mean_auc(score, y_test, t_test)
        )
    for name, values in found.items():
        yield name, f"{np.mean(values):.4f}", ", ".join(f"{v:.4f}" for v in values)


def load_molecules(name):
    """Fingerprints, and labels of all assays with NaN."""
    chem, fingerprints = require("rdkit.Chem"), require("rdkit.Chem.rdFingerprintGenerator")
    require("rdkit.RDLogger").DisableLog("rdApp.*")
    table = require("pandas").read_csv(data("moleculenet", f"{name}.csv"))
    generator = fingerprints.GetMorganGenerator(radius=2, fpSize=1024)
    molecules = [chem.MolFromSmiles(smiles) for smiles in table.iloc[:, 0]]
    kept = [i for i, molecule in enumerate(molecules) if molecule is not None]
    X = np.array([generator.GetFingerprintAsNumPy(molecules[i]) for i in kept], dtype=np.float32)
    return X, table.iloc[kept, 1:].to_numpy(dtype=float)


def tox21_rows(seed, options):
    """A row a model, one split."""
    X, Y = load_molecules("tox21")
    train = np.random.default_rng(seed).random(len(X)) < 0.8
    there = ~np.isnan(Y)

    def auc(predicted):
        return np.mean(
            [
                roc_auc_score(Y[~train & m, t], predicted[m[~train], t])
                for t, m in enumerate(there.T)
            ]
        )

    def each(peer):
        columns = [
            peer.fit(X[train & m], Y[train & m, t]).predict_proba(X[~train])[:, 1]
            for t, m in enumerate(there.T)
        ]
        return np.stack(columns, 1), 0.0

    def ours(parameters):
        parameters = {"n_components": 30, "max_iter": options.max_iter, **parameters}
        model = SparseDisentangledRepresentation(random_state=seed, device="cpu", **parameters)
        model.fit(X[train], Y[train])
        return model.predict(X[~train]), 1 - model.support_.mean()

    forest = RandomForestClassifier(100, random_state=seed)
    regression = LogisticRegression(C=0.1, max_iter=1000)
    encoded = {"loss": "logistic", "n_components": 10, "max_iter": None}
    settings = {
        **{name: parameters for name, parameters in options.ours.items() if "l1" in name},
        "logistic, encoder LogisticRegression": {**encoded, "encoder": regression},
        "logistic, encoder random forest": {**encoded, "encoder": forest},
    }
    runs = {
        **{f"ours: {name}": lambda p=p: ours(p) for name, p in settings.items()},
        "LogisticRegression(C=0.1), one a task": lambda: each(regression),
        "random forest, one a task": lambda: each(forest),
    }
    for name, run in runs.items():
        start = time.perf_counter()
        predicted, zeros = run()
        yield name, f"{auc(predicted):.4f}", f"{zeros:.2f}", f"{time.perf_counter() - start:.0f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--max-iter", type=int, help="outer steps")
    parser.add_argument("--only", nargs="*", choices=["landmine", "new", "tox21"])


def tables(options):
    """Those asked for."""
    warnings.simplefilter("ignore")  # peers that stop at their limit; heads of one kind of label
    if "landmine" in options.only:
        header = ("model", "mean AUC", "by split", "zeros", "s a fit")
        yield "Landmine", header, landmine_rows(options)
    if "new" in options.only:
        yield "Landmine, new tasks", ("model", "mean AUC", "by split"), new_task_rows(options)
    if "tox21" in options.only:
        yield "Tox21", ("model", "mean AUC", "zeros", "s"), tox21_rows(0, options)


if __name__ == "__main__":
    command(__spec__.name)
