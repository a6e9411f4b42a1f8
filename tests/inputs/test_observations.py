"""Layouts of targets: a sparse Y equals the dense one with NaN; what is wrong is named."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.inputs._observations import check_observations, check_sparse_targets
from tests.sparse_heads import make_tasks


def observed(seed=0, share=0.3):
    """Features, dense targets with NaN, and the same as rows, columns and values."""
    F, Y, _, _ = make_tasks(seed, n_samples=800)
    mask = np.random.default_rng(seed).random(Y.shape) < share
    Y[mask & (np.random.default_rng(1).random(Y.shape) < 0.05)] = 0.0
    row, column = np.nonzero(mask)
    return F, np.where(mask, Y, np.nan), (Y[row, column], (row, column))


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("format", ["coo", "csc", "csr"])
def test_a_sparse_Y_equals_the_dense_one_with_NaN(format, kind):
    F, Y, entries = observed()
    table = getattr(sparse, f"{format}_{kind}")(entries, shape=Y.shape)
    assert (table.data == 0).any()
    before = table.data.copy()
    dense = SparseRotation(random_state=0).fit(F, Y)
    found = SparseRotation(random_state=0).fit(F, table)
    np.testing.assert_allclose(found.rotation_, dense.rotation_, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.intercept_, dense.intercept_, rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(table.data, before)


def test_values_of_a_csr_array_out_of_order_are_put_in_order_in_a_copy():
    table = sparse.csr_array(([2.0, 1.0], [1, 0], [0, 2]), shape=(1, 2))
    found = check_sparse_targets(table, 1)
    assert found.indices.tolist() == [0, 1]
    assert table.indices.tolist() == [1, 0]


def test_integers_become_float64_and_float32_stays():
    for dtype, expected in ((np.int64, np.float64), (np.float32, np.float32)):
        table = sparse.csr_array(np.eye(3, dtype=dtype))
        assert check_sparse_targets(table, 3).dtype == expected


def entry(value):
    return sparse.coo_array(([1.0, value], ([0, 1], [0, 1])), shape=(4, 2))


@pytest.mark.parametrize(
    ("Y", "error", "message"),
    [
        (entry(np.nan), ValueError, "What is missing must have no entry"),
        (entry(np.inf), ValueError, "entries that are NaN or infinite"),
        (entry(1.0).tocsr()[:3], ValueError, "with n_samples=4, the rows of X; got"),
        (
            sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(4, 2)),
            ValueError,
            "1 entries of a sparse Y occur more than once",
        ),
        (entry(1.0).tolil(), TypeError, "formats coo, csc, csr, got lil"),
        (
            sparse.coo_array(([1.0], ([0], [0])), shape=(4, 2)),
            ValueError,
            "1 of 2 tasks have none: 1. Remove these tasks",
        ),
    ],
    ids=["nan", "inf", "shape", "twice", "format", "empty"],
)
def test_what_is_wrong_with_a_sparse_Y_is_said(Y, error, message):
    with pytest.raises(error, match=message):
        check_observations(Y, 4, caller="SparseRotation")


def test_a_sparse_Y_needs_no_task_id():
    with pytest.raises(ValueError, match="Leave out task_id"):
        check_observations(entry(1.0), 4, task_id=np.zeros(4, int), caller="SparseRotation")


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_observations_of_some_rows_and_tasks(layout):
    Y = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan], [np.nan, 8.0, 9.0]])
    row, column = np.nonzero(~np.isnan(Y))
    table = Y if layout == "dense" else sparse.coo_array((Y[row, column], (row, column)))
    found = check_observations(table, 3, caller="SparseRotation")
    assert not found.shared
    assert found.chunks(3) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert found.chunks(4) == [slice(0, 2), slice(2, 3)]
    row, task, y = found.on(slice(1, 3), slice(1, 3))
    assert task.tolist() == [0, 0, 1]
    assert row.tolist() == [0, 1, 1]
    assert y.tolist() == [5.0, 8.0, 9.0]
