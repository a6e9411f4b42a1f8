"""Regressors of scikit-learn as encoders."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import Bunch

from sklearn_sparsedis import SparseDisentangledRepresentation, save_model
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._regressors import RegressorSettings, TaskRegressors, cross_fit
from sklearn_sparsedis.estimators._stack import Stack
from sklearn_sparsedis.inputs._targets import check_targets

FOLDS = KFold(4, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def data():
    drawn = make_sparse_multitask(300, 12, n_latents=3, n_features=6, noise=0.5, random_state=0)
    drawn.Y = drawn.Y / drawn.Y.std(0)
    return drawn


def model(encoder, **parameters):
    defaults = {"max_iter": 20, "random_state": 0, "cv": FOLDS}
    parameters = {"n_components": 3, **defaults, **parameters}
    return SparseDisentangledRepresentation(encoder=encoder, **parameters)


def crossed(encoder, X, Y, *, groups=None, cv=FOLDS, **targets):
    """Predictions of rows that regressors have not seen, and mean predictions of others."""
    targets = check_targets(Y, len(X), caller="", **targets)
    held_out, fold, folds = cross_fit(RegressorSettings(encoder, cv, 3), X, targets, groups, 0)
    regressors = TaskRegressors(folds, Stack.of(held_out, fold, targets, 3))
    return Bunch(held_out=held_out, predict=regressors.predict)


@pytest.mark.parametrize(
    "encoder",
    [
        KernelRidge(),
        KNeighborsRegressor(20),  # takes several targets
        SVR(),  # takes one
        make_pipeline(StandardScaler(), PolynomialFeatures(), Ridge()),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_training_rows_have_predictions_of_regressors_that_have_not_seen_them(data, encoder):
    X, Y = data.X[:200], data.Y[:200]
    found = crossed(encoder, X, Y)
    for t in range(Y.shape[1]):
        expected = cross_val_predict(encoder, X, Y[:, t], cv=FOLDS)
        np.testing.assert_allclose(found.held_out[:, t], expected, atol=1e-8)
    fits = [clone(encoder).fit(X[train], Y[train, 0]) for train, _ in FOLDS.split(X)]
    new = np.mean([fit.predict(data.X[200:]) for fit in fits], axis=0)
    np.testing.assert_allclose(found.predict(data.X[200:])[:, 0], new, atol=1e-8)


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@pytest.mark.parametrize("penalty", ["l1", "l2", "l0", "mcp"])
def test_accuracy_is_that_of_the_regressor(data, penalty):
    X, Y = data.X[:200], data.Y[:200]
    fitted = model(LinearRegression(), penalty=penalty, alpha=1e-3).fit(X, Y)
    alone = LinearRegression().fit(X, Y).score(data.X[200:], data.Y[200:])
    assert fitted.score(data.X[200:], data.Y[200:]) > alone - 0.01
    assert fitted.transform(X).shape == (200, 3)
    assert fitted.transform(X.astype(np.float32)).dtype == np.float32


def test_new_tasks_have_heads_on_the_components(data):
    fitted = model(LinearRegression()).fit(data.X[:200], data.Y[:200])
    new = fitted.adapt(data.X[200:220], data.Z[200:220, :1])
    assert new.score(data.X[220:], data.Z[220:, :1]) > 0.8


def test_alpha_chooses_zeros_and_does_not_shrink(data):
    X, Y = data.X[:200], data.Y[:200]
    fitted, strong = model(LinearRegression()).fit(X, Y), model(LinearRegression(), alpha=0.3)
    assert fitted.alpha_ == 0.2
    assert strong.fit(X, Y).alpha_ == 0.3
    assert (~strong.support_).sum() > 0
    alone = LinearRegression().fit(X, Y).score(data.X[200:], data.Y[200:])
    # a Lasso of that strength has a tenth of the variance left to explain
    assert strong.score(data.X[200:], data.Y[200:]) > alone - 0.03
    # heads of new tasks are fitted to labels, which have noise
    new = fitted.adapt(data.X[200:], data.Y[200:, :1], prior=None)
    weaker = fitted.set_params(alpha=0.05).adapt(data.X[200:], data.Y[200:, :1], prior=None)
    np.testing.assert_array_equal(new.coef_, weaker.coef_)


def test_heads_are_fitted_on_components_of_held_out_predictions(data):
    noise = np.random.default_rng(0).normal(size=(300, 12))
    memory = model(DecisionTreeRegressor()).fit(data.X[:200], noise[:200])
    assert np.abs(memory.predict(data.X[:200])).max() < 1  # though a tree knows the noise by heart
    assert memory.score(data.X[200:], noise[200:]) > -0.1


@pytest.mark.parametrize("missing", [False, True])
def test_weights_of_rows_count_as_repeated_rows(data, missing):
    X, Y = data.X[:80], data.Y[:80].copy()
    if missing:
        Y[::7, 0] = Y[1::5, 3:] = np.nan
    times = np.random.default_rng(0).integers(0, 3, size=80)
    fold = np.arange(80) % 4
    weighted = crossed(
        Ridge(), X, Y, sample_weight=times, cv=GroupKFold(4), groups=fold, tasks=None
    )
    index = np.repeat(np.arange(80), times)
    again = crossed(Ridge(), X[index], Y[index], cv=GroupKFold(4), groups=fold[index])
    np.testing.assert_allclose(weighted.predict(data.X), again.predict(data.X), atol=1e-8)


def test_weights_reach_the_last_step_of_a_pipeline(data):
    X, y = data.X[:80], data.Y[:80, 0]
    weight = np.random.default_rng(0).random(80) + 0.1
    pipeline = make_pipeline(StandardScaler(), Ridge())
    found = crossed(pipeline, X, y, sample_weight=weight)
    train, test = next(FOLDS.split(X))
    alone = clone(pipeline).fit(X[train], y[train], ridge__sample_weight=weight[train])
    np.testing.assert_allclose(found.held_out[test, 0], alone.predict(X[test]), atol=1e-8)
    with pytest.raises(ValueError, match="KNeighborsRegressor.fit takes no sample_weight"):
        crossed(KNeighborsRegressor(), X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        steps = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            Ridge().set_fit_request(sample_weight=True),
        )
        routed = crossed(steps, X, y, sample_weight=weight)
    np.testing.assert_allclose(routed.held_out, found.held_out)


def test_labels_that_are_missing_are_left_out(data):
    X, Y = data.X[:200], data.Y[:200].copy()
    Y[:60, 0] = Y[100:150, 1] = np.nan
    found = crossed(Ridge(), X, Y)
    for t, there in ((0, np.arange(60, 200)), (1, np.r_[:100, 150:200])):
        for train, test in FOLDS.split(X):
            own = np.intersect1d(train, there)
            alone = Ridge().fit(X[own], Y[own, t])
            np.testing.assert_allclose(found.held_out[test, t], alone.predict(X[test]), atol=1e-8)
    row, task = np.nonzero(~np.isnan(Y))
    long = crossed(Ridge(), X[row], Y[row, task], task_id=task, cv=3)
    assert long.held_out.shape == (len(row), 12)
    score = model(Ridge()).fit(X, Y).score(data.X[200:], data.Y[200:])
    assert score > Ridge().fit(X, data.Y[:200]).score(data.X[200:], data.Y[200:]) - 0.05


def test_groups_stay_together(data):
    X, Y = data.X[:60], data.Y[:60]
    groups = np.repeat(np.arange(6), 10)
    found = crossed(DecisionTreeRegressor(), X, Y, groups=groups, cv=None)
    again = crossed(
        DecisionTreeRegressor(), X, Y, groups=groups, cv=GroupKFold(5, shuffle=True, random_state=0)
    )
    np.testing.assert_array_equal(found.held_out, again.held_out)
    assert np.isin(found.held_out[:, 0], Y[:, 0]).all()  # a tree repeats labels, of other groups
    for group in range(6):
        own = groups == group
        assert not np.isin(found.held_out[own, 0], Y[own, 0]).any()
    with config_context(enable_metadata_routing=True):
        requesting = model(Ridge(), cv=None).set_fit_request(groups=True)
        routed = make_pipeline(StandardScaler(), requesting).fit(X, Y, groups=groups)
    direct = model(Ridge(), cv=None).fit(StandardScaler().fit_transform(X), Y, groups=groups)
    np.testing.assert_array_equal(routed[-1].coef_, direct.coef_)


def test_fixed_seeds_give_equal_models_and_copies(data):
    X, Y = data.X[:120], data.Y[:120]
    forest = RandomForestRegressor(5)
    fitted = model(forest, cv=None).fit(X, Y)
    assert forest.random_state is None
    again = clone(fitted).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    stored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(stored.predict(X), fitted.predict(X))
    grid = GridSearchCV(model(Ridge()), {"encoder__alpha": [1e-3, 1e5]}, cv=2).fit(X, Y)
    assert grid.best_params_ == {"encoder__alpha": 1e-3}


def test_a_file_cannot_hold_a_regressor(data, tmp_path):
    fitted = model(Ridge()).fit(data.X, data.Y)
    with pytest.raises(TypeError, match="encoder Ridge cannot be stored without code.*joblib"):
        save_model(fitted, tmp_path / "model")


def test_what_a_regressor_does_not_have(data):
    fitted = model(Ridge()).fit(data.X, data.Y)
    with pytest.raises(AttributeError, match="its components are no linear map of X"):
        fitted.coef_features_  # noqa: B018
    assert not hasattr(fitted, "partial_fit")
    assert hasattr(model("mlp"), "partial_fit")
    with pytest.warns(UserWarning, match="rank of the encoder's predictions of the tasks, 2, and"):
        model(Ridge()).fit(data.X, data.Y[:, :2])


class Odd(RegressorMixin, BaseEstimator):
    """Fails in various ways."""

    def __init__(self, how="fit"):
        self.how = how

    def fit(self, X, y):
        if self.how == "fit" and 3.0 not in X[:, 0]:
            raise RuntimeError("there is no three")
        return self

    def predict(self, X):
        return np.full(len(X) + (self.how == "shape"), np.nan if self.how == "value" else 0.0)


@pytest.mark.parametrize(
    ("encoder", "parameters", "error", "match"),
    [
        (PCA(), {}, TypeError, "has no predict: give a regressor"),
        (Ridge, {}, TypeError, r"encoder is the class Ridge: give an instance, Ridge\(\)"),
        (Ridge(), {"cv": 1}, ValueError, "cv must be at least 2"),
        (Ridge(), {"cv": "loo"}, TypeError, "cv must be an integer, a splitter"),
        (Ridge(), {"warm_start": True}, ValueError, "warm_start=True is for networks"),
        (Ridge(), {"cv": [([0, 1], [2, 3])]}, ValueError, "row 0 is in 0 of them"),
        (Odd(), {}, ValueError, "encoder=Odd failed in fold 2 of 4: RuntimeError: there is no"),
        (Odd("value"), {}, ValueError, "fold 1 of 4: ValueError: predict gave values that are not"),
        (Odd("shape"), {}, ValueError, r"predict gave an array of shape \(\d+,\) for \d+ rows"),
    ],
)
def test_errors_say_what_is_wrong_and_where(data, encoder, parameters, error, match):
    fitted = model(encoder, **{"cv": KFold(4), **parameters})
    before = dict(vars(fitted))
    X = np.arange(80.0)[:, None] // 8
    with pytest.raises(error, match=match):
        fitted.fit(X, data.Y[:80])
    assert vars(fitted) == before


def test_a_task_whose_labels_are_all_in_one_fold_is_named(data):
    Y = data.Y[:80].copy()
    Y[1:, 5] = np.nan
    with pytest.raises(ValueError, match=r"1 of 12 tasks have no label .* in fold \d of 4, .*: 5"):
        model(Ridge()).fit(data.X[:80], Y)


def test_standard_deviations_are_of_rows_that_regressors_have_not_seen(data):
    X, Y = data.X[:200], data.Y[:200].copy()
    Y[:50, 0] = np.nan
    fitted = model(DecisionTreeRegressor()).fit(X, Y)
    predicted, std = fitted.predict(data.X[200:], return_std=True)
    covered = np.abs(predicted - data.Y[200:]) < 1.645 * std
    assert 0.87 < covered.mean() < 0.97  # a mean over trees is better than each
    in_sample = np.abs(fitted.predict(X) - data.Y[:200]) < 1.645 * std[:1]
    assert in_sample.mean() > covered.mean()
    task = np.arange(100) % 12
    ours, own = fitted.predict(data.X[200:], task_id=task, return_std=True)
    np.testing.assert_array_equal(own, std[np.arange(100), task])
    np.testing.assert_allclose(ours, predicted[np.arange(100), task])
    assert fitted.adapt(X[:30], data.Z[:30, :1]).residual_std_ is None
    labels = (data.Y[:200] > 0).astype(float)
    logistic = model(Ridge(), loss="logistic", max_iter=0).fit(X, labels)
    with pytest.raises(ValueError, match="these heads have no distribution"):
        logistic.predict(X, return_std=True)


@pytest.mark.parametrize("missing", [False, True])
def test_the_number_of_components_is_chosen(data, missing):
    Y = data.Y.copy()
    if missing:
        Y[::10, 0] = np.nan
    fitted = model(LinearRegression(), n_components="auto").fit(data.X, Y)
    assert fitted.coef_.shape[1] in (3, 4)  # three latents, and what is as good within an error
    assert len(fitted.get_feature_names_out()) == fitted.coef_.shape[1]
    losses = fitted.regressor_.stack.loss_of_rank
    assert losses[2] < 1.05 * losses.min() < losses[1]
    for rank in (1, 2, 4):
        other = model(LinearRegression()).set_params(n_components=rank, alpha=0).fit(data.X, Y)
        np.testing.assert_allclose(other.regressor_.stack.loss_of_rank, losses[:rank])


def test_a_correction_is_made_where_folds_ask_for_it(data):
    random = np.random.default_rng(0)
    P = random.normal(size=(200, 4))
    fold = np.arange(200) % 5
    mixing = np.eye(4) + 0.5 * random.normal(size=(4, 4))
    clear = check_targets(P @ mixing + 1, 200, caller="")
    stack = Stack.of(P, fold, clear, 4)
    np.testing.assert_allclose(stack.coef, mixing, atol=0.01)
    np.testing.assert_allclose(
        (P - stack.mean) @ stack.coef + stack.intercept, clear.array, atol=0.1
    )
    noise = check_targets(P + 3 * random.normal(size=(200, 4)), 200, caller="")
    np.testing.assert_allclose(Stack.of(P, fold, noise, 4).coef, np.eye(4), atol=0.05)


@pytest.mark.parametrize("encoder", ["mlp", "linear"])
def test_groups_are_for_regressors(data, encoder):
    with pytest.raises(ValueError, match="groups are for an encoder that is a regressor"):
        model(encoder).fit(data.X, data.Y, groups=np.zeros(300))
