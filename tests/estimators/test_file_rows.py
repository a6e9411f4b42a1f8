"""Rows that stay in a file: the same models as from memory, read in pieces."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.utils.data import TensorDataset

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.tasks._file_rows import FileRows


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(400, 12, n_latents=3, n_features=8, random_state=0)


def model(**parameters):
    defaults = {"encoder": "linear", "max_iter": 20, "random_state": 0, "batch_size": 64}
    return SparseDisentangledRepresentation(3, **{**defaults, **parameters})


def in_file(kind, X, folder):
    """The same table in a file of some kind."""
    if kind.startswith("memmap"):
        X = X.astype(kind.split()[1])
        stored = np.memmap(folder / "X", dtype=X.dtype, mode="w+", shape=X.shape)
        stored[:] = X
        stored.flush()
        return np.memmap(folder / "X", dtype=X.dtype, mode="r", shape=X.shape)
    if kind == "dataset":
        return TensorDataset(torch.tensor(X), torch.zeros(len(X)))
    if kind == "zarr":
        return pytest.importorskip("zarr").array(X, chunks=(50, 8))
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "X.h5", "w") as file:
        file["X"] = X
    return h5py.File(folder / "X.h5")["X"]


class Watched:
    """A dataset that remembers how many rows were asked for at once."""

    def __init__(self, X):
        self.X, self.shape, self.dtype, self.most = X, X.shape, X.dtype, 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        found = self.X[rows[0] if isinstance(rows, tuple) else rows]
        self.most = max(self.most, len(found))
        return found


KINDS = ["memmap float64", "memmap float32", "hdf5", "zarr", "dataset"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parameters", [{}, {"penalty": "l0"}, {"encoder": "mlp"}], ids=str)
@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
def test_fit_is_that_of_the_array(data, kind, parameters, tmp_path):
    X = in_file(kind, data.X, tmp_path)
    array = data.X.astype(kind.split()[1]) if " " in kind else data.X
    one = model(**parameters).fit(X, data.Y)
    other = model(**parameters).fit(array, data.Y)
    tolerance = {"atol": 1e-3} if array.dtype == np.float32 else {"atol": 1e-8}
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, **tolerance)
    np.testing.assert_allclose(one.coef_, other.coef_, **tolerance)
    np.testing.assert_allclose(one.transform(X), other.transform(array), **tolerance)
    np.testing.assert_allclose(one.predict(X), other.predict(array), **tolerance)
    assert one.score(X, data.Y) == pytest.approx(other.score(array, data.Y), abs=1e-3)
    new, known = one.adapt(X, data.Y[:, :2]), other.adapt(array, data.Y[:, :2])
    np.testing.assert_allclose(new.coef_, known.coef_, **tolerance)
    passed = one.partial_fit(X, data.Y).coef_
    np.testing.assert_allclose(passed, other.partial_fit(array, data.Y).coef_, **tolerance)


@pytest.mark.parametrize("encoder", ["conv", "mlp"])
def test_images_of_bytes(encoder, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, size=(150, 64), dtype=np.uint8)
    Y = images[:, :3] / 255.0
    X = in_file("memmap uint8", images, tmp_path)
    weights = random.integers(1, 3, size=150).astype(float)
    one = model(encoder=encoder).fit(X, Y, sample_weight=weights)
    array = images.astype(np.float32)
    other = model(encoder=encoder).fit(array, Y, sample_weight=weights)
    np.testing.assert_allclose(one.transform(X), other.transform(array), atol=1e-4)
    assert one.transform(X).dtype == np.float32


def test_rows_are_read_in_pieces(data):
    X, Y = Watched(np.tile(data.X, (12, 1))), np.tile(data.Y, (12, 1))
    fitted = SparseDisentangledRepresentation(
        3, encoder=torch.nn.Linear(8, 3).double(), max_iter=5, batch_size=64, random_state=0
    ).fit(X, Y)
    fitted.predict(X)
    assert X.most == 1024


def test_values_that_are_missing_in_a_file(data):
    stored = data.X.copy()
    stored[300, 2] = np.nan
    before = vars(model()).keys()
    estimator = model()
    with pytest.raises(ValueError, match="X contains NaN"):
        estimator.fit(Watched(stored), data.Y)
    assert vars(estimator).keys() == before


def test_a_file_that_shrinks_or_has_other_columns(data):
    class Shrinking(Watched):
        def __getitem__(self, rows):
            found = super().__getitem__(rows)
            self.n_reads = getattr(self, "n_reads", 0) + 1
            if self.n_reads == 3:
                self.X, self.shape = self.X[:350], (350, 8)
            return found

    with pytest.raises(ValueError, match="had 400 rows when it was checked and has 350 now"):
        model().fit(Shrinking(data.X), data.Y)
    with pytest.raises(ValueError, match="X has 7 features"):
        model().fit(data.X, data.Y).predict(Watched(data.X[:, :7]))


def test_sparse_targets_are_those_with_nan(data):
    seen = np.random.default_rng(0).random(data.Y.shape) < 0.4
    Y = np.where(seen, data.Y, np.nan)
    Y[np.flatnonzero(seen[:, 0])[:5], 0] = 0.0  # an explicit zero is an observation
    row, task = np.nonzero(seen)
    sparse = csr_array((Y[row, task], (row, task)), shape=Y.shape)
    one, other = model().fit(data.X, sparse), model().fit(data.X, Y)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.score(data.X, sparse) == other.score(data.X, Y)
    adapted = one.adapt(data.X, sparse[:, [0, 1]])
    np.testing.assert_array_equal(adapted.coef_, other.adapt(data.X, Y[:, :2]).coef_)
    with pytest.raises(ValueError, match="Y is sparse and task_id is given"):
        model().fit(data.X, sparse, task_id=np.zeros(400, dtype=int))


def test_views_read_what_they_are_asked_for():
    source = np.arange(20.0).reshape(10, 2)

    class Source:
        shape, dtype = source.shape, source.dtype

        def __getitem__(self, rows):
            return source[rows]

        def take(self, index):
            return source[index]

    rows = FileRows(Source())
    odd = rows.view(torch.arange(10) % 2 == 1)
    assert odd.shape == (5, 2)
    np.testing.assert_array_equal(odd[1:3], source[[3, 5]])
    np.testing.assert_array_equal(odd[torch.tensor([4, 0])], source[[9, 1]])
    np.testing.assert_array_equal(odd.view(torch.tensor([2, 1]))[:], source[[5, 3]])
    np.testing.assert_array_equal(rows[torch.arange(10) > 7], source[8:])
