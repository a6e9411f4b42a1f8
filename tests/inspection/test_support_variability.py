"""The finite test of the theorem's fifth assumption."""

import numpy as np
import pytest

from sklearn_sparsedis.inspection import support_variability


def _by_definition(support):
    """Assumption 5 as the paper writes it: a union of sets for every latent."""
    m = support.shape[1]
    everything = set(range(m))
    for j in range(m):
        union = set()
        for row in support:
            if not row[j]:
                union |= set(np.flatnonzero(row))
        if union != everything - {j}:
            return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_the_definition(seed):
    rng = np.random.default_rng(seed)
    support = rng.random((rng.integers(2, 12), rng.integers(2, 6))) < rng.uniform(0.2, 0.8)
    assert support_variability(support).holds == _by_definition(support)


def test_both_answers_occur_in_the_random_supports():
    answers = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        support = rng.random((rng.integers(2, 12), rng.integers(2, 6))) < rng.uniform(0.2, 0.8)
        answers.add(support_variability(support).holds)
    assert answers == {True, False}


def test_singletons_separate_everything():
    report = support_variability(np.eye(4))
    assert report.holds
    assert not report.inseparable.any()
    assert report.blocks == []
    np.testing.assert_array_equal(report.counts, 1 - np.eye(4))
    assert str(report) == (
        "Support variability holds for all 4 latents; the weakest pair rests on 1 task(s)."
    )


def test_nested_supports_name_the_direction():
    # latent 1 never occurs without latent 0, but latent 0 does without latent 1
    report = support_variability([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    expected = np.zeros((3, 3), dtype=bool)
    expected[0, 1] = True
    np.testing.assert_array_equal(report.inseparable, expected)
    assert report.blocks == []
    assert "latent 0: no task uses 1 without it" in str(report)


def test_blocks_are_found():
    block = np.repeat(np.eye(3, dtype=bool), 2, axis=1)
    report = support_variability(block)
    assert [b.tolist() for b in report.blocks] == [[0, 1], [2, 3], [4, 5]]
    assert "latents 2, 3 always occur together" in str(report)


def test_unused_latent_fails_and_is_named():
    report = support_variability([[1, 0, 0], [0, 1, 0]])
    assert not report.holds
    assert report.blocks == []
    assert "latent 2 is used by no task" in str(report)


def test_coefficients_count_as_their_support():
    coef = np.array([[0.5, 0.0], [0.0, -2.0]])
    assert support_variability(coef).holds


def test_long_reports_are_cut():
    report = str(support_variability(np.ones((3, 30))))
    assert "fails for 30 of 30 latents" in report
    assert "and 20 more" in report
    assert report.count("\n") < 15


@pytest.mark.parametrize(
    ("support", "message"),
    [([1, 0], "Expected 2D array"), ([[np.nan, 1.0]], "support contains NaN")],
)
def test_bad_input(support, message):
    with pytest.raises(ValueError, match=message):
        support_variability(support)
