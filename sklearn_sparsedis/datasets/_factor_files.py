"""Loaders of the official files of dSprites and 3D Shapes."""

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from sklearn.utils import Bunch

from sklearn_sparsedis.datasets._dsprites import DSPRITES_NAMES, DSPRITES_SIZES

__all__ = ["SHAPES3D_NAMES", "SHAPES3D_SIZES", "load_dsprites", "load_shapes3d"]

SHAPES3D_NAMES = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
SHAPES3D_SIZES = (10, 10, 10, 8, 4, 15)
_SHAPES3D_VALUES = (
    *(np.arange(10) / 10.0,) * 3,
    np.linspace(0.75, 1.25, 8),
    np.arange(4.0),
    np.linspace(-30.0, 30.0, 15),
)
_DSPRITES_FILE = (
    "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz of github.com/google-deepmind/dsprites-dataset,"
    " with the arrays imgs (n, 64, 64) and latents_classes (n, 6)"
)
_SHAPES3D_FILE = (
    "3dshapes.h5 of github.com/google-deepmind/3d-shapes, with the data sets images "
    "(n, 64, 64, 3) and labels (n, 6)"
)
_CHUNK = 4096  # number of images that are unpacked at once


def _existing(path: Any, wanted: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is not a file. Wanted: {wanted}.")
    return path


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    read = (
        npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    )
    shape, fortran, dtype = read(stream)
    if fortran or dtype.hasobject:
        raise ValueError("it has an array in Fortran order or of objects")
    return shape, dtype


def _read_rows(archive: zipfile.ZipFile, name: str, indices: np.ndarray | None) -> np.ndarray:
    """Read rows of a member, holding no more than a chunk besides them."""
    with archive.open(name + ".npy") as stream:
        shape, dtype = _header(stream)
        n_rows, row_bytes = shape[0], dtype.itemsize * int(np.prod(shape[1:]))
        wanted = np.arange(n_rows) if indices is None else indices
        if wanted.size and (wanted.min() < 0 or wanted.max() >= n_rows):
            raise IndexError(f"indices must be in [0, {n_rows - 1}]")
        rows = np.empty((len(wanted), *shape[1:]), dtype=dtype)
        for start in range(0, n_rows, _CHUNK):
            count = min(_CHUNK, n_rows - start)
            content = stream.read(count * row_bytes)
            if len(content) < count * row_bytes:
                raise EOFError(name)
            chunk = np.frombuffer(content, dtype=dtype).reshape(count, *shape[1:])
            here = (wanted >= start) & (wanted < start + count)
            rows[here] = chunk[wanted[here] - start]
        return rows


def load_dsprites(path: Any, *, indices: Any = None) -> Bunch:
    """Load the original dSprites file.

    Parameters
    ----------
    path : str or Path
        The official .npz file. Nothing is downloaded.
    indices : array-like of int, shape (n_samples,), or None, default=None
        Rows to load; None loads all 737,280 (3 GB). The file is unpacked piece by piece, so that
        memory is needed for the rows of the result alone.

    Returns
    -------
    data : Bunch
        images : ndarray of uint8 in {0, 1}, shape (n_samples, 64, 64)
        factors : ndarray of int, shape (n_samples, 5)
            Shape, scale, orientation, position x, position y; the constant colour is dropped.
        factor_names : tuple of str
        factor_sizes : tuple of int

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, corrupt or another one, or an index is outside of it.

    See Also
    --------
    make_dsprites : A near-exact procedural copy, without a file.

    References
    ----------
    .. [1] L. Matthey, I. Higgins, D. Hassabis and A. Lerchner, "dSprites: Disentanglement testing
       Sprites dataset", 2017, https://github.com/google-deepmind/dsprites-dataset.
    """
    path = _existing(path, _DSPRITES_FILE)
    rows = None if indices is None else np.asarray(indices, dtype=np.intp)
    try:
        with zipfile.ZipFile(path) as archive:
            classes = _read_rows(archive, "latents_classes", rows)
            images = _read_rows(archive, "imgs", rows)
    except IndexError as error:
        raise ValueError(f"{error}: {path} has no such row.") from error
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path} is truncated, corrupt or another file ({error}). Wanted: {_DSPRITES_FILE}."
        ) from error
    if images.shape[1:] != (64, 64) or classes.shape[1:] != (6,):
        raise ValueError(f"{path} holds arrays of other shapes. Wanted: {_DSPRITES_FILE}.")
    return Bunch(
        images=images,
        factors=classes[:, 1:].astype(np.intp),
        factor_names=DSPRITES_NAMES,
        factor_sizes=DSPRITES_SIZES,
    )


def load_shapes3d(path: Any) -> Bunch:
    """Open the original 3D Shapes file; images are read when they are indexed.

    Parameters
    ----------
    path : str or Path
        The official .h5 file. Nothing is downloaded.

    Returns
    -------
    data : Bunch
        images : h5py.Dataset of uint8, shape (480000, 64, 64, 3)
            ``data.images[rows]`` reads these rows, which must be increasing, and nothing else.
        factors : ndarray of int, shape (480000, 6)
            Floor hue, wall hue, object hue, scale, shape, orientation, as indices.
        factor_names : tuple of str
        factor_sizes : tuple of int
        file : h5py.File
            Close it when done.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, corrupt or another one.
    ImportError
        If h5py is not installed.

    References
    ----------
    .. [1] C. Burgess and H. Kim, "3D Shapes Dataset", 2018,
       https://github.com/google-deepmind/3d-shapes.
    """
    import h5py  # optional: only this loader needs it

    path = _existing(path, _SHAPES3D_FILE)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
            f"{path} is truncated, corrupt or another file ({error}). Wanted: {_SHAPES3D_FILE}."
        ) from error
    try:
        images, labels = file["images"], file["labels"][:]
        if images.shape[1:] != (64, 64, 3) or labels.shape != (len(images), 6):
            raise ValueError(f"its arrays have the shapes {images.shape} and {labels.shape}")
        factors = _indices_of_labels(labels)
    except (KeyError, ValueError) as error:
        file.close()
        raise ValueError(f"{path} is another file ({error}). Wanted: {_SHAPES3D_FILE}.") from error
    return Bunch(
        images=images,
        factors=factors,
        factor_names=SHAPES3D_NAMES,
        factor_sizes=SHAPES3D_SIZES,
        file=file,
    )


def _indices_of_labels(labels: np.ndarray) -> np.ndarray:
    """Convert the values of labels to their indices in the grids."""
    factors = np.empty(labels.shape, dtype=np.intp)
    for j, grid in enumerate(_SHAPES3D_VALUES):
        factors[:, j] = np.abs(labels[:, j, None] - grid).argmin(axis=1)
        if not np.allclose(grid[factors[:, j]], labels[:, j], atol=1e-6):
            raise ValueError(f"it has labels of {SHAPES3D_NAMES[j]} that are not in its grid")
    return factors
