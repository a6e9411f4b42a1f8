"""Whatever goes in: a fit with finite output of the promised shape, or an error of ours."""

import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import nn

import sklearn_sparsedis
from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)

HOMES = tuple(str(Path(package.__file__).parent) for package in (sklearn_sparsedis, sklearn))
# values that no parameter but `encoder`, `callbacks` and `random_state` could take
NONSENSE = ["nonsense", -1, float("nan"), [], {}, object(), 1e400, True, None, "", -0.5, 10**30]


def numbers(kind, shape, start):
    """Array of one of the kinds of numbers that tables hold."""
    random = np.random.default_rng(start)
    values = random.normal(size=shape)
    if kind in ("nan", "inf") and values.size:
        values.flat[random.integers(values.size)] = np.nan if kind == "nan" else np.inf
    return {
        "constant": lambda: np.full(shape, 3.0),
        "zeros": lambda: np.zeros(shape),
        "repeated": lambda: np.round(values),
        "one hot": lambda: (values > 0.8).astype(float),
        "large": lambda: 1e6 + values,
        "huge": lambda: 1e300 * values,
        "tiny": lambda: 1e-300 * values,
        "mixed": lambda: values * 10.0 ** random.integers(-200, 200, size=shape),
        "low rank": lambda: np.multiply.outer(values[:, 0], np.arange(1.0, shape[-1] + 1)),
        "integer": lambda: random.integers(-5, 5, size=shape),
        "bool": lambda: values > 0,
    }.get(kind, lambda: values)()


def matrix(x):
    """One column where there are none to see."""
    return x if x.ndim == 2 else x[:, None]


KINDS = ["normal"] * 40 + ["constant", "zeros", "repeated", "one hot", "large", "huge", "tiny"]
KINDS += ["mixed", "integer", "bool", "nan", "inf"]
TABLES = [*KINDS, *["low rank"] * 8]
DTYPES = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "list": lambda x: x.tolist(),
    "frame": lambda x: pd.DataFrame(matrix(x)),
    "named frame": lambda x: pd.DataFrame(matrix(x)).add_prefix("column "),
    "sparse": lambda x: csr_array(matrix(x)),
    "object": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "complex": lambda x: x.astype(complex),
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "masked": lambda x: np.ma.masked_array(x, x > 1),
    "polars": lambda x: pl.DataFrame(matrix(x)),
    "arrow": lambda x: pa.table({f"column {j}": y for j, y in enumerate(matrix(x).T)}),
    "series": lambda x: pd.Series(x.ravel()[: len(x)], name="column"),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: x if x.setflags(write=False) else x,
    "tensor": lambda x: torch.tensor(x),
    "3-d": lambda x: x[..., None],
    "1-d": lambda x: x.ravel()[: len(x)],
}
FORMS = ["float64"] * 40 + ["float32"] * 10 + list(DTYPES)


@st.composite
def tables(draw, n):
    kind, form = draw(st.sampled_from(TABLES)), draw(st.sampled_from(FORMS))
    d = draw(st.sampled_from([1, 2, 3, 4, 4, 4, 4, 6, 6, 6, 6, 6, 9, 9, 0]))
    kind = kind if d else "normal"
    x = numbers(kind, (n, d), draw(st.integers(0, 99)))
    with np.errstate(over="ignore"):
        return DTYPES[form](x)


@st.composite
def columns(draw, n, width=None):
    """Targets, weights or task names of n rows, or nearly."""
    n = max(0, n + draw(st.sampled_from([0] * 60 + [-1, 1])))
    shape = (n,) if width is None else (n, width)
    x = numbers(draw(st.sampled_from(KINDS)), shape, draw(st.integers(0, 99)))
    form = draw(st.sampled_from(["float64"] * 60 + list(DTYPES)))
    with np.errstate(over="ignore"):
        return DTYPES[form](x)


@st.composite
def labels(draw, n):
    n = max(0, n + draw(st.sampled_from([0] * 60 + [-1, 1])))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    y = random.integers(draw(st.sampled_from([2, 2, 2, 3, 3, 3, 3, 5, 5, 5, 1])), size=n)
    kind = draw(st.sampled_from(["int"] * 8 + ["text", "object", "float", "bool", "list", "2-d"]))
    kind = draw(st.sampled_from([kind] * 16 + ["real", "nan", "none", "mixed"]))
    return {
        "text": lambda: np.array(["a", "b", "c", "d", "e"])[y],
        "object": lambda: np.array(["a", "b", "c", "d", "e"], dtype=object)[y],
        "float": lambda: y.astype(float),
        "bool": lambda: y > 0,
        "list": lambda: y.tolist(),
        "2-d": lambda: y[:, None],
        "real": lambda: y + 0.5 * random.normal(size=n),
        "nan": lambda: np.where(y == 0, np.nan, y),
        "none": lambda: None,
        "mixed": lambda: np.array(["a", 1, None, 2.5, "b"], dtype=object)[y],
    }.get(kind, lambda: y)()


