"""GroupLassoSVMMetaClassifier on embeddings, and with modules that are frozen."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, load_model, save_model
from sklearn_sparsedis.model_selection import sample_episodes


def classes(seed, n_classes=30, rows=12, d=20):
    """Embeddings far from zero, whose classes differ in four directions of twenty."""
    law, random = np.random.default_rng(5), np.random.default_rng(seed)
    y = np.arange(n_classes).repeat(rows)
    X = 2 * random.normal(size=(len(y), d))
    X[:, :4] = 3 * random.normal(size=(n_classes, 4))[y] + random.normal(size=(len(y), 4))
    return X @ law.normal(size=(d, d)) + 10, y


TRAIN, NEW = classes(0), classes(1)
TASKS = {"n_shot": 1, "n_query": 5, "n_episodes": 100, "random_state": 0}


def model(encoder, **parameters):
    return GroupLassoSVMMetaClassifier(
        **{"encoder": encoder, "head": "prototype", "random_state": 0, **parameters}
    )


def test_identity_is_centred_rows_of_unit_length():
    X, y = TRAIN
    fitted = model("identity").fit(X, y)
    centred = X - X.mean(0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.transform(X), expected, atol=1e-12)
    assert fitted.coef_.shape == (30, 20)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 0


def test_what_base_classes_say_helps_with_new_ones():
    scores = {
        name: model(name).fit(*TRAIN).score_episodes(*NEW, **TASKS)
        for name in ("identity", "discriminant")
    }
    gain = scores["discriminant"].difference(scores["identity"])
    assert gain.mean > 0.1
    assert gain.mean > 3 * gain.ci95


def test_n_components_bounds_the_number_of_discriminants():
    assert model("discriminant", n_components=3).fit(*TRAIN).transform(TRAIN[0]).shape == (360, 3)
    # no more than the columns
    assert model("discriminant", n_components=64).fit(*TRAIN).coef_.shape[1] <= 20


@pytest.mark.parametrize("encoder", ["identity", "discriminant"])
def test_probabilities_have_the_best_scale(encoder):
    fitted = model(encoder, label_smoothing=0.0, head="ridge").fit(*TRAIN)
    episodes = sample_episodes(TRAIN[1], n_shot=5, n_query=5, n_episodes=30, random_state=1)
    losses = []
    for factor in (1 / 1.5, 1, 1.5):
        task_losses = []
        for support, query in zip(episodes.support, episodes.query, strict=True):
            task = fitted.adapt(TRAIN[0][support], TRAIN[1][support])
            task.scale_ = factor * fitted.scale_
            P = task.predict_proba(TRAIN[0][query])
            task_losses.append(log_loss(TRAIN[1][query], P, labels=task.classes_))
        losses.append(np.mean(task_losses))
    assert losses[1] == min(losses)


@pytest.mark.parametrize("encoder", ["identity", "discriminant"])
def test_files_and_single_precision(encoder, tmp_path):
    X, y = TRAIN[0].astype(np.float32), TRAIN[1]
    fitted = model(encoder).fit(X, y)
    assert fitted.transform(X).dtype == np.float32
    save_model(fitted, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    again = loaded.set_params(warm_start=True).fit(X, y)
    np.testing.assert_allclose(again.coef_, fitted.coef_, rtol=1e-5, atol=1e-6)


def test_constant_columns_and_a_row_at_the_mean():
    X, y = TRAIN[0].copy(), TRAIN[1]
    X[:, 0] = 3.0
    X[0] += X[1:].mean(0) - X[0]
    for encoder in ("identity", "discriminant"):
        assert np.isfinite(model(encoder).fit(X, y).transform(X)).all()


def test_too_few_classes_for_discriminants():
    few = TRAIN[1] < 3
    with pytest.raises(ValueError, match='Take encoder="identity"'):
        model("discriminant").fit(TRAIN[0][few], TRAIN[1][few])


def trained(encoder="mlp", **parameters):
    return model(encoder, n_components=16, max_iter=20, n_shot=2, n_query=2, **parameters)


def test_features_of_a_trained_encoder_can_be_turned(tmp_path):
    X, y = TRAIN
    plain, turned = trained().fit(X, y), trained(discriminants=True).fit(X, y)
    outputs = plain.transform(X)
    matrix = turned.encoder_.rotation.numpy()
    np.testing.assert_allclose(turned.transform(X), outputs @ matrix.T, atol=1e-10)
    assert turned.coef_.shape[1] == len(matrix) <= 16
    better = turned.score_episodes(*NEW, **TASKS).difference(plain.score_episodes(*NEW, **TASKS))
    assert better.mean > better.ci95
    save_model(turned, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), turned.predict(X))
    # a training that goes on starts from the outputs of the network
    again = loaded.set_params(warm_start=True, max_iter=0).fit(X, y)
    np.testing.assert_allclose(again.coef_, turned.coef_)


def test_turned_features_of_a_linear_encoder_are_linear():
    X, y = TRAIN
    fitted = trained("linear", discriminants=True, head="ridge").fit(X, y)
    scores = X @ fitted.coef_features_.T + fitted.intercept_features_
    np.testing.assert_allclose(scores, fitted.decision_function(X), atol=1e-8)


class _Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.top = nn.Linear(16, 8)

    def forward(self, x):
        return self.top(self.body(x))


def test_frozen_layers_stay_as_they_are_and_others_learn():
    torch.manual_seed(0)
    network = _Backbone().double()
    network.body.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fitted = model(network, max_iter=10, learning_rate=1e-2, n_shot=2, n_query=2).fit(*TRAIN)
    after = fitted.encoder_.network.state_dict()
    assert len(fitted.loss_curve_) == 10
    for name, value in before.items():
        same = bool((after[name] == value).all())
        assert same == name.startswith("body"), name


def test_a_frozen_network_is_not_trained():
    network = _Backbone().double().requires_grad_(False)
    fitted = model(network).fit(*TRAIN)
    assert len(fitted.loss_curve_) == 0
    for name, value in network.state_dict().items():
        torch.testing.assert_close(fitted.encoder_.network.state_dict()[name], value)
