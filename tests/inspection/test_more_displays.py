"""Displays of heads, trainings, episodes and images: what they draw, and from what."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.inspection import (
    CorrelationDisplay,
    EpisodesDisplay,
    FeaturesUsedDisplay,
    PathDisplay,
    SaliencyDisplay,
    SupportDisplay,
    TrainingDisplay,
    TraversalDisplay,
)
from sklearn_sparsedis.model_selection import EpisodeScores

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(300, 12, n_latents=4, n_features=9, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return SparseDisentangledRepresentation(
        4, encoder="linear", alpha=0.3, max_iter=25, random_state=0
    ).fit(data.X, data.Y)


def shown(axis):
    return np.asarray(axis.images[0].get_array())


def test_supports_are_all_there_in_another_order(fitted):
    display = SupportDisplay.from_estimator(fitted)
    drawn = shown(display.ax_)
    assert sorted(display.task_order) == list(range(12))
    users = (drawn != 0).sum(0)
    assert (np.diff(users) <= 0).all()
    expected = fitted.coef_[np.ix_(display.task_order, display.component_order)]
    np.testing.assert_array_equal(drawn != 0, expected != 0)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == [str(fitted.tasks_[t]) for t in display.task_order]


def test_tasks_of_one_group_stand_together():
    groups = np.random.default_rng(0).permutation(np.repeat([0, 1], 10))
    coef = np.where(groups[:, None] == 0, [1.0, 1, 0, 0], [0.0, 0, 1, 1])
    order = SupportDisplay.from_arrays(coef).task_order
    assert np.abs(np.diff(groups[order])).sum() == 1


def test_correlations_of_components(fitted, data):
    display = CorrelationDisplay.from_estimator(fitted, data.X)
    np.testing.assert_allclose(
        shown(display.ax_), np.corrcoef(fitted.transform(data.X).T), atol=1e-10
    )
    Z = np.c_[np.arange(5.0), np.ones(5)]
    np.testing.assert_allclose(CorrelationDisplay.from_arrays(Z).correlations, [[1, 0], [0, 0]])


def test_path_starts_at_zero_and_ends_near_least_squares(fitted, data):
    y = data.Y[:, 0].copy()
    y[:5] = np.nan
    display = PathDisplay.from_estimator(fitted, data.X, y, task="first")
    assert display.alphas[0] == 1
    assert (display.coefs[:, 0] == 0).all()
    Z = fitted.transform(data.X)[5:]
    Z = (Z - Z.mean(0)) / Z.std(0)
    target = (y[5:] - y[5:].mean()) / y[5:].std()
    exact = np.linalg.lstsq(Z, target, rcond=None)[0]
    np.testing.assert_allclose(display.coefs[:, -1], exact, atol=0.01)
    assert "first" in display.ax_.get_title()


def test_path_under_hubers_loss_is_hardly_moved_by_outliers():
    random = np.random.default_rng(0)
    Z = random.normal(size=(200, 5))
    y = Z @ [2.0, -1.0, 0.0, 0.0, 0.0] + 0.1 * random.normal(size=200)
    wrong = y + 100 * (np.arange(200) < 20) * random.choice([-1, 1], 200)
    clean, spoilt = (
        PathDisplay.from_arrays(Z, x, loss="huber").coefs * x.std() for x in (y, wrong)
    )
    np.testing.assert_allclose(spoilt[:, -1], clean[:, -1], atol=0.1)


def test_path_of_a_logistic_task_is_of_log_odds():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 4))
    Y = np.c_[X[:, 0] + random.normal(size=300) > 0, X[:, 1] > 0].astype(float)
    model = SparseDisentangledRepresentation(
        3, encoder="linear", loss={0: "logistic"}, max_iter=20, random_state=0
    ).fit(X, Y)
    display = PathDisplay.from_estimator(model, X, Y[:, 0], task=0)
    assert (display.coefs[:, 0] == 0).all()
    Z = model.transform(X)
    peer = LogisticRegression(C=np.inf).fit((Z - Z.mean(0)) / Z.std(0), Y[:, 0])
    np.testing.assert_allclose(display.coefs[:, -1], peer.coef_[0], atol=0.05)
    values = PathDisplay.from_estimator(model, X, Y[:, 0])  # of no task that is known
    assert np.abs(values.coefs).max() < 1


def test_training_curves(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), fitted.loss_curve_)
    labels = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    assert labels == {"training", "held out", "kept"}


def test_training_curve_of_a_few_shot_classifier():
    X, y = load_digits(return_X_y=True)
    model = GroupLassoSVMMetaClassifier(8, n_way=3, max_iter=5, random_state=0).fit(X, y)
    assert len(TrainingDisplay.from_estimator(model).losses) == 5


def test_a_curve_of_features_used_takes_one_training():
    X, y = load_digits(return_X_y=True)
    model = GroupLassoSVMMetaClassifier(encoder="discriminant", head="sparse_prototype", n_way=3)
    model.set_params(max_iter=0, random_state=0).fit(X[:300], y[:300])
    display = FeaturesUsedDisplay.from_estimators(
        {"digits": model},
        X[300:],
        y[300:],
        group_reg=(0.0, 0.3),
        n_shot=5,
        n_query=5,
        n_episodes=10,
        random_state=0,
    )
    assert model.group_reg == 0.1
    (curve,) = display.ax_.containers
    used, accuracy = np.array(curve.lines[0].get_data(), dtype=float)
    scores = display.scores["digits"]
    np.testing.assert_allclose(used, [100 * score.features_used.mean() for score in scores])
    np.testing.assert_allclose(accuracy, [100 * score.mean for score in scores])
    assert used[0] == 100 > used[1]
    assert display.ax_.get_legend().get_texts()[0].get_text() == "digits"


def test_curves_on_one_axis_are_all_in_view():
    few, many = (
        [EpisodeScores(np.full(9, 0.5), np.full(9, share)) for share in shares]
        for shares in ((0.1, 0.2), (0.5, 1.0))
    )
    axis = FeaturesUsedDisplay.from_scores({"few": few}).ax_
    FeaturesUsedDisplay.from_scores({"many": many}, ax=axis)
    assert axis.get_xlim()[0] == 0
    assert axis.get_xlim()[1] > 100


def test_episode_accuracies():
    rng = np.random.default_rng(0)
    scores = {
        "sparse": EpisodeScores(rng.uniform(0.6, 1, 50), rng.uniform(0.3, 0.5, 50)),
        "dense": EpisodeScores(rng.uniform(0.5, 1, 50)),
    }
    display = EpisodesDisplay.from_scores(scores)
    points = display.ax_.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [s.mean for s in scores.values()])
    assert "of the features" in display.ax_.get_yticklabels()[0].get_text()


def test_traversal_moves_one_component():
    X, _ = load_digits(return_X_y=True)
    model = PCA(3).fit(X)
    display = TraversalDisplay.from_estimator(model, X, components=[0, 2], n_steps=5)
    assert display.images.shape == (2, 5, 8, 8)
    assert (np.diff(display.values, axis=1) >= 0).all()
    Z = model.transform(display.images[0].reshape(5, 64)) / np.sqrt(model.explained_variance_)
    assert np.ptp(Z[:, 0]) > 2 * np.ptp(Z[:, 1:], axis=0).max()


def test_saliency_of_a_linear_encoder_is_its_weights(data, fitted):
    display = SaliencyDisplay.from_estimator(fitted, data.X, input_shape=(3, 3), components=[1])
    steps = [fitted.transform(data.X[:1] + np.eye(9)[j])[0] for j in range(9)]
    effect = np.abs(np.array(steps) - fitted.transform(data.X[:1]))[:, 1] * data.X.std(0)
    np.testing.assert_allclose(display.saliency[0].ravel(), effect, rtol=1e-6)


def test_saliency_takes_channels_together(data):
    model = SparseDisentangledRepresentation(
        2, encoder="conv", input_shape=(8, 8, 3), max_iter=1, random_state=0
    )
    X = np.random.default_rng(0).random((20, 192)).astype(np.float32)
    fitted = model.fit(X, X[:, :2])
    display = SaliencyDisplay.from_estimator(fitted, X)
    assert display.saliency.shape == (2, 8, 8)
    traversal = TraversalDisplay.from_estimator(fitted, X, n_steps=3)
    assert traversal.images.shape == (2, 3, 8, 8, 3)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: SupportDisplay.from_arrays(np.eye(3), ["a"]), "one name for each of the 3"),
        (lambda: PathDisplay.from_arrays(np.eye(3), np.eye(3)), "y must be one target"),
        (lambda: PathDisplay.from_arrays(np.eye(3), [1, 2, 3], loss="hinge"), "loss must be one"),
        (lambda: PathDisplay.from_arrays(np.eye(3), [1, 2, 3], loss="logistic"), "labels 0 and 1"),
        (lambda: PathDisplay.from_arrays(np.eye(3), [1, 1, np.nan]), "two different values"),
        (lambda: TrainingDisplay.from_arrays([]), "max_iter=0"),
        (lambda: EpisodesDisplay.from_scores({}), "must map names to EpisodeScores"),
        (lambda: FeaturesUsedDisplay.from_scores({"a": []}), "must map names to sequences of"),
        (
            lambda: FeaturesUsedDisplay.from_scores({"a": [EpisodeScores(np.ones(3))]}),
            "scores of 'a' do not know which features were used",
        ),
    ],
)
def test_errors(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_images_need_their_shape(fitted, data):
    with pytest.raises(ValueError, match="product of 9"):
        TraversalDisplay.from_estimator(fitted, data.X, input_shape=(2, 4))
    with pytest.raises(NotFittedError):
        SaliencyDisplay.from_estimator(SparseDisentangledRepresentation(2), data.X)
