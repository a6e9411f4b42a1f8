"""Numbers beyond what a dtype can hold are refused with a reason, never turned into inf or NaN."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.preprocessing import scale

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

TOO_LARGE = "of the {} are not numbers that float32 can hold"


@pytest.fixture(scope="module")
def data():
    found = make_sparse_multitask(300, 60, n_latents=4, n_features=8, random_state=0)
    found.X = found.X.astype(np.float32)
    found.extreme = found.X.copy()
    found.extreme[7] = 3e38
    return found


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X).astype(np.float32), y


def model(**parameters):
    defaults = {"n_components": 4, "encoder": "linear", "max_iter": 3, "random_state": 0}
    return SparseDisentangledRepresentation(**{**defaults, **parameters})


def test_targets_that_the_dtype_of_x_cannot_hold_are_refused(data):
    large = data.Y * 1e39
    message = r"of 18000 values of Y are not numbers that float32 can hold.*pass X as float64"
    with pytest.raises(ValueError, match=message):
        model().fit(data.X, large)
    fitted = model().fit(data.X, data.Y)
    with pytest.raises(ValueError, match=message):
        fitted.adapt(data.X, large)
    precise = model().fit(data.X.astype(float), large)
    np.testing.assert_allclose(
        precise.predict(data.X.astype(float)) / 1e39,
        model().fit(data.X.astype(float), data.Y).predict(data.X.astype(float)),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize("by_task", [False, True])
def test_predictions_that_the_dtype_cannot_hold_are_refused(data, by_task):
    fitted = model().fit(data.X, data.Y * 1e37)
    rows = 1000 * data.X
    with pytest.raises(ValueError, match=TOO_LARGE.format("predictions")):
        fitted.predict(rows, task_id=np.zeros(300, int) if by_task else None)
    assert np.isfinite(fitted.predict(rows.astype(float))).all()


def test_components_that_the_dtype_cannot_hold_are_refused(data):
    fitted = model().fit(data.X / 100, data.Y)
    for method in (fitted.transform, fitted.predict):
        with pytest.raises(ValueError, match="4 of 1200 values " + TOO_LARGE.format("components")):
            method(data.extreme)
        with pytest.raises(ValueError, match="values of the components are not numbers"):
            method(1e300 * data.X.astype(float))  # the encoder computes in single precision


def test_components_of_a_rotation_that_the_dtype_cannot_hold_are_refused(data):
    rotation = SparseRotation(random_state=0)
    rotation.fit(data.Z.astype(np.float32) / 100, data.Y)
    large = np.full((5, 4), 3e38, np.float32)
    with pytest.raises(ValueError, match=TOO_LARGE.format("components")):
        rotation.transform(large)
    rotation.fit(data.Z.astype(np.float32) * 100, data.Y)
    with pytest.raises(ValueError, match=TOO_LARGE.format("features")):
        rotation.inverse_transform(large)


def test_scores_that_the_dtype_cannot_hold_are_refused(wine):
    X, y = wine
    fitted = GroupLassoSVC(0.01).fit(X / 100, y)
    assert fitted.coef_.dtype == np.float32
    large = np.sign(fitted.coef_[:1]) * np.float32(3e38)
    for method in (fitted.decision_function, fitted.predict):
        with pytest.raises(ValueError, match=TOO_LARGE.format("scores")):
            method(large)


def test_few_shot_features_that_the_dtype_cannot_hold_are_refused(wine):
    X, y = wine
    options = {"n_way": 2, "n_shot": 2, "n_query": 2, "hidden_layer_sizes": (), "random_state": 0}
    fitted = GroupLassoSVMMetaClassifier(4, max_iter=0, **options).fit(X / 100, y)
    rows = np.full_like(X, 3e38)
    for method in (fitted.transform, fitted.predict, fitted.predict_proba):
        with pytest.raises(ValueError, match=TOO_LARGE.format("features")):
            method(rows)
    with pytest.raises(ValueError, match=TOO_LARGE.format("features")):
        fitted.predict_episodes(X[None], y[None], rows[None])
