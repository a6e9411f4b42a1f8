"""Fits of many settings, written to a file, so that a change of structure can be shown to be none.

From the root of a checkout, before and after the change:

    python tests/recorded_fits.py record before.npz
    python tests/recorded_fits.py compare before.npz

The second command fits everything again. It prints the largest difference of each setting and
fails where one exceeds the tolerance, which is zero unless ``--tol`` says otherwise.
"""

import argparse
import sys
import warnings

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

RECORDED = ("coef_", "intercept_", "support_", "alpha_max_", "loss_curve_", "rotation_", "scores_")


def _data(seed=0, n=240, tasks=12, **options):
    return make_sparse_multitask(n, tasks, noise=0.3, random_state=seed, **options)


def _missing(Y, share=0.4, seed=0):
    Y = Y.copy()
    Y[np.random.default_rng(seed).random(Y.shape) < share] = np.nan
    return Y


def _labels(Y):
    return (np.nanmedian(Y, axis=0) < Y).astype(float)


def _long(data, seed=0):
    task = np.random.default_rng(seed).integers(data.Y.shape[1], size=len(data.X))
    return data.Y[np.arange(len(data.X)), task], task


def _sparse(Y, seed=0):
    kept = np.random.default_rng(seed).random(Y.shape) < 0.5
    row, column = np.nonzero(kept)
    return csr_array((Y[kept], (row, column)), shape=Y.shape)


def _module(n_features, n_components):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n_features, 16), nn.ReLU(), nn.Linear(16, n_components))


def _representation(**options):
    fixed = {"encoder": "linear", "max_iter": 40, "random_state": 0, "device": "cpu"}
    return SparseDisentangledRepresentation(6, **{**fixed, **options})


def _fit(Y=None, *, X=None, seed=0, fit=None, **options):
    data = _data(seed)
    Y, X = data.Y if Y is None else Y(data), data.X if X is None else X(data)
    return _representation(**options).fit(X, Y, **(fit or {})), X


def _adapt(Y, **options):
    data = _data()
    model = _representation(**options).fit(data.X, data.Y[:, :8])
    return model.adapt(data.X[:60], Y(data)[:60, 8:]), data.X


def _continued(**options):
    data = _data()
    model = _representation(warm_start=True, **options)
    return model.fit(data.X, data.Y).fit(data.X, data.Y), data.X


def _partial(**options):
    data = _data()
    model = _representation(batch_size=60, **options)
    return model.partial_fit(data.X, data.Y).partial_fit(data.X[:100], data.Y[:100]), data.X


def _long_layout(**options):
    data = _data()
    y, task = _long(data)
    return _representation(**options).fit(data.X, y, task_id=task), data.X


def _images(**options):
    X, y = load_digits(return_X_y=True)
    X = X[:200] / 16
    Y = np.stack([y[:200] == k for k in range(4)], 1).astype(float)
    model = _representation(encoder="conv", input_shape=(8, 8), max_iter=4, **options)
    return model.fit(X, Y), X


def _rotation(Y=None, *, fit=None, n_components=None, **options):
    data = _data(**options)
    Y = data.Y if Y is None else Y(data)
    return SparseRotation(n_components, random_state=0).fit(data.X, Y, **(fit or {})), data.X


def _rotation_long():
    data = _data(n=1200)
    y, task = _long(data)
    return SparseRotation(random_state=0).fit(data.X, y, task_id=task), data.X


def _rotation_partial():
    data = _data()
    model = SparseRotation(random_state=0).partial_fit(data.X[:150], data.Y[:150])
    return model.partial_fit(data.X[150:], data.Y[150:]), data.X


def _svc(k=3, **options):
    X, y = load_digits(return_X_y=True)
    chosen = np.flatnonzero(y < k)[:60]
    return GroupLassoSVC(**options).fit(X[chosen] / 16, y[chosen]), X[chosen] / 16


def _meta(**options):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    fixed = {"n_components": 12, "max_iter": 6, "random_state": 0, "n_way": 3, "n_shot": 2}
    model = GroupLassoSVMMetaClassifier(**{**fixed, **options})
    return model.fit(X, y), X


def _weights(n=240):
    return np.random.default_rng(1).integers(0, 3, n).astype(float)


