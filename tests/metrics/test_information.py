"""Scores from mutual information, on cases with a known answer."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from sklearn_sparsedis.metrics import mig_score, modularity_score
from sklearn_sparsedis.metrics._factors import (
    discrete_mask,
    entropies,
    information_matrix,
    labels_of,
)
from tests.metrics.cases import grid, normal, rotated


def test_information_and_entropy_equal_scikit_learn_and_scipy():
    rng = np.random.default_rng(0)
    true, pred = rng.integers(4, size=(200, 3)), rng.integers(7, size=(200, 2))
    pred[:, 0] += true[:, 1]
    expected = [[mutual_info_score(a, b) for b in pred.T] for a in true.T]
    np.testing.assert_allclose(information_matrix(true, pred), expected, atol=1e-12)
    np.testing.assert_allclose(
        entropies(true), [entropy(np.bincount(c)) for c in true.T], atol=1e-12
    )


def test_bins_have_equal_width_and_few_values_are_kept():
    np.testing.assert_array_equal(labels_of(np.array([0, 0.9, 1.1, 3.9, 4.0]), 4), [0, 0, 1, 3, 3])
    np.testing.assert_array_equal(labels_of(np.array([5.0, -1, 5, 1e9]), 4), [1, 0, 1, 2])
    wide = labels_of(1.7e308 * np.linspace(-1, 1, 9), 3)
    np.testing.assert_array_equal(wide, [0, 0, 0, 1, 1, 1, 2, 2, 2])


def test_discrete_mask():
    assert discrete_mask(grid(), "auto").all()
    assert not discrete_mask(normal(), "auto").any()
    np.testing.assert_array_equal(discrete_mask(normal(m=2), [True, False]), [True, False])
    assert discrete_mask(normal(m=2), True).all()
    with pytest.raises(ValueError, match="must be 'auto', a boolean"):
        discrete_mask(grid(), "all")
    with pytest.raises(ValueError, match=r"boolean array of shape \(3,\), got int64"):
        discrete_mask(grid(), [0, 1, 1])


@pytest.mark.parametrize("score", [mig_score, modularity_score])
def test_perfect_permuted_code_of_independent_factors_scores_one(score):
    Z = grid(values=(3, 4, 40), copies=1)  # more values than bins
    assert score(Z, 3.0 - 2.0 * Z[:, [2, 0, 1]]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("score", [mig_score, modularity_score])
def test_dead_features_change_nothing(score):
    Z = grid()
    code = rotated(Z)
    dead = np.column_stack([np.full(len(Z), 0.3), code, np.zeros(len(Z))])
    assert score(Z, dead) == pytest.approx(score(Z, code), abs=1e-12)
    assert score(Z, np.full((len(Z), 2), 0.3)) == 0.0


@pytest.mark.parametrize(("score", "margin"), [(mig_score, 0.8), (modularity_score, 0.1)])
def test_continuous_code_and_rotation(score, margin):
    Z = normal(5000)
    perfect = score(Z, Z)
    # chance information: 19^2 / (2 * 5000 * H), H about 2.4 nats
    assert perfect == pytest.approx(1.0, abs=0.03)
    assert score(Z, rotated(Z)) < perfect - margin


def test_gap_of_a_hand_made_case():
    # x1 tells z1 exactly; x2 tells whether z1 > 1, one bit of the two; nothing tells z2
    Z = grid(values=(4, 2), copies=1)
    code = np.column_stack([Z[:, 0], Z[:, 0] > 1])
    assert mig_score(Z, code) == pytest.approx((1 - 0.5) / 2)


def test_redundant_copies_close_the_gap_and_single_feature_has_no_rival():
    Z = grid(values=(4, 2), copies=1)
    assert mig_score(Z, np.column_stack([Z, Z])) == 0.0
    assert mig_score(Z, Z[:, :1]) == pytest.approx(0.5)


def test_modularity_of_a_hand_made_case():
    # the only feature knows two of the three independent bits equally well: 1 - 1 / 2
    Z = grid(values=(2, 2, 2), copies=1)
    assert modularity_score(Z, Z[:, 0] + 2 * Z[:, 1]) == pytest.approx(0.5)


def test_bad_input():
    with pytest.raises(ValueError, match="must have at least two latents"):
        modularity_score(grid()[:, 0], grid())
    with pytest.raises(ValueError, match="n_bins=1 must be an integer >= 2"):
        mig_score(grid(), grid(), n_bins=1)
    with pytest.raises(ValueError, match=r"Z_true has constant columns \[1\]"):
        mig_score(grid() * [1, 0, 1], grid())
