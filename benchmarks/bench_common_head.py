"""Do sparse deviations from a common head beat the pooled model and heads of their own?

lenk_computer: 190 people (tasks) rated 20 computers with 13 binary attributes; heads from 8 or 16
of the first 16 ratings of each person, drawn at random, judged on the last 4 (root mean squared
error, ratings 0 to 10), five draws. Peers on the attributes themselves: one ridge for all people,
one with the person's mean, ridge for each person alone with the penalty chosen by the score over
0.1 to 100, and a random intercept and random slopes (statsmodels' MixedLM) where it is installed.
"""

import warnings

import numpy as np
from scipy.io import loadmat
from sklearn.linear_model import Ridge

from benchmarks._common import Skip, command, data, require
from sklearn_sparsedis import SparseDisentangledRepresentation

OURS = {
    "heads of their own, l1": {},
    "heads of their own, l2": {"penalty": "l2"},
    "common head, l1": {"common_head": True},
    "common head, l2": {"common_head": True, "penalty": "l2"},
}
PENALTIES = (0.1, 1.0, 10.0, 100.0)
PEERS = ("statsmodels",)
SETTINGS = {
    "full": {"ratings": [8, 16], "draws": 5, "max_iter": 200, "ours": OURS},
    "short": {"draws": 1, "max_iter": 100},
    "quick": {
        "ratings": [8],
        "draws": 1,
        "max_iter": 1,
        "ours": {"common head, l1": OURS["common head, l1"]},
    },
}


def load_lenk():
    """Attributes (20, 13) and ratings (190, 20)."""
    found = loadmat(data("lenk_computer", "conjointAnalysisComputerBuyers.mat"))
    return found["designMarix"][:, 1:].astype(float), found["likeBuy"].astype(float)


def ours(X, Y, people, seed, options):
    """Predictions and share of zeros by name."""
    for encoder in ("linear", "mlp"):
        for name, parameters in options.ours.items():
            model = SparseDisentangledRepresentation(
                encoder=encoder,
                max_iter=options.max_iter,
                random_state=seed,
                device="cpu",
                **parameters,
            )
            model.fit(X, Y, task_id=people)
            yield f"{name}, {encoder}", model.predict, 1 - model.support_.mean()


def peers(X, Y, people, X_test, Y_test):
    """Predictions (people, ratings) by name."""
    pooled = Ridge(alpha=1.0).fit(X, Y)
    flat = pooled.predict(X_test)[None].repeat(len(Y_test), 0)
    yield "pooled", flat
    names = np.unique(people)
    left = Y - pooled.predict(X)
    yield "pooled, own mean", flat + np.array([left[people == p].mean() for p in names])[:, None]
    found = []
    for alpha in PENALTIES:
        own = [Ridge(alpha=alpha).fit(X[people == p], Y[people == p]) for p in names]
        found.append(np.array([model.predict(X_test) for model in own]))
    yield "own ridge, best penalty", min(found, key=lambda p: ((p - Y_test) ** 2).mean())
    try:
        MixedLM = require("statsmodels.regression.mixed_linear_model").MixedLM
    except Skip:
        return
    design = np.c_[np.ones(len(X)), X]
    result = MixedLM(Y, design, groups=people, exog_re=design[:, :1]).fit()
    effects = np.array([float(result.random_effects[p].iloc[0]) for p in names])
    yield (
        "MixedLM, random intercept",
        np.c_[np.ones(4), X_test] @ result.fe_params + effects[:, None],
    )


def error_rows(options):
    """Root mean squared error by model and number of ratings."""
    attributes, ratings = load_lenk()
    X_test, Y_test = attributes[16:], ratings[:, 16:]
    found, zeros = {}, {}
    for n_rows in options.ratings:
        for seed in range(options.draws):
            random = np.random.default_rng(seed)
            rows = np.array([random.permutation(16)[:n_rows] for _ in ratings])
            people = np.arange(len(ratings)).repeat(n_rows)
            X, Y = attributes[rows.ravel()], ratings[people, rows.ravel()]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = dict(peers(X, Y, people, X_test, Y_test))
                for name, predict, share in ours(X, Y, people, seed, options):
                    results[name] = predict(X_test).T
                    zeros[name] = share
            for name, predicted in results.items():
                error = np.sqrt(((predicted - Y_test) ** 2).mean())
                found.setdefault(name, {}).setdefault(n_rows, []).append(error)
    for name, errors in found.items():
        figures = [f"{np.mean(e):.3f} +- {np.std(e):.3f}" for e in errors.values()]
        yield [name, *figures, f"{zeros[name]:.2f}" if name in zeros else "-"]


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--draws", type=int)
    parser.add_argument("--max-iter", type=int)


def tables(options):
    """One."""
    header = ("model", *(f"{n} ratings" for n in options.ratings), "zeros (the last)")
    yield "lenk_computer, RMSE", header, error_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