SETTINGS = {
    "l1": lambda: _fit(),
    "l1, other seeds": lambda: _fit(seed=3, random_state=5),
    "l1, float32": lambda: _fit(X=lambda d: d.X.astype(np.float32)),
    "l1, perceptron": lambda: _fit(encoder="mlp", hidden_layer_sizes=(20,)),
    "l1, module": lambda: _fit(encoder=_module),
    "l1, images": _images,
    "l1, absolute alpha": lambda: _fit(alpha=0.1, alpha_mode="absolute"),
    "l1, two starts": lambda: _fit(n_init=2, early_stopping=False),
    "l1, weights of rows": lambda: _fit(fit={"sample_weight": _weights()}),
    "l1, query rows": lambda: _fit(query_fraction=0.3, batch_size=100),
    "l1, missing labels": lambda: _fit(lambda d: _missing(d.Y)),
    "l1, sparse targets": lambda: _fit(lambda d: _sparse(d.Y)),
    "l1, tasks drawn": lambda: _fit(lambda d: _missing(d.Y), tasks_per_batch=4, batch_size=64),
    "l1, long": lambda: _long_layout(),
    "l1, one column": lambda: _fit(lambda d: d.Y[:, 0]),
    "l1, outputs": lambda: _fit(task_of_output=np.repeat(np.arange(4), 3)),
    "l1, common head": lambda: _fit(common_head=True),
    "l1, common head, long": lambda: _long_layout(common_head=True),
    "l1, no early stopping": lambda: _fit(early_stopping=False, batch_size=64),
    "l1, warm start": lambda: _continued(),
    "l1, partial fit": lambda: _partial(),
    "l1, adapted": lambda: _adapt(lambda d: d.Y),
    "l1, adapted, missing": lambda: _adapt(lambda d: _missing(d.Y)),
    "l1, adapted, common head": lambda: _adapt(lambda d: d.Y, common_head=True),
    "l1, logistic": lambda: _fit(lambda d: _labels(d.Y), loss="logistic", max_iter=10),
    "l1, logistic, balanced": lambda: _fit(
        lambda d: _missing(_labels(d.Y)), loss="logistic", class_weight="balanced", max_iter=6
    ),
    "l1, both losses": lambda: _fit(
        lambda d: np.hstack([_labels(d.Y[:, :6]), d.Y[:, 6:]]), loss="auto", max_iter=10
    ),
    "l1, adapted, logistic": lambda: _adapt(
        lambda d: np.hstack([d.Y[:, :8], _labels(d.Y[:, 8:])]), loss="auto"
    ),
    "l2": lambda: _fit(penalty="l2"),
    "l2, perceptron, sgd": lambda: _fit(penalty="l2", encoder="mlp", optimizer="sgd"),
    "l2, missing labels": lambda: _fit(lambda d: _missing(d.Y), penalty="l2"),
    "l2, common head": lambda: _fit(penalty="l2", common_head=True),
    "l2, logistic": lambda: _fit(lambda d: _labels(d.Y), penalty="l2", loss="logistic", max_iter=6),
    "mcp": lambda: _fit(penalty="mcp"),
    "mcp, missing labels": lambda: _fit(lambda d: _missing(d.Y), penalty="mcp"),
    "l0": lambda: _fit(penalty="l0"),
    "l0, missing labels": lambda: _fit(lambda d: _missing(d.Y), penalty="l0"),
    "l0, weights of rows": lambda: _fit(penalty="l0", fit={"sample_weight": _weights()}),
    "l0, adapted": lambda: _adapt(lambda d: d.Y, penalty="l0"),
    "l0, partial fit": lambda: _partial(penalty="l0"),
    "rotation": lambda: _rotation(),
    "rotation, correlated": lambda: _rotation(correlation=0.9, tasks=40),
    "rotation, four components": lambda: _rotation(n_components=4),
    "rotation, missing labels": lambda: _rotation(lambda d: _missing(d.Y)),
    "rotation, long": _rotation_long,
    "rotation, partial fit": _rotation_partial,
    "SVC": lambda: _svc(),
    "SVC, two classes": lambda: _svc(2, group_reg=0.3),
    "few-shot": lambda: _meta(),
    "few-shot, svm": lambda: _meta(head="svm"),
    "few-shot, ridge": lambda: _meta(head="ridge"),
    "few-shot, prototype": lambda: _meta(head="prototype"),
    "few-shot, logistic": lambda: _meta(head="logistic"),
    "few-shot, images": lambda: _meta(encoder="conv", input_shape=(8, 8), rotations=True),
}


def _numbers(model, X):
    found = {name: getattr(model, name) for name in RECORDED if hasattr(model, name)}
    for method in ("transform", "predict"):
        if hasattr(model, method):
            found[method] = getattr(model, method)(X)
    return {name: np.asarray(value) for name, value in found.items() if value is not None}


def record(names):
    """Numbers of the settings of these names, by setting and name."""
    found = {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, X = SETTINGS[name]()
        found |= {f"{name}: {key}": value for key, value in _numbers(model, X).items()}
    return found


def _difference(before, after):
    """Largest difference relative to the largest value; infinite where shapes differ."""
    if before.shape != after.shape:
        return np.inf
    if before.dtype.kind not in "fc":
        return float((before != after).any())
    if np.array_equal(before, after, equal_nan=True):
        return 0.0
    return float(np.abs(before - after).max() / max(np.abs(before).max(), 1e-300))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file")
    parser.add_argument("--tol", type=float, default=0.0)
    parser.add_argument("--only", default="", help="part of the names of the settings to fit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in SETTINGS if options.only in name]
    found = record(names)
    if options.action == "record":
        np.savez_compressed(options.file, **found)
        return 0
    stored, worst = dict(np.load(options.file)), {}
    for key, after in found.items():
        name = key.split(": ")[0]
        before = stored.get(key)
        difference = np.inf if before is None else _difference(before, after)
        worst[name] = max(worst.get(name, 0.0), difference)
    for name, difference in worst.items():
        sys.stdout.write(f"{difference:.1e}  {name}\n")
    return int(max(worst.values()) > options.tol)


if __name__ == "__main__":
    sys.exit(main())
