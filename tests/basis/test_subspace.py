"""Features with about as many columns as rows: the directions that the heads are fitted on."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.inputs import _rows
from tests.sparse_heads import make_tasks, match

QUICK = {"n_init": 8, "min_effect": 0, "random_state": 0}


def _embedding(seed, d, clutter=0.0, n_samples=300):
    """Features (n, d) in which latents, clutter and noise are spread over all columns."""
    F, Y, Z, _ = make_tasks(seed, n_samples=n_samples, correlation=0.5, noise=0.2)
    rng = np.random.default_rng(seed)
    F = Z @ rng.standard_normal((4, d))
    others = rng.standard_normal((n_samples, 15)) @ rng.standard_normal((15, d))
    return F + clutter * others + 0.3 * rng.standard_normal(F.shape), Y, Z


@pytest.mark.parametrize("d", [200, 400])
@pytest.mark.parametrize("clutter", [0.0, 2.0])
def test_latents_come_back_from_as_many_columns_as_rows(d, clutter):
    F, Y, Z = _embedding(0, d, clutter)
    model = SparseRotation(**QUICK).fit(F, Y)
    assert model.n_latents_ == 4
    assert 4 <= model.n_directions_ <= 150
    # the best linear map of these features and rows reaches 0.998 and, with clutter, 0.985
    assert match(Z, model.transform(F))[0] > (0.98 if clutter else 0.995)
    assert model.rotation_.shape == (4, d)


def test_directions_hold_clutter_that_is_stronger_than_the_latents():
    F, Y, _ = _embedding(1, 400, clutter=2.0)
    assert SparseRotation(**QUICK).fit(F, Y).n_directions_ >= 19


def test_many_rows_take_all_directions():
    F, Y, _ = _embedding(2, 20)
    assert SparseRotation(**QUICK).fit(F, Y).n_directions_ == 20


def test_missing_labels_count_for_themselves():
    F, Y, Z = _embedding(3, 80, n_samples=600)
    Y = np.where(np.random.default_rng(0).random(Y.shape) < 0.15, Y, np.nan)
    model = SparseRotation(**QUICK).fit(F, Y)
    assert model.n_directions_ < 80
    assert match(Z, model.transform(F))[0] > 0.99


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
def test_as_many_directions_as_components_are_taken():
    F, Y, _ = _embedding(4, 200)
    model = SparseRotation(12, **QUICK).fit(F, Y)
    assert model.n_directions_ >= 12
    assert np.linalg.matrix_rank(model.rotation_) == 12


def test_sparse_features_are_made_dense_some_rows_at_a_time(monkeypatch):
    F, Y, _ = _embedding(5, 30)
    F = np.where(np.abs(F) > 2, F, 0)
    expected = SparseRotation(**QUICK).fit(F, Y)
    held, dense = [], csr_array.toarray
    monkeypatch.setattr(_rows, "CHUNK", 5000)
    monkeypatch.setattr(
        csr_array, "toarray", lambda self: held.append(self.shape[0]) or dense(self)
    )
    model = SparseRotation(**QUICK).fit(csr_array(F), Y)
    np.testing.assert_allclose(model.rotation_, expected.rotation_, atol=1e-7)
    np.testing.assert_allclose(model.predict(csr_array(F)), expected.predict(F), atol=1e-7)
    assert max(held) < 200 < sum(held)
