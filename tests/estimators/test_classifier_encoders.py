"""Classifiers of scikit-learn as encoders."""

import pickle

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._log_odds import CLIPPED, ConstantOdds, calibrate
from sklearn_sparsedis.estimators._regressors import RegressorSettings, cross_fit
from sklearn_sparsedis.estimators._stack import Stack
from sklearn_sparsedis.inputs._losses import mark_losses
from sklearn_sparsedis.inputs._targets import check_targets

FOLDS = KFold(4, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def data():
    drawn = make_sparse_multitask(600, 10, n_latents=3, n_features=6, random_state=0)
    odds = 2 * drawn.Y / drawn.Y.std(0)
    drawn.Y = (np.random.default_rng(0).random(odds.shape) < expit(odds)).astype(float)
    return drawn


def model(encoder, **parameters):
    defaults = {"loss": "logistic", "max_iter": 5, "random_state": 0, "cv": FOLDS}
    parameters = {"n_components": 3, **defaults, **parameters}
    return SparseDisentangledRepresentation(encoder=encoder, **parameters)


def binary(Y, n, **arguments):
    return mark_losses(check_targets(Y, n, caller="", **arguments), "logistic")


def crossed(encoder, X, Y, *, cv=FOLDS, **arguments):
    """Log-odds of rows that classifiers have not seen."""
    targets = binary(Y, len(X), **arguments)
    return cross_fit(RegressorSettings(encoder, cv, 3), X, targets, None, 0)[0]


@pytest.mark.parametrize(
    ("encoder", "method"),
    [
        (LogisticRegression(), "decision_function"),
        (make_pipeline(StandardScaler(), LinearSVC()), "decision_function"),
        (GaussianNB(), "predict_proba"),
        (KNeighborsClassifier(20), "predict_proba"),  # takes several tasks
        (MultiOutputClassifier(GaussianNB()), None),
        (LinearDiscriminantAnalysis(), "decision_function"),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_training_rows_have_log_odds_of_classifiers_that_have_not_seen_them(data, encoder, method):
    X, Y = data.X[:200], data.Y[:200, :4]
    found = crossed(encoder, X, Y)
    for t in range(3):
        single = encoder.estimator if method is None else encoder
        kind = method or "predict_proba"
        expected = cross_val_predict(single, X, Y[:, t], cv=FOLDS, method=kind)
        if expected.ndim == 2:
            expected = logit(expected[:, 1].clip(CLIPPED, 1 - CLIPPED))
        np.testing.assert_allclose(found[:, t], expected, atol=1e-6)


def test_a_chain_of_classifiers_gives_all_tasks_at_once(data):
    X, Y = data.X[:200], data.Y[:200, :2]
    chain, (train, test) = ClassifierChain(GaussianNB()), next(FOLDS.split(X))
    p = chain.fit(X[train], Y[train]).predict_proba(X[test])
    found = crossed(ClassifierChain(GaussianNB()), X, Y)
    np.testing.assert_allclose(found[test], logit(p.clip(CLIPPED, 1 - CLIPPED)), atol=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("missing", [False, True])
def test_rows_are_ranked_as_by_the_classifier_and_probabilities_are_calibrated(
    data, penalty, missing
):
    X, Y, X_new, Y_new = data.X[:300], data.Y[:300].copy(), data.X[300:], data.Y[300:]
    alone = [LogisticRegression().fit(X, y).predict_proba(X_new)[:, 1] for y in Y.T]
    if missing:
        Y[::9, 0] = Y[1::7, 3:] = np.nan
    fitted = model(LogisticRegression(), penalty=penalty, alpha=1e-3).fit(X, Y)
    found = fitted.predict(X_new)
    assert (fitted.losses_ == "logistic").all()
    assert fitted.transform(X_new).shape == (300, 3)
    assert roc_auc_score(Y_new, found) > roc_auc_score(Y_new, np.stack(alone, 1)) - 0.01
    losses = [[log_loss(y, p) for y, p in zip(Y_new.T, P, strict=True)] for P in (found.T, alone)]
    assert np.mean(losses[0]) < np.mean(losses[1]) + 0.005
    stored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(stored.predict(X_new), found)


def test_a_forest_that_knows_its_rows_by_heart_gives_no_credit_for_it(data):
    X, noise = data.X[:200], np.random.default_rng(0).integers(0, 2, size=(600, 6)).astype(float)
    fitted = model(RandomForestClassifier(10), alpha=0.01).fit(X, noise[:200])
    p = fitted.predict(data.X[200:])
    assert np.mean([log_loss(y, q) for y, q in zip(noise[200:].T, p.T, strict=True)]) < 0.71


def test_new_tasks_have_heads_on_the_components(data):
    fitted = model(LogisticRegression()).fit(data.X[:300], data.Y[:300, :8])
    new = fitted.adapt(data.X[300:330], data.Y[300:330, 8:])
    assert roc_auc_score(data.Y[330:, 8:], new.predict(data.X[330:])) > 0.8


def test_weights_of_labels_reach_the_classifier(data):
    X, y = data.X[:80], data.Y[:80, 0]
    weight = np.random.default_rng(0).random(80) + 0.1
    found = crossed(LogisticRegression(), X, y, sample_weight=weight)
    train, test = next(FOLDS.split(X))
    alone = LogisticRegression().fit(X[train], y[train], sample_weight=weight[train])
    np.testing.assert_allclose(found[test, 0], alone.decision_function(X[test]), atol=1e-8)


@pytest.mark.parametrize("encoder", [LogisticRegression(), KNeighborsClassifier(9)])
def test_a_task_with_one_class_outside_of_a_fold_has_its_share_there(data, encoder):
    X, Y = data.X[:80], data.Y[:80].copy()
    fold = np.empty(80, dtype=int)
    for k, (_, test) in enumerate(FOLDS.split(X)):
        fold[test] = k
    Y[:, 5] = fold == 2
    with pytest.warns(UserWarning, match=r"1 of 10 tasks have labels of one kind .* a fold \(5\)"):
        found = crossed(encoder, X, Y)
    np.testing.assert_allclose(found[fold == 2, 5], logit(0.5 / 61))
    np.testing.assert_allclose(
        found[fold != 2, 0], crossed(encoder, X, Y[:, 0])[fold != 2, 0], atol=1e-8
    )
    Y[:, 5] = 1
    with pytest.warns(UserWarning, match="1 of 10 tasks have labels of one kind only: 5"):
        fitted = model(encoder).fit(X, Y)
    np.testing.assert_allclose(fitted.predict(X)[:, 5], 1 - 1 / 162)


def test_calibration_is_a_logistic_regression_of_labels_that_are_moved_together():
    random = np.random.default_rng(0)
    score = random.normal(3, 0.2, size=2000)
    y = (random.random(2000) < expit(10 * (score - 3) - 1)).astype(float)
    slope, intercept = calibrate(score, y, np.ones(2000))
    expected = LogisticRegression(C=1e9, tol=1e-10).fit(score[:, None], y)
    assert slope == pytest.approx(expected.coef_[0, 0], rel=0.02)
    assert intercept == pytest.approx(expected.intercept_[0], rel=0.02)
    again = calibrate(np.repeat(score[:50], 2), np.repeat(y[:50], 2), np.ones(100))
    assert calibrate(score[:50], y[:50], np.full(50, 2.0)) == pytest.approx(again)
    separated = np.sign(y[:50] - 0.5)  # which have no finite maximum of the likelihood
    slope, intercept = calibrate(separated, y[:50], np.ones(50))
    ones = y[:50].sum()
    assert expit(slope + intercept) == pytest.approx((ones + 1) / (ones + 2))
    assert expit(intercept - slope) == pytest.approx(1 / (52 - ones))
    assert calibrate(-separated, y[:50], np.ones(50))[0] == 0  # no use is made of wrong ranks
    assert calibrate(np.ones(50), y[:50], np.ones(50))[0] == 0


def test_log_odds_are_corrected_where_folds_ask_for_it():
    random = np.random.default_rng(0)
    P = random.normal(size=(4000, 3))
    mixing = np.array([[1.0, 0, 0], [0.7, 1, 0], [0, 0, 2]])
    Y = (random.random((4000, 3)) < expit(P @ mixing + 0.5)).astype(float)
    fold = np.arange(4000) % 5
    stack = Stack.of(P, fold, binary(Y, 4000), 3)
    np.testing.assert_allclose(stack.coef, mixing, atol=0.2)
    np.testing.assert_allclose((0 - stack.mean) @ stack.coef + stack.intercept, 0.5, atol=0.2)
    assert 1 > stack.loss_of_rank[0] > stack.loss_of_rank[1] > stack.loss_of_rank[2]
    for rank in range(3):
        assert stack.loss_of_rank[rank] > 0.5


def test_the_number_of_components_is_chosen(data):
    fitted = model(LogisticRegression(), n_components="auto", max_iter=0).fit(data.X, data.Y)
    rank, losses = fitted.coef_.shape[1], fitted.regressor_.stack.loss_of_rank
    assert 3 <= rank < 8  # three latents, and what is as good within an error
    assert losses[rank - 1] < 1.01 * losses.min()


class Silent(ClassifierMixin, BaseEstimator):
    """Gives labels alone."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize(
    ("encoder", "loss", "error", "match"),
    [
        (Silent(), "logistic", TypeError, "neither decision_function nor predict_proba"),
        (
            LogisticRegression(),
            "squared_error",
            ValueError,
            "is a classifier, and 10 of 10 tasks do not .*'logistic' .*: set loss=\"logistic\"",
        ),
        (
            LogisticRegression(),
            {0: "logistic"},
            ValueError,
            r"LogisticRegression is a classifier, and 9 of 10 .* \(1, 2, 3, 4, 5, ...\)",
        ),
    ],
)
def test_errors_say_what_is_wrong(data, encoder, loss, error, match):
    with pytest.raises(error, match=match):
        model(encoder, loss=loss).fit(data.X, data.Y)


def test_a_regressor_of_labels_is_calibrated_too(data):
    X, Y, X_new, Y_new = data.X[:300], data.Y[:300], data.X[300:], data.Y[300:]
    fitted = model(Ridge(), alpha=1e-3).fit(X, Y)
    found = fitted.predict(X_new)
    alone = LogisticRegression().fit(X, Y[:, 0]).predict_proba(X_new)[:, 1]
    assert log_loss(Y_new[:, 0], found[:, 0]) < log_loss(Y_new[:, 0], alone) + 0.02
    assert ConstantOdds.of(np.array([1, 1])).value == pytest.approx(np.log(5))
