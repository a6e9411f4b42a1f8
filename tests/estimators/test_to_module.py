"""The module of a fitted model predicts what the model predicts."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

DATA = make_sparse_multitask(120, 12, n_latents=3, n_features=9, random_state=0)
X, Y = DATA.X, DATA.Y.copy()
Y[:, 0] = Y[:, 0] > 0  # a binary task among others
LABELS = np.array(["a", "b", "c"])[np.digitize(Y[:, 1], np.quantile(Y[:, 1], [0.3, 0.6]))]
SMALL = {"max_iter": 4, "random_state": 0}
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier
NETWORK = nn.Sequential(nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3))
MODELS = {
    "mlp": Representation(3, hidden_layer_sizes=(8,), loss="auto", **SMALL),
    "linear": Representation(3, encoder="linear", loss="auto", **SMALL),
    "conv": Representation(3, encoder="conv", input_shape=(3, 3), **SMALL),
    "own": Representation(3, encoder=NETWORK, **SMALL),
    "l0": Representation(3, penalty="l0", encoder="linear", **SMALL),
    "rotation": SparseRotation(3, random_state=0),
}
CLASSIFIERS = {
    "svc": GroupLassoSVC(),
    "few-shot": Classifier(8, hidden_layer_sizes=(8,), **SMALL),
    "few-shot images": Classifier(8, encoder="conv4", input_shape=(3, 3), **SMALL),
}
pytestmark = pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")


def called(module, rows):
    with torch.no_grad():
        return module(torch.from_numpy(rows)).numpy()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", MODELS)
def test_the_predictions_are_those_of_the_model(name, dtype):
    rows = X.astype(dtype)
    model = MODELS[name].fit(rows, Y)
    extremes = np.vstack([rows, 30 * rows[:3]])  # components beyond those of the fit are shortened
    module = model.to_module()
    predicted = called(module, extremes)
    rounding = 1e-12 if dtype == np.float64 else 1e-5
    assert predicted.dtype == dtype
    np.testing.assert_allclose(predicted, model.predict(extremes), rtol=rounding, atol=rounding)
    components = called(module.encoder, extremes)
    np.testing.assert_allclose(components, model.transform(extremes), rtol=rounding, atol=rounding)


def test_heads_on_the_columns_are_part_of_it():
    for model in (MODELS["mlp"], MODELS["rotation"]):
        fitted = model.fit(X[:60], DATA.Y[:60, :6])
        adapted = fitted.adapt(X[:60], DATA.Y[:60, 6:])
        assert adapted.coef_residual_.any()
        found = called(adapted.to_module(), X)
        np.testing.assert_allclose(found, adapted.predict(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_scores_are_those_of_the_classifier(name, n_classes):
    some = np.isin(LABELS, ["a", "b", "c"][:n_classes])
    model = CLASSIFIERS[name].fit(X[some], LABELS[some])
    scores = called(model.to_module(), X)
    assert scores.shape == (len(X), n_classes)
    expected = model.decision_function(X)
    decisions = scores[:, 1] - scores[:, 0] if n_classes == 2 else scores
    np.testing.assert_allclose(decisions, expected, rtol=1e-10, atol=1e-10)
    assert (model.classes_[scores.argmax(1)] == model.predict(X)).all()


def test_the_module_is_a_copy_with_gradients():
    model = MODELS["mlp"].fit(X, Y)
    before, module = model.predict(X), model.to_module()
    rows = torch.tensor(X[:5], requires_grad=True)
    module(rows)[:, 1].sum().backward()
    assert rows.grad.abs().sum() > 0
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            value.zero_()
    assert (model.predict(X) == before).all()
    single = model.to_module().float()
    found = single(torch.tensor(X, dtype=torch.float32)).detach()
    np.testing.assert_allclose(found, before, rtol=1e-4, atol=1e-4)


def test_what_has_no_module_says_so():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        SparseRotation(3).to_module()
    forest = RandomForestRegressor(3, random_state=0)
    model = Representation(3, encoder=forest, max_iter=0).fit(X, DATA.Y)
    with pytest.raises(TypeError, match="RandomForestRegressor is no PyTorch module"):
        model.to_module()
