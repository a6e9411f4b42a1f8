"""Tables in files: read in chunks, checked as scikit-learn checks arrays, never read whole."""

import functools

import h5py
import numpy as np
import pytest

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.inputs import _rows
from sklearn_sparsedis.inputs._rows import check_rows, check_table, in_file
from tests.sparse_heads import make_tasks


class Dataset:
    """What zarr arrays and the like have in common; says which rows were read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        found = self.array[rows]
        self.largest = max(self.largest, len(found))
        return found


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(_rows, "CHUNK", 400)


@pytest.fixture
def stored(tmp_path):
    """The same table as an HDF5 dataset, a memory map and a dataset of another library."""

    def store(array):
        file = h5py.File(tmp_path / "table.h5", "w")
        path = tmp_path / "table.dat"
        np.memmap(path, array.dtype, "w+", shape=array.shape)[:] = array
        return {
            "hdf5": file.create_dataset("F", data=array),
            "memmap": np.memmap(path, array.dtype, "r", shape=array.shape),
            "other": Dataset(array),
        }

    return store


@functools.cache
def fitted_in_memory(dtype):
    """Features, targets and the rotation of them; to be called where chunks are small."""
    F, Y, _, _ = make_tasks(0)
    F = (100 * F).astype(dtype)
    return F, Y, SparseRotation(random_state=0).fit(F, Y)


@pytest.mark.parametrize("kind", ["hdf5", "memmap", "other"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_a_table_in_a_file_gives_what_the_array_gives(stored, small_chunks, kind, dtype):
    F, Y, expected = fitted_in_memory(dtype)
    table = stored(F)[kind]
    found = SparseRotation(random_state=0).fit(table, Y)
    # the same numbers in the same chunks: only how BLAS adds them up may differ
    np.testing.assert_allclose(found.rotation_, expected.rotation_, rtol=1e-9, atol=1e-12)
    Z = found.transform(table)
    # small integers in a file become float32, which holds them
    array = F.astype(np.float32) if dtype == np.int16 else F
    assert Z.dtype == array.dtype
    np.testing.assert_array_equal(Z, found.transform(array))
    if kind == "other":
        assert table.largest <= 100


def test_targets_may_lie_in_a_file_too(stored, small_chunks):
    F, Y, _, _ = make_tasks(0)
    Y[::3, 1] = np.nan
    expected = SparseRotation(random_state=0).fit(F, Y)
    found = SparseRotation(random_state=0).fit(F, stored(Y)["hdf5"])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["hdf5", "memmap", "other"])
def test_rows_are_taken_in_any_order(stored, kind):
    F = np.arange(60, dtype=np.float32).reshape(20, 3)
    rows = check_rows(SparseRotation(), stored(F)[kind])
    index = np.array([7, 3, 3, 19, 0])
    np.testing.assert_array_equal(rows.take(index), F[index])
    np.testing.assert_array_equal(rows[15:30], F[15:])
    assert rows[3:3].shape == (0, 3)
    assert len(rows) == 20


def test_what_is_an_array_already_is_no_file():
    float_map = np.ones((3, 2)).view(np.memmap)
    for table in (np.ones((3, 2)), [[1.0]], float_map, Dataset(np.ones(3))):
        assert not in_file(table)


def test_names_and_numbers_of_features_are_kept_and_compared():
    F, Y, _, _ = make_tasks(0)
    model = SparseRotation(random_state=0).fit(Dataset(F), Y)
    assert model.n_features_in_ == F.shape[1]
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 3 features, but SparseRotation is expecting 4"):
        model.transform(Dataset(F[:, :3]))


def test_values_that_are_not_finite_are_found_wherever_they_are(small_chunks):
    F, Y, _, _ = make_tasks(0)
    F[-1, -1] = np.nan
    model = SparseRotation()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(Dataset(F), Y)
    assert not hasattr(model, "n_features_in_")
    F[-1, -1] = 1e200
    with pytest.raises(ValueError, match=r"F has values up to 1.0e\+200, whose squares"):
        model.fit(Dataset(F), Y)


def test_a_table_that_changes_its_length_is_refused(small_chunks):
    F, Y, _, _ = make_tasks(0)
    table = Dataset(F)
    rows = check_rows(SparseRotation(), table)
    table.array = F[:300]
    with pytest.raises(ValueError, match="X had 500 rows when it was checked and has 300 now"):
        list(rows.chunks())
    table.array = np.column_stack([F, F])
    with pytest.raises(ValueError, match=r"X gave an array of shape \(100, 8\) where \(100, 4\)"):
        list(rows.chunks())


def test_rows_that_cannot_be_read_are_named(small_chunks):
    class Damaged(Dataset):
        def __getitem__(self, rows):
            if rows.start is not None and rows.start >= 200:
                raise OSError("checksum mismatch")
            return super().__getitem__(rows)

    F, Y, _, _ = make_tasks(0)
    model = SparseRotation()
    with pytest.raises(OSError, match="Rows 204 to 209 of X cannot be read: checksum mismatch"):
        model.fit(Damaged(F), Y)
    assert not hasattr(model, "n_features_in_")


def test_targets_keep_single_precision_and_one_column():
    table = check_table(np.array([1.0, np.nan], dtype=np.float32), "y")[0]
    assert table.shape == (2, 1)
    assert table.dtype == np.float32
    assert check_table([1, 2], "y")[0].dtype == np.float64
