"""Loaders of the official factor files, on small files of the same format."""

import numpy as np
import pytest

from sklearn_sparsedis.datasets import load_dsprites, load_shapes3d, make_dsprites
from sklearn_sparsedis.datasets._factor_files import _SHAPES3D_VALUES, SHAPES3D_SIZES


def _dsprites(path, n=9000):
    data = make_dsprites(n, random_state=0)
    classes = np.column_stack([np.zeros(n, dtype=np.int64), data.factors])
    np.savez_compressed(
        path,
        metadata=np.array({"title": "x"}, dtype=object),
        imgs=data.images,
        latents_classes=classes,
    )
    return data


def test_dsprites_file(tmp_path):
    path = tmp_path / "dsprites.npz"
    made = _dsprites(path)
    data = load_dsprites(path)
    np.testing.assert_array_equal(data.images, made.images)
    np.testing.assert_array_equal(data.factors, made.factors)
    rows = [8999, 3, 4100, 3]  # any order, over several chunks
    part = load_dsprites(path, indices=rows)
    np.testing.assert_array_equal(part.images, made.images[rows])
    np.testing.assert_array_equal(part.factors, made.factors[rows])


def test_bad_dsprites_files(tmp_path):
    path = tmp_path / "dsprites.npz"
    with pytest.raises(FileNotFoundError, match="Wanted: dsprites_ndarray"):
        load_dsprites(path)
    _dsprites(path, 50)
    with pytest.raises(ValueError, match=r"indices must be in \[0, 49\]"):
        load_dsprites(path, indices=[50])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is truncated, corrupt or another file"):
        load_dsprites(path)
    np.savez(path, images=np.zeros((3, 64, 64)))
    with pytest.raises(ValueError, match="truncated, corrupt or another file .*latents_classes"):
        load_dsprites(path)
    np.savez(path, imgs=np.zeros((3, 8, 8)), latents_classes=np.zeros((3, 6)))
    with pytest.raises(ValueError, match="holds arrays of other shapes"):
        load_dsprites(path)


def _shapes3d(path, h5py, labels=None):
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(size, size=20) for size in SHAPES3D_SIZES], axis=1)
    if labels is None:
        labels = np.stack([v[f] for v, f in zip(_SHAPES3D_VALUES, factors.T, strict=True)], axis=1)
    images = rng.integers(256, size=(20, 64, 64, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, labels
    return images, factors


def test_shapes3d_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    images, factors = _shapes3d(tmp_path / "3dshapes.h5", h5py)
    data = load_shapes3d(tmp_path / "3dshapes.h5")
    assert isinstance(data.images, h5py.Dataset)  # not read yet
    np.testing.assert_array_equal(data.images[[2, 5]], images[[2, 5]])
    np.testing.assert_array_equal(data.factors, factors)
    data.file.close()


def test_bad_shapes3d_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "3dshapes.h5"
    with pytest.raises(FileNotFoundError, match="Wanted: 3dshapes.h5"):
        load_shapes3d(path)
    path.write_bytes(b"no data")
    with pytest.raises(ValueError, match="is truncated, corrupt or another file"):
        load_shapes3d(path)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="is another file .*labels"):
        load_shapes3d(path)
    _shapes3d(path, h5py, labels=np.full((20, 6), 0.05))
    with pytest.raises(ValueError, match="labels of floor_hue that are not in its grid"):
        load_shapes3d(path)
