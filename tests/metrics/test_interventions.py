"""Scores from rows that share the value of a latent."""

import numpy as np
import pytest

from sklearn_sparsedis.metrics import beta_vae_score, factor_vae_score
from tests.metrics.cases import grid, normal, rotated

SCORES = pytest.mark.parametrize("score", [beta_vae_score, factor_vae_score])


@SCORES
@pytest.mark.parametrize("Z", [grid(), normal()], ids=["discrete", "continuous"])
def test_perfect_noise_and_dead_codes(score, Z):
    assert score(Z, 1 - 2.0 * Z[:, ::-1], n_batches=600) > 0.99
    chance = 1 / Z.shape[1]
    noise = normal(len(Z), 4, seed=3)
    assert score(Z, noise, n_batches=2000) == pytest.approx(chance, abs=0.08)
    dead = np.column_stack([np.full(len(Z), 0.3), Z])
    assert score(Z, dead, n_batches=600) > 0.99
    assert score(Z, np.ones((len(Z), 3))) == 0.0


def test_rotation_lowers_factor_vae():
    Z = normal(4000, 6)
    assert factor_vae_score(Z, rotated(Z), n_batches=1000) < 0.9


@SCORES
def test_redundant_features_are_forgiven(score):
    Z = grid()
    assert score(Z, np.column_stack([Z, -Z]), n_batches=600) > 0.99


def test_factor_vae_of_fewer_features():
    # the one feature always votes for the same latent, right in one case of three
    assert factor_vae_score(grid(), grid()[:, 0], n_batches=600) == pytest.approx(1 / 3)


@SCORES
def test_seed(score):
    Z = grid()
    code = rotated(Z)
    assert score(Z, code, n_batches=300) == score(Z, code, n_batches=300)


@SCORES
def test_bad_input(score):
    with pytest.raises(ValueError, match="must have at least two latents"):
        score(grid()[:, 0], grid())
    with pytest.raises(
        ValueError, match="column 1 of Z_true must have a value that two rows share"
    ):
        score(np.column_stack([np.arange(10) % 2, np.arange(10)]), grid()[:10])
    with pytest.raises(ValueError, match="batch_size=1 must be an integer >= 2"):
        score(grid(), grid(), batch_size=1)
