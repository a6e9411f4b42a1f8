"""Displays: what they draw, and from what."""

import matplotlib as mpl
import numpy as np
import pytest

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.inspection import ConfidenceDisplay, HeadsDisplay, MatchDisplay

mpl.use("Agg")


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(400, 40, n_latents=3, n_features=3, random_state=0)


@pytest.fixture(scope="module", params=["rotation", "representation"])
def fitted(request, data):
    if request.param == "rotation":
        return SparseRotation(random_state=0).fit(data.X, data.Y)
    return SparseDisentangledRepresentation(
        3, encoder="linear", penalty="l0", max_iter=20, random_state=0
    ).fit(data.X, data.Y)


@pytest.fixture(autouse=True)
def close_figures():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_heads_before_and_after(fitted):
    display = HeadsDisplay.from_estimator(fitted)
    before, after = (np.asarray(axis.images[0].get_array()) for axis in display.ax_)
    assert before.shape == after.shape == (40, 3)
    assert np.abs(after).max() == pytest.approx(1)
    assert (after == 0).mean() > (np.abs(before) < 1e-6).mean() + 0.2
    # tasks are sorted by what they use
    assert sorted(map(tuple, np.round(after, 9))) == sorted(
        map(
            tuple,
            np.round(fitted.coef_ / np.abs(fitted.coef_).max(1, keepdims=True), 9),
        )
    )


def test_matched_correlations(fitted, data):
    display = MatchDisplay.from_estimator(fitted, data.X, data.Z)
    assert display.score > 0.99
    shown = np.asarray(display.ax_.images[0].get_array())
    np.testing.assert_allclose(np.diag(shown), 1, atol=0.01)
    assert "MCC" in display.ax_.get_title()


def test_matched_correlations_with_more_components_than_latents():
    Z = np.random.default_rng(0).normal(size=(50, 4))
    display = MatchDisplay.from_arrays(Z[:, [2, 0]], Z)
    assert display.order[:2].tolist() == [2, 0]
    assert display.correlations.shape == (2, 4)
    assert display.score == pytest.approx(1)


def test_confidence(fitted):
    display = ConfidenceDisplay.from_estimator(fitted)
    assert [len(axis.patches) for axis in display.ax_] == [3, 3]
    assert (display.scores > display.chance).all()


def test_axes_given_are_drawn_on():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    display = ConfidenceDisplay.from_arrays([3, 1], [1, 2], [1, 0.4], [True, False], ax=axes)
    assert display.figure_ is figure
    assert display.ax_[0] is axes[0]
    with pytest.raises(ValueError, match="ax must be 2 axes, got 1"):
        display.plot(axes[0])


def test_arrays_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="same tasks as rows, got 3 and 2"):
        HeadsDisplay.from_arrays(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="must have shape"):
        ConfidenceDisplay.from_arrays([3, 1], [1], [1, 0.4], [True, False])


def test_estimators_without_a_basis_are_refused(data):
    model = SparseDisentangledRepresentation(3, encoder="linear", max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="has no basis to show"):
        HeadsDisplay.from_estimator(model.fit(data.X, data.Y))