@st.composite
def parameters(draw, valid):
    """Values of parameters, now and then one that makes no sense."""
    names = draw(st.lists(st.sampled_from(sorted(valid)), unique=True, max_size=4))
    chosen = {name: draw(st.sampled_from(valid[name])) for name in names}
    if draw(st.integers(0, 9)) == 0:
        chosen[draw(st.sampled_from(sorted(valid)))] = draw(st.sampled_from(NONSENSE))
    return chosen


MISSING = [1, 1, -1, -2]
ROWS = st.sampled_from([12, 20, 20, 30, 30, 30, 30, 30, 40, 110, 5, 3, 2, 1, 0])


def attempt(action):
    """Result of an action, None where it raises an error of ours; any other error is a defect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return action()
        except (ValueError, TypeError) as error:
            refusal = error
    last = traceback.extract_tb(refusal.__traceback__)[-1]
    ours = last.filename.startswith(HOMES[0]) and str(last.line).startswith("raise")
    assert ours or last.filename.startswith(HOMES[1]), f"the error is not ours: {refusal}"
    assert len(str(refusal)) > 10, "the error says nothing"
    return None


def dtype_of(X):
    dtype = getattr(X, "dtype", None)
    return np.dtype(np.float32 if str(dtype) in ("float32", "torch.float32") else np.float64)


def check_output(found, shape, dtype=None):
    assert found.shape == shape
    if found.dtype.kind == "f":
        assert np.isfinite(found).all()
    if dtype is not None:
        assert found.dtype == dtype


def check_attributes(model):
    for name, value in vars(model).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name != "classes_":
            assert np.isfinite(value).all(), name


TRAINED = {
    "n_components": [1, 2, 3, 8],
    "hidden_layer_sizes": [(), (4,), [3, 3], np.array([4])],
    "input_shape": [None, (3, 3), (2, 3), (1, 1), (3, 1, 3), (0, 0)],
    "max_iter": [0, 1, 2, 5],
    "learning_rate": [1e-3, 1.0, 1e10, 1e300],
    "optimizer": ["adam", "adamw", "sgd"],
    "weight_decay": [0.0, 0.1, 100.0],
    "n_init": [1, 2],
    "early_stopping": [True, False, "auto"],
    "validation_fraction": [0.1, 0.5, 0.99],
    "n_iter_no_change": [None, 1, 100],
    "tol": [1e-13, 1e-10, 1e-6, 1.0],
    "warm_start": [True, False],
    "callbacks": [None, [], ()],
    "device": ["cpu", "auto", "meta", torch.device("cpu")],
    "random_state": [0, None, np.random.RandomState(0)],
    "verbose": [False],
}
REPRESENTATION = {
    **TRAINED,
    "encoder": ["linear", "mlp", "conv", lambda n, m: nn.Linear(n, m), nn.Linear(4, 3), nn.ReLU()],
    "penalty": ["elasticnet", "l0", "l1", "l2", "mcp"],
    "l1_ratio": [0.1, 1.0],
    "alpha": [0.0, 0.05, 0.5, 1.0, 100],
    "alpha_mode": ["relative", "absolute"],
    "common_head": [False, False, True],
    "loss": ["squared_error", "huber", "huber", "auto", "logistic", {0: "auto"}, {0: "huber"}],
    "class_weight": [None, "balanced"],
    "task_of_output": [None, None, ["a"] * 2, ["a", "b", "a", "b", "b"], list(range(12))],
    "query_fraction": [None, 0.3, 0.99],
    "batch_size": [2, 5, 1024],
    "tasks_per_batch": [None, 1, 3, 100],
}
CLASSIFIER = {
    **TRAINED,
    "encoder": ["linear", "mlp", "conv", "conv4", lambda n, m: nn.Linear(n, m), nn.Linear(4, 3)],
    "head": ["group_lasso_svm", "svm", "ridge", "prototype", "sparse_prototype", "logistic"],
    "group_reg": [0.0, 0.1, 1.0, 1e10],
    "l2_reg": [1e-6, 0.15, 1e10],
    "fit_intercept": [True, False],
    "n_way": [2, 3, 10],
    "n_shot": [1, 5],
    "n_query": [1, 5],
    "episodes_per_batch": [1, 3],
    "label_smoothing": [0.0, 0.5],
    "rotations": [True, False],
}
SVC = {
    "group_reg": [0.0, 0.1, 1.0, 100.0],
    "group_reg_mode": ["relative", "absolute"],
    "l2_reg": [1e-8, 1.0, 1e8],
    "fit_intercept": [True, False],
    "class_weight": [None, "balanced", {0: 1.0, 1: 2.0}, {0: 0.0, 1: 1.0}],
    "tol": [1e-13, 1e-6, 1.0],
    "max_iter": [1, 10, 100],
    "device": ["cpu", "auto", "meta"],
}
ROTATION = {
    "n_components": [None, 1, 2, 3, 8],
    "n_init": [1, 2, 4],
    "device": ["cpu", "auto", "meta"],
    "random_state": [0, None, np.random.RandomState(0)],
}


@st.composite
def multitask(draw, valid):
    """Parameters, X, Y and metadata of a fit to tasks."""
    n = draw(ROWS)
    X = draw(tables(n))
    if draw(st.booleans()):
        Y = draw(columns(n, draw(st.sampled_from([1, 2, 5, 5, 12, 12, 12, 0]))))
    else:
        Y = draw(columns(n))
    if draw(st.integers(0, 2)) == 0 and isinstance(Y, np.ndarray) and Y.dtype == float and Y.size:
        # a label in six is missing, or all but one in six or fifty
        Y = np.where(numbers("normal", Y.shape, 5) > draw(st.sampled_from(MISSING)), np.nan, Y)
    metadata = {}
    if draw(st.integers(0, 2)) == 0:
        metadata["task_id"] = draw(st.one_of(labels(n), columns(n)))
    if draw(st.integers(0, 3)) == 0 and valid is REPRESENTATION:
        weights = draw(columns(n))
        if isinstance(weights, np.ndarray) and weights.dtype == float and draw(st.integers(0, 9)):
            weights = np.abs(weights)
        metadata["sample_weight"] = weights
    return draw(parameters(valid)), X, Y, metadata


@st.composite
def classes(draw, valid):
    """Parameters, X, y and metadata of a fit to classes."""
    n = draw(ROWS)
    metadata = {}
    if draw(st.integers(0, 2)) == 0 and valid is SVC:
        weights = draw(columns(n))
        if isinstance(weights, np.ndarray) and weights.dtype == float and draw(st.integers(0, 9)):
            weights = np.abs(weights)
        metadata["sample_weight"] = weights
    return draw(parameters(valid)), draw(tables(n)), draw(labels(n)), metadata


def check_representation(case):
    params, X, Y, metadata = case
    base = {"max_iter": 2, "hidden_layer_sizes": (4,), "n_components": 3, "random_state": 0}
    model = SparseDisentangledRepresentation(**{**base, **params})
    if attempt(lambda: model.fit(X, Y, **metadata)) is None:
        assert not hasattr(model, "encoder_")
        return
    n, m = len(np.asarray(X)) if not hasattr(X, "shape") else X.shape[0], model.n_components
    check_attributes(model)
    check_output(model.transform(X), (n, m), dtype_of(X))
    flat = model._layout != "wide" and len(model.tasks_) == 1
    check_output(model.predict(X), (n,) if flat else (n, len(model.tasks_)), dtype_of(X))
    assert model.coef_.shape == (len(model.tasks_), m)
    if metadata.get("task_id") is not None:
        assert model.predict(X, task_id=metadata["task_id"]).shape == (n,)
    attempt(lambda: model.score(X, Y, **metadata))
    attempt(lambda: model.adapt(X, Y, **metadata))


def check_meta_classifier(case):
    params, X, y, _ = case
    base = {"max_iter": 2, "hidden_layer_sizes": (4,), "n_components": 3, "random_state": 0}
    model = GroupLassoSVMMetaClassifier(**{**base, **params})
    if attempt(lambda: model.fit(X, y)) is None:
        assert not hasattr(model, "encoder_")
        return
    n, k = len(np.asarray(y)), len(model.classes_)
    check_attributes(model)
    check_output(model.transform(X), (n, model.coef_.shape[1]), dtype_of(X))
    check_output(model.predict_proba(X), (n, k))
    check_output(model.decision_function(X), (n,) if k == 2 else (n, k))
    assert set(model.predict(X)) <= set(model.classes_)
    attempt(lambda: model.adapt(X, y))


def check_svc(case):
    params, X, y, metadata = case
    model = GroupLassoSVC(**{"max_iter": 10, **params})
    if attempt(lambda: model.fit(X, y, **metadata)) is None:
        assert not hasattr(model, "coef_")
        return
    n, k = len(np.asarray(y)), len(model.classes_)
    check_attributes(model)
    check_output(model.decision_function(X), (n,) if k == 2 else (n, k), dtype_of(X))
    assert set(model.predict(X)) <= set(model.classes_)


def check_rotation(case):
    params, X, Y, metadata = case
    model = SparseRotation(**{"n_init": 2, "random_state": 0, **params})
    if attempt(lambda: model.fit(X, Y, **metadata)) is None:
        assert not hasattr(model, "rotation_")
        return
    n = len(np.asarray(X)) if not hasattr(X, "shape") else X.shape[0]
    check_attributes(model)
    Z = model.transform(X)
    check_output(Z, (n, len(model.rotation_)), dtype_of(X))
    check_output(model.inverse_transform(Z), (n, model.n_features_in_), dtype_of(X))


CHECKS = {
    "SparseDisentangledRepresentation": (check_representation, multitask(REPRESENTATION)),
    "GroupLassoSVMMetaClassifier": (check_meta_classifier, classes(CLASSIFIER)),
    "GroupLassoSVC": (check_svc, classes(SVC)),
    "SparseRotation": (check_rotation, multitask(ROTATION)),
}


# ten seeds of 300 fits each, of which `make test-slow-sample` takes one
MANY = [pytest.param(seed, 300, marks=pytest.mark.slow) for seed in range(1, 11)]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(("start", "n_examples"), [(0, 40), *MANY])
def test_it_fits_or_says_why_not(name, start, n_examples):
    check, cases = CHECKS[name]

    @seed(start)
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def run(case):
        check(case)

    run()


# what the random inputs found, by name
FOUND = [
    ({"learning_rate": 1e300}, {}, "learning_rate must be in"),
    ({"weight_decay": 1e300}, {}, "weight_decay must be in"),
    ({"hidden_layer_sizes": 5}, {}, "hidden_layer_sizes must be a sequence of integers, got 5"),
    ({"input_shape": "8x8"}, {}, "input_shape must be a sequence of integers or None"),
    ({"max_iter": 10**30}, {}, "max_iter must be at most 2147483647"),
    ({"random_state": -1}, {}, "random_state must be an integer in"),
    ({"device": "meta"}, {}, "device='meta' cannot be used here: it holds no values"),
    ({"device": 10**30}, {}, "device=1000000000000000000000000000000 cannot be used here"),
    ({"callbacks": {"a": 1}}, {}, "callbacks must be skorch callbacks"),
    ({}, {"X": np.full((12, 2), 1e200)}, "X has values up to .* whose squares float64"),
]


@pytest.mark.parametrize(("params", "data", "message"), FOUND)
@pytest.mark.parametrize("kind", [SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier])
def test_trained_estimators_refuse_what_was_found(kind, params, data, message):
    X, y = data.get("X", numbers("normal", (12, 2), 0)), np.arange(12) % 2
    with pytest.raises((ValueError, TypeError), match=message):
        kind(3, **params).fit(X, y)


def test_an_encoder_without_weights_is_refused():
    model = SparseDisentangledRepresentation(2, encoder=nn.ReLU())
    with pytest.raises(ValueError, match=r"encoder has no parameters to be trained: ReLU\(\)"):
        model.fit(np.eye(12)[:, :2], np.arange(12.0))


def test_other_defects_that_were_found():
    X, y = numbers("normal", (12, 2), 0), np.array(["a", 1] * 6, dtype=object)
    for model in (GroupLassoSVC(), GroupLassoSVMMetaClassifier(2, max_iter=1)):
        with pytest.raises(TypeError, match="y must have values of one kind.*got int, str"):
            model.fit(X, y)
    for model in (SparseRotation(), SparseDisentangledRepresentation(2, max_iter=1)):
        with pytest.raises(TypeError, match="task_id must have values of one kind"):
            model.fit(X, X[:, 0], task_id=y)
        with pytest.raises(ValueError, match="task_id contains NaN"):
            model.fit(X, X[:, 0], task_id=np.full(12, np.nan))
    with pytest.raises(
        ValueError, match='n_components must be "auto", None or a positive int, got True'
    ):
        SparseRotation(True).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="F has values up to"):
        SparseRotation().fit(1e200 * X, X[:, 0])
    with pytest.raises(ValueError, match="X has values up to"):
        GroupLassoSVC().fit(1e200 * X, X[:, 0] > 0)
    assert np.isfinite(GroupLassoSVC(l2_reg=10**30, group_reg=0.0).fit(X, X[:, 0] > 0).coef_).all()


def test_a_scale_that_ran_away_gives_no_probabilities_that_are_no_numbers():
    X, y = numbers("normal", (12, 6), 0), np.arange(12) % 3
    model = GroupLassoSVMMetaClassifier(2, head="prototype", max_iter=1, random_state=0).fit(X, y)
    model.scale_ = 1e300
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
