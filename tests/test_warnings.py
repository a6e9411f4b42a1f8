"""Warnings name the line of the caller, however deep in the package they arise."""

import io
import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
)
from sklearn_sparsedis._warnings import muted, warn_caller
from sklearn_sparsedis.exceptions import VersionMismatchWarning
from sklearn_sparsedis.model_selection import evaluate_episodes
from sklearn_sparsedis.solvers import _parts

random = np.random.default_rng(0)
X = random.standard_normal((60, 5))
Y = X @ random.standard_normal((5, 3))
y = (Y[:, 0] > 0).astype(int)
labels = (Y > 0).astype(float)
constant = np.ones((60, 1))
small = {"encoder": "linear", "max_iter": 1, "random_state": 0}
svc = GroupLassoSVC(max_iter=1)
values = SparseDisentangledRepresentation(2, **small)
binary = SparseDisentangledRepresentation(2, loss="logistic", **small)
sparsest = SparseDisentangledRepresentation(2, penalty="l0", **small)
episodes = {"n_way": 2, "n_shot": 1, "n_query": 2, "hidden_layer_sizes": (), "random_state": 0}
few = GroupLassoSVMMetaClassifier(2, group_reg=1.5, max_iter=0, **episodes)
short = {"n_way": 2, "n_query": 2, "n_episodes": 3}


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "values": values.fit(X, Y),
            "binary": binary.fit(X, labels),
            "few": few.fit(X, y),
            "svc": GroupLassoSVC().fit(X, y),
        }


def elsewhere(model):
    """A model that was fitted on an accelerator which this machine lacks."""
    return pickle.loads(pickle.dumps(model)).set_params(device="xpu:7")


def old(model):
    """Pickle of another version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["sklearn_sparsedis.estimators._base"], "__version__", "0.0.1")
        return pickle.dumps(model)


def old_file(model, path):
    """File of another version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["sklearn_sparsedis.storage._file"], "__version__", "0.0.1")
        save_model(model, path)
    return path


def old_dump(model):
    """File of joblib with the pickle of another version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["sklearn_sparsedis.estimators._base"], "__version__", "0.0.1")
        joblib.dump(model, file := io.BytesIO())
    file.seek(0)
    return file


def search():
    return GridSearchCV(GroupLassoSVC(max_iter=1), {"tol": [1e-9]}, cv=2)


def halves():
    """Problems of which memory holds half at a time."""

    def solve(part):
        if part.stop - part.start > 4:
            raise MemoryError
        return part

    return solve


def scaled():
    return make_pipeline(StandardScaler(), svc)


# what is called on one line, and what it warns of
CASES = [
    (lambda f: svc.fit(X, y), ConvergenceWarning, "stopped at a relative duality gap"),
    (lambda f: GroupLassoSVC(1.5).fit(X, y), UserWarning, "No feature is in use"),
    (lambda f: scaled().fit(X, y), ConvergenceWarning, "stopped at a relative duality gap"),
    (lambda f: search().fit(X, y), ConvergenceWarning, "stopped at a relative duality gap"),
    (lambda f: SparseRotation().fit(X, Y), UserWarning, "Not every component is determined"),
    (lambda f: sparsest.fit(X, Y), UserWarning, "Not every component is determined"),
    (lambda f: sparsest.fit_transform(X, Y), UserWarning, "Not every component is determined"),
    (
        lambda f: f["binary"].adapt(X, constant, prior=None),
        UserWarning,
        "labels of one kind only",
    ),
    (lambda f: f["binary"].adapt(X, constant), UserWarning, "labels that are all equal"),
    (lambda f: f["values"].score(X[:1], Y[:1]), UndefinedMetricWarning, "is not defined"),
    (lambda f: elsewhere(f["values"]).predict(X), UserWarning, "which this model was fitted with"),
    (lambda f: elsewhere(f["values"]).transform(X), UserWarning, "which this model was fitted"),
    (lambda f: elsewhere(f["few"]).predict_proba(X), UserWarning, "which this model was fitted"),
    (lambda f: few.fit(X, y), UserWarning, "1 of 1 heads use no feature"),
    (lambda f: f["few"].adapt(X, y), UserWarning, "1 of 1 heads use no feature"),
    (lambda f: f["few"].predict_episodes(X[None], y[None], X[None]), UserWarning, "1 of 1 heads"),
    (lambda f: f["few"].score_episodes(X, y, **short), UserWarning, "3 of 3 heads use no feature"),
    (lambda f: evaluate_episodes(f["few"], X, y, **short), UserWarning, "3 of 3 heads"),
    (lambda f: pickle.loads(old(f["svc"])), VersionMismatchWarning, "stored by sklearn_sparsedis"),
    (lambda f: joblib.load(old_dump(f["svc"])), VersionMismatchWarning, "stored by sklearn_sp"),
    (lambda f: load_model(f["old file"]), VersionMismatchWarning, "stored by sklearn_sparsedis"),
    (lambda f: _parts.solve_each_part(halves(), [slice(0, 8)]), UserWarning, "Memory ran out"),
]


@pytest.mark.parametrize(("call", "category", "message"), CASES)
def test_warnings_name_the_line_of_the_caller(fitted, tmp_path, call, category, message):
    fitted = {**fitted, "old file": old_file(fitted["svc"], tmp_path / "model")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(fitted)
    found = [w for w in caught if message in str(w.message)]
    assert found
    for warning in found:
        assert warning.category is category
        assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno)


def test_warnings_of_a_thread_name_the_line_that_the_thread_runs():
    def call():
        return svc.fit(X, y)

    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        pool.submit(call).result()
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno + 1)


def test_one_thread_is_muted_and_no_other():
    before = list(warnings.filters)
    with ThreadPoolExecutor(1) as pool, muted():
        warn_caller("is not heard")
        with pytest.warns(UserWarning, match="is heard"):
            pool.submit(warn_caller, "is heard").result()
        assert warnings.filters == before
    with pytest.warns(UserWarning, match="is heard"):
        warn_caller("is heard")
