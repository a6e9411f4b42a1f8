"""What heads on components say about columns of X, and to whom they must say nothing."""

import pickle

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
)

RANDOM = np.random.default_rng(0)
INFORMATIVE = [0, 3, 4]
# in units of their own, far from zero
X = RANDOM.normal(size=(150, 8)) * np.geomspace(0.1, 10, 8) + np.arange(8) * 5
LATENTS = (X[:, INFORMATIVE] - X[:, INFORMATIVE].mean(0)) / X[:, INFORMATIVE].std(0)
Y = LATENTS @ RANDOM.normal(size=(3, 12)) * 3 + 7 + RANDOM.normal(size=(150, 12)) * 0.1
LABELS = np.array(["a", "b", "c"])[np.digitize(Y[:, 0], np.quantile(Y[:, 0], [0.3, 0.6]))]
TASK = np.arange(150) % 4
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier
SMALL = {"encoder": "linear", "max_iter": 30, "early_stopping": False, "random_state": 0}
pytestmark = [
    pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*use no feature:UserWarning"),
    pytest.mark.filterwarnings("ignore:n_components=10 exceeds the rank of X:UserWarning"),
]


def assert_columns_give(model, expected, rounding=1e-10):
    """Heads on columns give what is expected, up to rounding of numbers of its size."""
    found = (X @ model.coef_features_.T + model.intercept_features_).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding * np.abs(expected).max())


CASES = {
    "l1": Representation(3, **SMALL),
    "l0": Representation(3, penalty="l0", **SMALL),
    "mcp": Representation(3, penalty="mcp", **SMALL),
    "common head": Representation(3, common_head=True, **SMALL),
    "more components than columns": Representation(10, penalty="l2", **SMALL),
}


@pytest.mark.parametrize("name", CASES)
def test_heads_of_columns_predict_what_the_model_predicts(name):
    model = clone(CASES[name]).fit(X, Y)
    assert model.coef_features_.shape == (12, 8)
    assert_columns_give(model, model.predict(X))
    few = model.adapt(X[:50], Y[:50, :2], residual="linear")
    assert few.coef_features_.shape == (2, 8)
    assert_columns_give(few, few.predict(X))


def test_heads_of_columns_in_single_precision_and_other_layouts():
    model = Representation(3, **SMALL)
    single = clone(model).fit(X.astype(np.float32), Y.astype(np.float32))
    assert_columns_give(single, single.predict(X.astype(np.float32)), rounding=1e-6)
    flat = clone(model).fit(X, Y[:, 0])
    assert_columns_give(flat, flat.predict(X))
    tall = clone(model).fit(X, Y[np.arange(150), TASK], task_id=TASK)
    assert_columns_give(tall, tall.predict(X))


def test_heads_of_columns_give_log_odds_of_labels():
    model = Representation(3, loss="logistic", **SMALL).fit(X, Y > 7)
    log_odds = X @ model.coef_features_.T + model.intercept_features_
    np.testing.assert_allclose(expit(log_odds), model.predict(X), rtol=0, atol=1e-10)


def test_heads_of_columns_give_scores_of_classes():
    model = Classifier(5, **SMALL).fit(X, LABELS)
    assert_columns_give(model, model.decision_function(X))


@pytest.mark.parametrize("n_components", [2, 8])
def test_heads_of_columns_of_a_rotation(n_components):
    model = SparseRotation(n_components, random_state=0).fit(X, Y)
    expected = model.transform(X) @ model.coef_.T + model.intercept_
    assert_columns_give(model, expected)


def test_heads_of_columns_survive_files_and_pickles(tmp_path):
    model = Representation(3, penalty="l0", **SMALL).fit(X, Y)
    save_model(model, tmp_path / "model.safetensors")
    for copied in (load_model(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert (copied.coef_ == model.coef_).all()
        assert (copied.coef_features_ == model.coef_features_).all()


@pytest.mark.parametrize("encoder", ["mlp", "conv", lambda n, m: nn.Linear(n, m)])
@pytest.mark.parametrize("name", ["coef_features_", "intercept_features_"])
def test_other_encoders_have_none_and_say_why(encoder, name):
    model = Representation(3, **{**SMALL, "encoder": encoder, "max_iter": 2}, input_shape=(2, 4))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(model, name)
    model.fit(X, Y)
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=rf"no {name}: .*no linear map of X.*encoder=\"linear"):
        getattr(model, name)


SELECTORS = {
    "SelectFromModel": lambda model, **options: SelectFromModel(model, max_features=3, **options),
    "RFE": lambda model, **options: RFE(model, n_features_to_select=3, **options),
    "RFECV": lambda model, **options: RFECV(model, min_features_to_select=3, cv=2, **options),
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_selectors_of_features_take_heads_of_columns(selector):
    rows = (X - X.mean(0)) / X.std(0)
    model = Representation(3, **SMALL)
    select = SELECTORS[selector](model, importance_getter="coef_features_").fit(rows, Y)
    assert np.flatnonzero(select.get_support()).tolist() == INFORMATIVE


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("encoder", ["linear", "mlp"])
@pytest.mark.parametrize("n_components", [3, 8])
def test_selectors_of_features_do_not_take_components_for_columns(selector, encoder, n_components):
    settings = {**SMALL, "encoder": encoder, "max_iter": 2}
    select = SELECTORS[selector](Representation(n_components, **settings))
    reason = "coef_ of SparseDisentangledRepresentation weighs components.*coef_features_"
    with pytest.raises(TypeError, match=reason):
        select.fit(X, Y).get_support()


@pytest.mark.parametrize("model", [Classifier(8, **SMALL), SparseRotation(8, random_state=0)])
def test_selectors_of_features_do_not_take_components_of_others_either(model):
    y = LABELS if isinstance(model, Classifier) else Y
    select = SelectFromModel(model).fit(X, y)
    with pytest.raises(TypeError, match=f"coef_ of {type(model).__name__} weighs components"):
        select.get_support()
    select.set_params(importance_getter="coef_features_", max_features=3, threshold=-np.inf)
    assert select.fit(X, y).get_support().sum() == 3


def test_selectors_of_features_say_what_a_network_lacks():
    settings = {**SMALL, "encoder": "mlp", "max_iter": 2}
    select = SelectFromModel(Representation(3, **settings), importance_getter="coef_features_")
    with pytest.raises(AttributeError, match="no linear map of X"):
        select.fit(X, Y).get_support()


def test_weights_of_columns_are_taken_as_they_are():
    select = SelectFromModel(GroupLassoSVC(group_reg=0.5)).fit((X - X.mean(0)) / X.std(0), LABELS)
    assert select.get_support().any()


@pytest.mark.parametrize("reader", ["shap.explainers._linear", "sklearn.feature_selection._base"])
def test_who_reads_weights_of_columns_is_told(reader):
    model = Representation(3, **SMALL).fit(X, Y)
    read = eval("lambda model: model.coef_", {"__name__": reader})
    with pytest.raises(TypeError, match=rf"columns of X, as {reader} does"):
        read(model)
    others = eval("lambda model: model.coef_", {"__name__": "shapely"})
    assert others(model) is model.coef_
