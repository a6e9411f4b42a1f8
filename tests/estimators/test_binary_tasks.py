"""SparseDisentangledRepresentation with logistic losses: binary and mixed tasks."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import d2_brier_score, roc_auc_score
from sklearn.model_selection import GridSearchCV

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.metrics import mean_corrcoef_score
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.tasks._tables import TaskBatch
from sklearn_sparsedis.training._objective import BilevelObjective


@pytest.fixture(scope="module")
def data():
    found = make_sparse_multitask(400, 12, n_latents=4, n_features=8, random_state=0)
    random = np.random.default_rng(0)
    score = 1.5 * found.Y / found.Y.std(0) - np.linspace(0, 2, 12)
    found.labels = (random.random(score.shape) < expit(score)).astype(float)
    return found


def model(**parameters):
    defaults = {"n_components": 4, "encoder": "linear", "max_iter": 20, "random_state": 0}
    return SparseDisentangledRepresentation(**{**defaults, "loss": "logistic", **parameters})


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_heads_are_scikit_learns_on_the_components(data, penalty):
    fitted = model(penalty=penalty, alpha=0.02, alpha_mode="absolute", tol=1e-12, max_iter=3)
    fitted.fit(data.X, data.labels)
    Z = fitted.transform(data.X)
    options = {"l1": {"l1_ratio": 1.0, "solver": "saga"}, "l2": {"solver": "newton-cholesky"}}
    for task in range(3):
        peer = LogisticRegression(C=1 / (0.02 * 400), tol=1e-10, max_iter=20_000)
        peer.set_params(**options[penalty]).fit(Z, data.labels[:, task])
        np.testing.assert_allclose(fitted.coef_[task], peer.coef_[0], atol=1e-6)
        np.testing.assert_allclose(fitted.intercept_[task], peer.intercept_[0], atol=1e-6)
        expected = peer.predict_proba(Z)[:, 1]
        np.testing.assert_allclose(fitted.predict(data.X)[:, task], expected, atol=1e-6)
    assert (fitted.losses_ == "logistic").all()
    assert (fitted.dual_gap_ <= fitted.tol).all()


@pytest.mark.slow
def test_recovers_independent_latents_from_labels_alone():
    data = make_sparse_multitask(1500, 80, n_latents=4, n_features=8, random_state=1)
    random = np.random.default_rng(1)
    labels = random.random(data.Y.shape) < expit(3 * data.Y / data.Y.std(0))
    sparse = model(max_iter=300, early_stopping=False).fit(data.X, labels)
    assert mean_corrcoef_score(data.Z, sparse.transform(data.X)) > 0.97


@pytest.mark.parametrize("query_fraction", [None, 0.4])
def test_mixed_tasks_in_one_model(data, query_fraction):
    Y = np.where(np.arange(12) % 2, data.labels, 5 + 3 * data.Y)
    losses = ["logistic" if t % 2 else "squared_error" for t in range(12)]
    fitted = model(loss=losses, query_fraction=query_fraction).fit(data.X, Y)
    assert fitted.losses_.tolist() == losses
    predicted = fitted.predict(data.X)
    assert ((predicted[:, 1::2] > 0) & (predicted[:, 1::2] < 1)).all()
    for t in range(1, 12, 2):
        assert roc_auc_score(Y[:, t], predicted[:, t]) > 0.7
    alone = model(loss="squared_error", query_fraction=query_fraction)
    values = alone.fit(data.X, Y[:, ::2]).predict(data.X)
    # the other tasks shape the encoder, too, but these are predicted as well
    assert np.corrcoef(values.ravel(), predicted[:, ::2].ravel())[0, 1] > 0.98
    inferred = model(loss="auto", query_fraction=query_fraction).fit(data.X, Y)
    np.testing.assert_array_equal(inferred.predict(data.X), predicted)
    named = model(loss=dict.fromkeys(range(1, 12, 2), "logistic"), query_fraction=query_fraction)
    np.testing.assert_array_equal(named.fit(data.X, Y).predict(data.X), predicted)


def test_batches_of_some_tasks(data):
    Y = np.where(np.arange(12) % 3 == 0, data.labels, data.Y)
    fitted = model(loss="auto", tasks_per_batch=4, batch_size=100, query_fraction=0.5, n_init=2)
    assert np.isfinite(fitted.fit(data.X, Y).loss_curve_).all()
    assert fitted.score(data.X, Y) > 0.5


def test_training_lowers_the_loss(data):
    fitted = model(encoder="mlp", hidden_layer_sizes=(20,), early_stopping=False, max_iter=60)
    fitted.fit(data.X, (np.abs(data.Y) > 0.7 * data.Y.std()).astype(float))
    assert fitted.loss_curve_[-1] < 0.8 * fitted.loss_curve_[0]


def test_missing_labels_are_masked_and_scores_are_brier_skill_scores(data):
    Y = data.labels.copy()
    missing = np.random.default_rng(0).random(Y.shape) < 0.3
    Y[missing] = np.nan
    fitted = model(early_stopping=False).fit(data.X, Y)
    predicted = fitted.predict(data.X)
    skill = [d2_brier_score(Y[~m, t], predicted[~m, t]) for t, m in enumerate(missing.T)]
    assert fitted.score(data.X, Y) == pytest.approx(np.mean(skill))
    # what stands in for a missing label does not matter: a label of weight zero does not either
    other = model(early_stopping=False).fit(
        data.X, np.where(missing, 7.0, Y), sample_weight=(~missing).astype(float)
    )
    np.testing.assert_allclose(other.predict(data.X), predicted, rtol=1e-10)


def test_weights_are_repetitions(data):
    weights = np.random.default_rng(0).integers(1, 4, 400)
    options = {"max_iter": 0, "encoder": lambda n, m: torch.nn.Linear(n, m), "tol": 1e-12}
    weighted = model(**options).fit(data.X, data.labels, sample_weight=weights)
    repeated = model(**options).fit(data.X.repeat(weights, 0), data.labels.repeat(weights, 0))
    np.testing.assert_allclose(weighted.predict(data.X), repeated.predict(data.X), rtol=1e-5)


def test_long_layout_is_the_wide_one_with_holes(data):
    names = np.array(["a", "b", "c", "d"])[np.arange(400) % 4]
    column = {"a": 0, "b": 1, "c": 2, "d": 3}
    y = np.array([data.labels[i, column[name]] for i, name in enumerate(names)])
    y[names == "d"] = data.Y[names == "d", 3]
    wide = np.full((400, 4), np.nan)
    wide[np.arange(400), [column[name] for name in names]] = y
    losses = {"a": "logistic", "b": "logistic", "c": "logistic", "not there": "logistic"}
    long = model(loss=losses, early_stopping=False).fit(data.X, y, task_id=names)
    assert long.losses_.tolist() == ["logistic"] * 3 + ["squared_error"]
    flat = model(loss=list(long.losses_), early_stopping=False).fit(data.X, wide)
    np.testing.assert_array_equal(long.predict(data.X), flat.predict(data.X))
    frame = pd.DataFrame(wide, columns=list("abcd"))
    named = model(loss={**losses, "not there": "logistic"}, early_stopping=False)
    with pytest.raises(ValueError, match="names a task that Y does not have: 'not there'"):
        named.fit(data.X, frame)


def test_balanced_classes_weigh_the_same_and_predictions_stay_probabilities(data):
    rare = (data.Y[:, :6] > np.quantile(data.Y[:, :6], 0.9)).astype(float)
    rare = np.where(np.random.default_rng(0).random(rare.shape) < 0.1, 1 - rare, rare)
    options = {"max_iter": 0, "alpha": 0.01, "alpha_mode": "absolute", "tol": 1e-12}
    fitted = model(class_weight="balanced", **options).fit(data.X, rare)
    predicted = fitted.predict(data.X)
    np.testing.assert_allclose(predicted.mean(0), rare.mean(0), rtol=1e-9)
    Z = fitted.transform(data.X)
    peer = LogisticRegression(
        C=1 / (0.01 * 400),
        l1_ratio=1.0,
        solver="saga",
        class_weight="balanced",
        tol=1e-10,
        max_iter=20_000,
    ).fit(Z, rare[:, 0])
    np.testing.assert_allclose(fitted.coef_[0], peer.coef_[0], atol=1e-6)
    # all else is a shift of the log-odds
    shift = fitted.intercept_[0] - peer.intercept_[0]
    assert shift < -0.5
    plain = model(**options).fit(data.X, rare)
    assert not np.allclose(plain.coef_, fitted.coef_, atol=1e-3)


def test_balanced_classes_leave_large_values_beside_them_alone(data):
    mixed = np.hstack([data.labels[:, :6], 1e6 * data.Y[:, 6:]])
    options = {"loss": ["logistic"] * 6 + ["squared_error"] * 6, "max_iter": 0}
    balanced = model(class_weight="balanced", **options).fit(data.X, mixed)
    plain = model(**options).fit(data.X, mixed)
    np.testing.assert_array_equal(balanced.intercept_[6:], plain.intercept_[6:])
    share = balanced.predict(data.X)[:, :6].mean(0)
    np.testing.assert_allclose(share, mixed[:, :6].mean(0), rtol=1e-9)


def test_tasks_with_labels_of_one_kind_are_constant_and_announced(data):
    Y = data.labels.copy()
    Y[:, 2], Y[:100, 2] = 1, np.nan
    with pytest.warns(UserWarning, match="1 of 12 tasks have labels of one kind only: 2"):
        fitted = model(class_weight="balanced").fit(data.X, Y)
    assert (fitted.coef_[2] == 0).all()
    np.testing.assert_allclose(fitted.predict(data.X)[:, 2], 1 - 1 / 602)
    automatic = model(loss="auto").fit(data.X, Y)  # a constant is no label
    assert automatic.losses_[2] == "squared_error"
    np.testing.assert_allclose(automatic.predict(data.X)[:, 2], 1)


def test_adapt_to_labels_and_to_values(data):
    fitted = model(loss="squared_error").fit(data.X, data.Y[:, :8])
    assert (fitted.losses_ == "squared_error").all()
    labels = fitted.adapt(data.X[:200], data.labels[:200, 8:], loss="logistic")
    assert labels.encoder_ is fitted.encoder_
    assert (labels.losses_ == "logistic").all()
    score = roc_auc_score(data.labels[200:, 8:], labels.predict(data.X[200:]))
    assert score > 0.75
    mixed = model(loss=["logistic"] * 8).fit(data.X, data.labels[:, :8])
    assert mixed.adapt(data.X, data.Y[:, 8:], loss="squared_error").score(data.X, data.Y[:, 8:]) > 0
    with pytest.raises(ValueError, match="for 4 tasks. In adapt, pass the loss of the new tasks"):
        mixed.adapt(data.X, data.labels[:, 8:])


def test_equal_seeds_give_equal_models_that_survive_copies_and_searches(data):
    a, b = (model().fit(data.X, data.labels) for _ in range(2))
    np.testing.assert_array_equal(a.predict(data.X), b.predict(data.X))
    copied = pickle.loads(pickle.dumps(a))
    np.testing.assert_array_equal(copied.predict(data.X), a.predict(data.X))
    assert clone(a).loss == "logistic"
    search = GridSearchCV(model(max_iter=3), {"alpha": [0.05, 0.9]}, cv=2)
    assert search.fit(data.X, data.labels).best_params_ == {"alpha": 0.05}


def test_partial_fit_and_warm_start_take_labels(data):
    part = model(batch_size=100).partial_fit(data.X, data.labels)
    part.partial_fit(data.X[:200], data.labels[:200, :7])
    assert part.predict(data.X).shape == (400, 7)
    assert (part.losses_ == "logistic").all()


def test_single_precision_and_booleans(data):
    X = data.X.astype(np.float32)
    fitted = model().fit(X, data.labels > 0)
    assert fitted.predict(X).dtype == np.float32
    assert fitted.score(X, data.labels) > 0.1


BAD = [
    ({"loss": "hinge"}, "loss must be one of 'auto', 'huber', 'logistic', 'squared_error'"),
    ({"loss": ["logistic"]}, "loss must be one of .* for 12 tasks"),
    ({"loss": 3}, "loss must be one of"),
    ({"loss": {0: "hinge"}}, "for each task, got 'hinge'"),
    ({"loss": {12: "logistic"}}, "names a task that Y does not have: 12"),
    ({"penalty": "mcp"}, "penalty='mcp' is not available with the loss 'logistic'"),
    ({"penalty": "l0"}, "penalty='l0' is not available"),
    ({"alpha": 0.0}, "alpha must be above 0 with the loss 'logistic'"),
    ({"class_weight": {0: 1, 1: 2}}, "class_weight must be one of 'balanced', or None"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
def test_bad_parameters_name_themselves(data, parameters, message):
    with pytest.raises(ValueError, match=message):
        model(**parameters).fit(data.X, data.labels)


def test_values_that_are_no_labels_are_named(data):
    with pytest.raises(ValueError, match=r"task 0 has the value -1 \(12 of 12"):
        model().fit(data.X, 2 * data.labels - 1)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize(
    "losses", [(Logistic(),) * 9, (Logistic(), SquaredError(), Logistic()) * 3]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_training_step_stays_on_the_device(penalty, losses, weighted):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            network = LinearNetwork(8, 4)
            encoder = Encoder(network, *(fake_cuda(8, dtype=torch.float32) for _ in range(2)), 4)
            problem = HeadProblem(PENALTIES[penalty], 0.1, True, 1e-6, balanced=True)
            objective = BilevelObjective(encoder, problem, 9, 4, fake_cuda(9))
        objective.anneal(0.3)
        tasks = torch.arange(9, device=ACCELERATOR)
        weights = fake_cuda(30, 9) if weighted else None
        X, Y = fake_cuda(30, 8, dtype=torch.float32), fake_cuda(30, 9)
        for n_support in (20, 30):
            loss = objective(TaskBatch(X, Y, weights, tasks, n_support, losses))
            loss.backward()
            assert loss.device.type == ACCELERATOR
            assert network.linear.weight.grad.device.type == ACCELERATOR
    # a look a solve of labels, and two a solve of values, in two steps
    assert counter.count <= 2 * (1 + 2 * (SquaredError() in losses))
