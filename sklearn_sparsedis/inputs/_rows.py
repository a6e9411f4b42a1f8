"""Tables read a few rows at a time: arrays, memory maps, and datasets in files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from torch.utils.data import Dataset

from sklearn_sparsedis.inputs._arrays import check_features, check_numbers, readable

# numbers in double precision that are held of a table at a time: 32 MB
CHUNK = 4_194_304
# rows that show what a dataset is
_GLANCE = 16


@dataclass(frozen=True)
class Rows:
    """A table (n, d) in memory or in a file, read in slices.

    Attributes
    ----------
    source : array or dataset of shape (n, d)
        Whatever gives rows for a slice.
    shape : tuple of int
        As it was when the table was checked.
    dtype : dtype
        float32 or float64: what rows are converted to.
    name : str
        Of the argument, for messages.
    missing : bool
        Whether NaN may occur.
    in_file : bool
        Whether rows are read, converted and checked when they are asked for; arrays in memory
        were checked before.
    """

    source: Any
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    name: str
    missing: bool = False
    in_file: bool = False

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows of a slice, in `dtype`.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If values are not finite, or the table is shorter than it was.
        """
        if not self.in_file:
            return _dense(self.source[rows])
        start, stop, _ = rows.indices(len(self))
        return self._checked(self._read(slice(start, stop), f"{start} to {stop - 1}"), stop - start)

    def take(self, index: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Rows at an index of any order, as slices give them."""
        if not self.in_file:
            return _dense(self.source[index])
        # files want increasing positions
        positions, back = np.unique(index, return_inverse=True)
        rows = self._read((positions, slice(None)), f"at {len(positions)} positions")
        return self._checked(rows, len(positions))[back]

    def columns(self, order: NDArray[np.intp]) -> "Rows":
        """A table in memory with its columns in another order."""
        return replace(self, source=np.ascontiguousarray(self.source[:, order]))

    def chunks(
        self, width: int | None = None, part: slice = slice(None)
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        """All rows, or a part, in order, as pairs of a slice and its rows.

        Parameters
        ----------
        width : int, optional
            Numbers that a caller holds for each row; those of the row itself by default.
        part : slice, optional
        """
        step = max(1, CHUNK // max(1, self.shape[1] if width is None else width))
        first, last, _ = part.indices(len(self))
        for start in range(first, last, step):
            rows = slice(start, min(start + step, last))
            yield rows, self[rows]

    def _read(self, rows: Any, named: str) -> NDArray[Any]:
        try:
            if (now := _length(self.source)) < len(self):
                raise ValueError(
                    f"{self.name} had {len(self)} rows when it was checked and has "
                    f"{now} now: it must not change while it is used."
                )
            return np.asarray(self.source[rows])
        except OSError as error:
            raise OSError(f"Rows {named} of {self.name} cannot be read: {error}") from error

    def _checked(self, rows: NDArray[Any], n_rows: int) -> NDArray[Any]:
        if rows.shape != (n_rows, self.shape[1]):
            raise ValueError(
                f"{self.name} gave an array of shape {rows.shape} where {(n_rows, self.shape[1])} "
                "was asked for: it must not change while it is used."
            )
        if not n_rows:
            return rows.astype(self.dtype)
        return check_numbers(rows, self.name, missing=self.missing, dtype=self.dtype)


class _Items:
    """Items of a map-style dataset of torch as the rows of a table."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        first = self._row(0)
        self.dtype, self._width = first.dtype, len(first)

    @property
    def shape(self) -> tuple[int, int]:
        """As it is now."""
        return len(self.dataset), self._width

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        index = range(*rows.indices(len(self.dataset))) if isinstance(rows, slice) else rows[0]
        return np.stack([self._row(int(i)) for i in index])

    def _row(self, i: int) -> NDArray[Any]:
        item = self.dataset[i]
        return np.asarray(item[0] if isinstance(item, tuple | list) else item).reshape(-1)


def check_rows(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool = True,
    min_samples: int = 1,
    accept_sparse: bool = False,
) -> Rows:
    """Validate the features of an estimator as scikit-learn does, without reading files whole.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like or dataset of shape (n, d)
        Anything that scikit-learn takes, as float32 or float64; or a memory map of another dtype,
        an HDF5 dataset, a zarr array or the like, whose values are converted and checked when they
        are read; or a dataset of torch whose items are rows, or pairs that begin with one.
        Numbers of one or two bytes become float32, which holds them exactly.
    reset : bool
        Whether to set the attributes.
    min_samples : int
        Rows needed.
    accept_sparse : bool
        Whether X may be sparse; its rows are made dense some at a time, when they are read.

    Returns
    -------
    Rows
    """
    X = readable(X, "X")
    if accept_sparse and issparse(X):
        array = check_features(
            estimator, X, reset=reset, accept_sparse="csr", ensure_min_samples=min_samples
        )
        return Rows(array, array.shape, array.dtype, "X")
    if isinstance(X, Dataset):
        X = _Items(X)
    if not in_file(X):
        # a memory map of any layout stays one, whose rows are put in order when they are read
        order = None if _mapped(X) else "C"
        array = check_features(
            estimator, X, reset=reset, order=order, ensure_min_samples=min_samples
        )
        return Rows(array, array.shape, array.dtype, "X")
    glance = check_features(estimator, X[:_GLANCE], reset=reset, ensure_min_samples=min_samples)
    dtype = np.dtype(np.float32) if X.dtype.itemsize <= 2 else glance.dtype
    return Rows(X, (_length(X), glance.shape[1]), dtype, "X", in_file=True)


def _dense(rows: Any) -> NDArray[Any]:
    """Rows of an array in order in memory, also of a sparse one."""
    array = rows.toarray() if issparse(rows) else rows
    return np.ascontiguousarray(array)


def read_or_stay(rows: Rows) -> NDArray[Any] | Rows:
    """The array, unless it is in a file."""
    return rows if rows.in_file or _mapped(rows.source) else rows.source


def _mapped(array: Any) -> bool:
    """Whether an array is a view of a memory map."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def check_table(Y: Any, name: str) -> tuple[Rows, str]:
    """Validate targets of shape (n,) or (n, T), which may be NaN, without reading files whole.

    Returns
    -------
    table : Rows of shape (n, T)
    layout : {"flat", "wide"}
        Whether they had one dimension or two.
    """
    lazy = in_file(Y)
    values = check_numbers(
        Y[:_GLANCE] if lazy else Y, name, missing=True, ensure_2d=False, allow_nd=True
    )
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"{name} must have shape (n_samples,) or (n_samples, n_tasks), got {values.shape}."
        )
    if lazy:
        shape = (_length(Y), values.shape[1])
        return Rows(Y, shape, values.dtype, name, missing=True, in_file=True), "wide"
    table = values.reshape(len(values), -1)
    rows = Rows(table, table.shape, values.dtype, name, missing=True)
    return rows, "flat" if values.ndim == 1 else "wide"


def _length(source: Any) -> int:
    """Rows of a table now; arrays of zarr have no length."""
    return len(source) if hasattr(source, "__len__") else source.shape[0]


def in_file(X: Any) -> bool:
    """Whether X is a table that would have to be read, or converted as a whole, to be an array."""
    dtype, shape = getattr(X, "dtype", None), getattr(X, "shape", None)
    if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple) or len(shape) != 2:
        return False
    if isinstance(X, np.memmap):
        return dtype not in (np.float32, np.float64)
    if issparse(X) or hasattr(X, "iloc") or hasattr(X, "__array_interface__"):
        return False
    return hasattr(X, "__getitem__")
