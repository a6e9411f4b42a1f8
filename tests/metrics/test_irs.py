"""Interventional robustness on cases with a known answer."""

import numpy as np
import pytest

from sklearn_sparsedis.metrics import irs_score
from tests.metrics.cases import grid, normal, rotated


def test_perfect_code_scores_one():
    Z = grid()
    assert irs_score(Z, 1 - 2.0 * Z[:, ::-1]) == pytest.approx(1.0)
    assert irs_score(normal(), normal()) == pytest.approx(1 - 1 / 20, abs=0.03)


def test_definition_on_a_hand_made_case():
    # x = a + 3 b, a and b fair signs: the largest deviation is 4; fixing b leaves |a| = 1, fixing a
    # leaves |3 b| = 3. y = a deviates by 1 and not at all once a is fixed.
    Z = grid(values=(2, 2))
    a, b = 2 * Z.T - 1
    expected = (4 * (1 - 1 / 4) + 1 * 1) / (4 + 1)
    assert irs_score(Z, np.column_stack([a + 3 * b, a]), quantile=1.0) == pytest.approx(expected)


def test_rotation_and_dead_features():
    Z = grid()
    assert irs_score(Z, rotated(Z)) < 0.7
    dead = np.column_stack([rotated(Z), np.full(len(Z), 0.1)])
    assert irs_score(Z, dead) == pytest.approx(irs_score(Z, rotated(Z)), abs=1e-12)
    assert irs_score(Z, np.ones((len(Z), 2))) == 0.0


def test_bad_input():
    with pytest.raises(ValueError, match=r"quantile=0.0 must be in \(0, 1\]"):
        irs_score(grid(), grid(), quantile=0.0)
