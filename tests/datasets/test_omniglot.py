"""The Omniglot loader, on made and on real files."""

import io
import zipfile

import numpy as np
import pytest

from sklearn_sparsedis.datasets import load_omniglot

Image = pytest.importorskip("PIL.Image")


def _png(value):
    drawing = np.full((105, 105), 255, dtype=np.uint8)
    drawing[: value + 1] = 0
    stream = io.BytesIO()
    Image.fromarray(drawing).convert("1").save(stream, format="png")
    return stream.getvalue()


def _write(folder, name="images_background_small1"):
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/", "")
        for a, alphabet in enumerate(["Greek", "Latin"]):
            for character in (1, 2):
                for drawer in (1, 2, 3):
                    file = f"{alphabet}/character{character:02}/{a:04}_{drawer:02}.png"
                    archive.writestr(f"{name}/{file}", _png(10 * a + character))
    return path


def test_zip_and_folder_give_the_same(tmp_path):
    path = _write(tmp_path)
    data = load_omniglot(path)
    assert data.images.shape == (12, 105, 105)
    assert data.target_names == [
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
        "Latin/character02",
    ]
    np.testing.assert_array_equal(data.target, np.repeat([0, 1, 2, 3], 3))
    np.testing.assert_array_equal(data.alphabet, np.repeat([0, 1], 6))
    np.testing.assert_array_equal(data.drawer, np.tile([1, 2, 3], 4))
    ink_rows = (data.images == 255).all(axis=2).sum(axis=1)
    np.testing.assert_array_equal(ink_rows, np.repeat([2, 3, 12, 13], 3))
    zipfile.ZipFile(path).extractall(tmp_path / "unpacked")
    for folder in (tmp_path / "unpacked", tmp_path / "unpacked" / path.stem):
        np.testing.assert_array_equal(load_omniglot(folder).images, data.images)


def test_files_that_overlap_are_joined(tmp_path):
    first, second = _write(tmp_path), _write(tmp_path, "images_background_small2")
    assert len(load_omniglot([first, second]).images) == 12


def test_image_size(tmp_path):
    small = load_omniglot(_write(tmp_path), image_size=35).images
    full = load_omniglot(_write(tmp_path)).images
    assert small.shape == (12, 35, 35)
    blocks = full.reshape(12, 35, 3, 35, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, blocks, atol=1)  # rounding


def test_real_files(shared):
    folder = shared / "data" / "omniglot"
    if not folder.is_dir():
        pytest.skip("Omniglot is not here")
    data = load_omniglot(folder / "images_background_small1.zip", image_size=28)
    assert data.images.shape == (136 * 20, 28, 28)
    assert len(data.alphabet_names) == 5
    np.testing.assert_array_equal(np.bincount(data.target), 20)
    assert 0.02 < (data.images > 127).mean() < 0.2  # thin strokes


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist. Wanted: images_background.zip"):
        load_omniglot(tmp_path / "no.zip")
    with pytest.raises(ValueError, match="holds no drawings"):
        load_omniglot(tmp_path)
    truncated = tmp_path / "half.zip"
    truncated.write_bytes(_write(tmp_path).read_bytes()[:1000])
    with pytest.raises(ValueError, match="is not a complete zip file"):
        load_omniglot(truncated)
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("x/Greek/character01/0001_01.png", b"no picture")
    with pytest.raises(ValueError, match="0001_01.png is not a readable picture"):
        load_omniglot(tmp_path / "text.zip")
    with pytest.raises(ValueError, match="image_size=0 must be >= 1"):
        load_omniglot(_write(tmp_path), image_size=0)
