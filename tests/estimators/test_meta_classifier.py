"""GroupLassoSVMMetaClassifier: few-shot learning, ordinary classification, bad input."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.model_selection import evaluate_episodes, sample_episodes
from sklearn_sparsedis.nn._episode_heads import EPISODE_HEADS

KINDS = sorted(EPISODE_HEADS)


@pytest.fixture(scope="module")
def table():
    """40 classes that differ in four of twelve noisy columns: 30 to train on, 10 new ones."""
    random = np.random.default_rng(0)
    y = np.arange(40).repeat(12)
    X = random.normal(size=(480, 12))
    X[:, :4] = 3 * random.normal(size=(40, 4))[y] + 0.3 * random.normal(size=(480, 4))
    X[:, 4:] *= 4
    rotation, _ = np.linalg.qr(random.normal(size=(12, 12)))
    X = X @ rotation
    old = y < 30
    return (X[old], y[old]), (X[~old], y[~old])


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600].astype(np.float32), y[:600]


def model(**parameters):
    defaults = {
        "n_components": 8,
        "hidden_layer_sizes": (20,),
        "max_iter": 30,
        "device": "cpu",
        "random_state": 0,
    }
    return GroupLassoSVMMetaClassifier(**{**defaults, **parameters})


@pytest.mark.parametrize("head", KINDS)
def test_training_helps_with_new_classes(table, head):
    train, new = table
    options = {"n_way": 5, "n_shot": 1, "n_query": 5, "n_episodes": 150, "random_state": 0}
    parameters = {"head": head, "encoder": "linear", "episodes_per_batch": 2, "n_query": 5}
    fitted = model(**parameters, max_iter=60, learning_rate=0.05).fit(*train)
    before = model(**parameters, max_iter=0).fit(*train)
    gain = fitted.score_episodes(*new, **options).difference(before.score_episodes(*new, **options))
    assert gain.mean > 0.1
    assert gain.mean > 3 * gain.ci95
    assert fitted.loss_curve_[-10:].mean() < fitted.loss_curve_[:10].mean()


def test_a_stronger_penalty_uses_fewer_features(table):
    train, new = table
    fitted = model(n_components=12, max_iter=0, l2_reg=0.05).fit(*train)
    shares = []
    for group_reg in (0.0, 0.2, 0.4):
        fitted.set_params(group_reg=group_reg)
        scores = fitted.score_episodes(*new, n_shot=5, n_query=5, n_episodes=50, random_state=0)
        shares.append(scores.features_used.mean())
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < 0.9


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ordinary_classification(head, dtype):
    X, y = load_wine(return_X_y=True)
    names = np.array(["red", "rosé", "white"])[y]
    fitted = model(head=head).fit(X.astype(dtype), names)
    assert fitted.classes_.tolist() == ["red", "rosé", "white"]
    assert fitted.coef_.shape == (3, 8)
    assert fitted.intercept_.shape == (3,)
    assert fitted.support_.shape == (8,)
    assert fitted.dual_gap_ <= fitted.tol
    assert (fitted.n_way_, fitted.n_shot_, fitted.n_query_) == (3, 5, 10)
    assert fitted.score(X, names) > 0.9
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(1)], fitted.predict(X))
    Z = fitted.transform(X.astype(dtype))
    assert Z.dtype == dtype
    np.testing.assert_allclose(
        fitted.decision_function(X), Z @ fitted.coef_.T + fitted.intercept_, atol=1e-3
    )


@pytest.mark.parametrize("head", ["group_lasso_svm", "svm", "logistic"])
def test_an_intercept_helps_a_class_that_lies_between_others(head):
    X, y = load_iris(return_X_y=True)
    without, with_one = (
        model(head=head, max_iter=0, fit_intercept=wanted).fit(X, y).score(X, y)
        for wanted in (False, True)
    )
    assert with_one > without + 0.03
    assert with_one > 0.9


def test_two_classes_have_one_score():
    X, y = make_blobs(40, centers=2, n_features=4, random_state=0)
    fitted = model().fit(X, y)
    scores = fitted.decision_function(X)
    assert scores.shape == (40,)
    np.testing.assert_array_equal(fitted.predict(X), (scores > 0).astype(int))


@pytest.mark.parametrize("head", KINDS)
def test_many_rows_and_many_classes_have_a_head_too(head, table):
    X, y = make_blobs(900, centers=4, n_features=5, random_state=0)
    assert model(head=head, max_iter=5).fit(X, y).score(X, y) > 0.9
    X, y = make_blobs(240, centers=60, n_features=20, center_box=(-30, 30), random_state=0)
    assert model(head=head, n_components=20, max_iter=0).fit(X, y).score(X, y) > 0.9


def test_heads_of_hundreds_of_classes_are_solved_less_exactly():
    X, y = make_blobs(600, centers=100, n_features=20, center_box=(-9, 9), random_state=0)
    fitted = model(n_components=20, max_iter=0).fit(X, y)
    assert 1e-6 < fitted.dual_gap_ <= 1e-3
    assert fitted.adapt(X[y < 20], y[y < 20]).dual_gap_ <= 1e-6


def test_adapt_shares_the_encoder_and_changes_nothing(table):
    train, (X, y) = table
    fitted = model().fit(*train)
    before = fitted.predict(train[0])
    new = fitted.adapt(X[::2], y[::2])
    assert new.encoder_ is fitted.encoder_
    assert new.classes_.tolist() == list(range(30, 40))
    assert new.score(X[1::2], y[1::2]) > 0.5
    np.testing.assert_array_equal(fitted.predict(train[0]), before)


@pytest.mark.parametrize("head", KINDS)
def test_predict_episodes_is_adapt_one_by_one(table, head):
    train, (X, y) = table
    names = np.array([f"class {label}" for label in y])
    fitted = model(head=head, max_iter=3).fit(*train)
    episodes = sample_episodes(names, n_way=4, n_shot=3, n_query=2, n_episodes=6, random_state=0)
    support, labels = X[episodes.support], names[episodes.support]
    labels[0, labels[0] == labels[0, 0]] = labels[0, -1]  # an uneven episode of three classes
    order = np.random.default_rng(0).permutation(12)  # rows need not be sorted by class
    support, labels = support[:, order], labels[:, order]
    predicted = fitted.predict_episodes(support, labels, X[episodes.query])
    assert predicted.shape == (6, 8)
    for e in range(6):
        expected = fitted.adapt(support[e], labels[e]).predict(X[episodes.query[e]])
        np.testing.assert_array_equal(predicted[e], expected)


def test_episode_scores(table):
    train, new = table
    scores = model(max_iter=3).fit(*train).score_episodes(*new, n_query=5, n_episodes=30)
    assert scores.accuracies.shape == scores.features_used.shape == (30,)
    assert scores.mean == scores.accuracies.mean()
    assert 0 < scores.ci95 < 0.2


def test_classes_are_held_out_to_choose_the_best_encoder(table):
    train, _ = table
    parameters = {"n_way": 3, "learning_rate": 0.3, "max_iter": 50, "head": "ridge"}
    fitted = model(**parameters).fit(*train)
    losses = fitted.validation_loss_curve_
    assert len(losses) > 5
    assert fitted.n_iter_ == losses.argmin() * 2
    # 3 of 30 classes cannot make 5-way episodes
    assert not len(model(head="ridge").fit(*train).validation_loss_curve_)
    assert len(model(head="ridge", early_stopping=True).fit(*train).validation_loss_curve_)
    never = model(head="ridge", early_stopping=False, n_way=3).fit(*train)
    assert not len(never.validation_loss_curve_)


def test_the_kept_encoder_is_the_best_one(table):
    train, _ = table
    parameters = {"n_way": 3, "learning_rate": 0.3, "max_iter": 50, "head": "ridge"}
    kept = model(**parameters).fit(*train)
    assert kept.n_iter_ < 50
    last = model(**parameters, n_iter_no_change=30).fit(*train)
    assert last.n_iter_ == kept.n_iter_
    np.testing.assert_array_equal(kept.transform(train[0]), last.transform(train[0]))


def test_rotations_are_further_classes(digits):
    X, y = digits
    parameters = {"input_shape": (8, 8), "n_way": 12, "max_iter": 3, "head": "ridge"}
    plain = model(**parameters).fit(X, y)
    turned = model(**parameters, rotations=True).fit(X, y)
    assert (plain.n_way_, turned.n_way_) == (10, 12)
    assert turned.classes_.tolist() == list(range(10))
    with pytest.raises(ValueError, match=r"needs square images, got input_shape=\(4, 16\)"):
        model(input_shape=(4, 16), rotations=True).fit(X, y)
    with pytest.raises(ValueError, match="input_shape must be"):
        model(input_shape=(7, 7), rotations=True).fit(X, y)


@pytest.mark.parametrize("encoder", ["conv4", "resnet12", "conv", "linear", "mlp"])
def test_encoders_by_name(digits, encoder):
    X, y = digits
    fitted = model(encoder=encoder, max_iter=2, input_shape=(8, 8)).fit(X[:100], y[:100])
    assert fitted.transform(X[:7]).shape == (7, 8)
    assert list(fitted.get_feature_names_out())[:1] == ["grouplassosvmmetaclassifier0"]


@pytest.mark.parametrize(
    "encoder", [nn.Sequential(nn.Linear(64, 9), nn.Tanh()), lambda n, m: nn.Linear(n, m + 1)]
)
def test_encoders_of_yours_have_their_own_width(digits, encoder):
    X, y = digits
    before = copy.deepcopy(encoder.state_dict()) if isinstance(encoder, nn.Module) else {}
    fitted = model(encoder=encoder, max_iter=2).fit(X, y)
    assert fitted.transform(X).shape == (600, 9)
    assert fitted.get_feature_names_out().shape == (9,)
    for name, value in before.items():
        assert torch.equal(encoder.state_dict()[name], value), "the user's module was trained"


def test_equal_seeds_give_equal_models_and_leave_global_generators_alone(digits):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    a, b = (
        model(encoder="resnet12", head="ridge", input_shape=(8, 8), max_iter=2).fit(*digits)
        for _ in range(2)
    )
    np.testing.assert_array_equal(a.transform(digits[0]), b.transform(digits[0]))
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_the_same(digits, copier):
    fitted = model(max_iter=3).fit(*digits)
    np.testing.assert_array_equal(copier(fitted).predict(digits[0]), fitted.predict(digits[0]))


def test_warm_start_with_another_number_of_components(table):
    fitted = model(warm_start=True, max_iter=2).fit(*table[0])
    n_components = fitted.n_components
    fitted.set_params(n_components=n_components + 1)
    with pytest.raises(ValueError, match=f"go on has {n_components} components"):
        fitted.fit(*table[0])


def test_warm_start_goes_on(table):
    train, _ = table
    fitted = model(warm_start=True, max_iter=60, learning_rate=0.01, head="ridge").fit(*train)
    first, loss = fitted.encoder_, fitted.loss_curve_
    fitted.fit(*train)
    assert fitted.encoder_ is not first
    assert fitted.loss_curve_[:10].mean() < loss[:10].mean()


def test_tools_of_scikit_learn_work():
    X, y = load_wine(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), model(max_iter=5, head="ridge"))
    assert cross_val_score(pipe, X, y, cv=3).mean() > 0.85
    grid = {"grouplassosvmmetaclassifier__head": ["svm", "prototype"]}
    assert GridSearchCV(pipe, grid, cv=2).fit(X, y).best_score_ > 0.85
    assert clone(model(group_reg=0.7)).group_reg == 0.7
    assert list(model().set_output(transform="pandas").fit(X, y).transform(X).columns) == [
        f"grouplassosvmmetaclassifier{i}" for i in range(8)
    ]


def test_unknown_labels_count_as_errors(table):
    (X, y), (X_new, y_new) = table
    assert model(max_iter=0).fit(X, y).score(X_new, y_new) == 0


def test_the_zero_classifier_is_announced(table):
    train, (X, y) = table
    message = "heads use no feature .* group_reg=1.5 is at or above its maximum"
    with pytest.warns(UserWarning, match=f"1 of 1 {message}"):
        fitted = model(group_reg=1.5, max_iter=2).fit(*train[:1], train[1] % 3)
    assert not fitted.support_.any()
    assert len(set(fitted.predict(X))) == 1
    with pytest.warns(UserWarning, match=f"9 of 9 {message}"):
        evaluate_episodes(fitted, X, y, n_query=5, n_episodes=9)
    with pytest.warns(UserWarning, match=f"1 of 1 {message}"):
        fitted.adapt(X, y)


BAD_PARAMETERS = [
    ({"n_way": 1}, "n_way must be at least 2"),
    ({"n_shot": 0}, "n_shot must be at least 1"),
    ({"n_query": 1.5}, "n_query must be an integer"),
    ({"l2_reg": 0}, r"l2_reg must be in \(0, inf\)"),
    ({"group_reg": -0.1}, "group_reg must be in"),
    ({"head": "forest"}, "head must be one of 'group_lasso_svm', 'logistic', 'prototype'"),
    ({"encoder": "transformer"}, "encoder must be one of 'conv', 'conv4'"),
    ({"encoder": nn.Linear(5, 4)}, "encoder cannot be applied"),
    ({"encoder": nn.Unflatten(1, (3, 4))}, "End it with nn.Flatten"),
    ({"encoder": lambda n, m: "net"}, r"must return an nn\.Module"),
    ({"label_smoothing": 1.0}, "label_smoothing must be in"),
    ({"early_stopping": "maybe"}, "early_stopping must be"),
    ({"validation_fraction": 0}, "validation_fraction must be in"),
    ({"early_stopping": True, "validation_fraction": 0.99}, "of which two must be left"),
    ({"device": "gpu7"}, "device='gpu7' cannot be used here"),
    ({"optimizer": "magic"}, "optimizer must be one of"),
    ({"episodes_per_batch": 0}, "episodes_per_batch must be at least 1"),
    ({"n_components": 0}, "n_components must be at least 1"),
    ({"tol": 0}, "tol must be in"),
    ({"rotations": True}, "needs input_shape"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_PARAMETERS)
def test_bad_parameters_name_themselves_and_change_nothing(table, parameters, message):
    train, _ = table
    fitted = model(max_iter=0).fit(*train)
    fitted.set_params(**parameters)
    state = {name: id(value) for name, value in vars(fitted).items()}
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.fit(*train)
    assert {name: id(value) for name, value in vars(fitted).items()} == state


def _with_nan(X):
    X = X.copy()
    X[0, 0] = np.nan
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, np.zeros(len(y))), "at least two classes; the data contain 1 class"),
        (lambda X, y: (_with_nan(X), y), "Input X contains NaN"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, np.linspace(0, 1, len(y))), "Unknown label type: continuous"),
        (lambda X, y: (X[:3], [0, 1, 2]), "at least two classes with two rows"),
    ],
)
def test_bad_data(table, change, message):
    estimator = model()
    with pytest.raises(ValueError, match=message):
        estimator.fit(*change(*table[0]))
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_bad_episodes(table):
    train, (X, y) = table
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model().adapt(X, y)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model().predict_episodes(X[None], y[None], X[None])
    fitted = model(max_iter=0).fit(*train)
    with pytest.raises(ValueError, match="at least two classes"):
        fitted.adapt(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="X has 3 features"):
        fitted.adapt(X[:, :3], y)
    with pytest.raises(ValueError, match="n_way=11 classes .* y has 10 classes"):
        fitted.score_episodes(X, y, n_way=11, n_query=5)
    with pytest.raises(ValueError, match=r"n_shot \+ n_query = 10 \+ 5 = 15 rows; 10 of 10"):
        fitted.score_episodes(X, y, n_shot=10, n_query=5)
    S, labels = X[None, :24], y[None, :24]
    with pytest.raises(ValueError, match=r"X_support must have shape \(n_episodes, n_rows, 12\)"):
        fitted.predict_episodes(X, labels, S)
    with pytest.raises(ValueError, match=r"y_support must have shape \(1, 24\)"):
        fitted.predict_episodes(S, labels[:, :3], S)
    with pytest.raises(ValueError, match="X_support has 1 episodes and X_query 2"):
        fitted.predict_episodes(S, labels, np.concatenate([S, S]))
    with pytest.raises(ValueError, match="Input X_query contains NaN"):
        fitted.predict_episodes(S, labels, S * np.nan)
    with pytest.raises(ValueError, match="at least two classes"):
        fitted.predict_episodes(S, np.zeros((1, 24)), S)


class _Interrupt(Callback):
    """Presses Ctrl-C after some steps."""

    def on_batch_end(self, net, **kwargs):
        if net.n_steps_done >= 3:
            raise KeyboardInterrupt


def test_interruption_leaves_no_half_fitted_state(table):
    train, _ = table
    fresh = model(callbacks=[_Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(*train)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    fitted = model(max_iter=2).fit(*train)
    before = fitted.predict(train[0])
    fitted.set_params(callbacks=[_Interrupt()], warm_start=True, max_iter=30)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*train)
    np.testing.assert_array_equal(fitted.predict(train[0]), before)


def test_divergence_is_an_error(table):
    class Explosive(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (torch.nan if self.training else 1.0)

    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        model(encoder=Explosive(12, 4).double(), head="prototype").fit(*table[0])


def test_progress_bar_only_under_verbose(table, capsys):
    model(max_iter=2).fit(*table[0])
    assert capsys.readouterr().err == ""
    model(max_iter=2, verbose=True).fit(*table[0])
    assert "outer steps" in capsys.readouterr().err


def test_rows_that_are_all_equal_do_not_break_training():
    X, y = np.ones((40, 3)), np.arange(4).repeat(10)
    for head in KINDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            fitted = model(head=head, max_iter=3).fit(X, y)
        assert np.isfinite(fitted.decision_function(X)).all()
        assert np.isfinite(fitted.loss_curve_).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_as_the_cpu_does(table):
    train, _ = table
    cpu, gpu = (model(device=device, max_iter=10).fit(*train) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cpu.loss_curve_, gpu.loss_curve_, atol=1e-5)
