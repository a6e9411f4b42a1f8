"""CIFAR-FS and mini-ImageNet, on small files of the official formats."""

import io
import zipfile

import numpy as np
import pytest

from sklearn_sparsedis.datasets import load_cifar_fs, load_mini_imagenet

Image = pytest.importorskip("PIL.Image")
CLASSES = {"train": ["apple", "bear"], "val": ["clock"], "test": ["dolphin"]}


def _picture(value, side, kind):
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, dtype=np.uint8)).save(stream, format=kind)
    return stream.getvalue()


def _cifar_fs(folder):
    path = folder / "cifar100.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cifar100/data/", "")
        for part, names in CLASSES.items():
            archive.writestr(f"cifar100/splits/bertinetto/{part}.txt", "\n".join(names) + "\n")
            archive.writestr(f"cifar100/splits/other/{part}.txt", "zebra\n")
            for name in names:
                for i in range(3):
                    value = 40 * i + ord(name[0]) % 40
                    archive.writestr(f"cifar100/data/{name}/{i}.png", _picture(value, 32, "png"))
    return path


def _mini_imagenet(folder, nested=False):
    path = folder / "mini.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part, names in CLASSES.items():
            rows = [f"{name}{i}.jpg,{name}" for name in names for i in range(2)]
            archive.writestr(f"{part}.csv", "filename,label\n" + "\n".join(rows) + "\n")
            for row in rows:
                file, label = row.split(",")
                where = f"images/{label}/{file}" if nested else f"images/{file}"
                archive.writestr(where, _picture(10 * int(file[-5]) + 50, 96, "jpeg"))
    return path


def test_cifar_fs_from_zip_and_folder(tmp_path):
    path = _cifar_fs(tmp_path)
    data = load_cifar_fs(path)
    assert data.images.shape == (12, 32, 32, 3)
    assert data.target_names == ["apple", "bear", "clock", "dolphin"]
    np.testing.assert_array_equal(data.target, np.repeat(np.arange(4), 3))
    assert data.subset.tolist() == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    np.testing.assert_array_equal(data.images[1], 40 + ord("a") % 40)
    zipfile.ZipFile(path).extractall(tmp_path / "unpacked")
    for folder in (tmp_path / "unpacked", tmp_path / "unpacked" / "cifar100"):
        np.testing.assert_array_equal(load_cifar_fs(folder).images, data.images)


@pytest.mark.parametrize("nested", [False, True])
def test_mini_imagenet(tmp_path, nested):
    data = load_mini_imagenet(_mini_imagenet(tmp_path, nested))
    assert data.images.shape == (8, 84, 84, 3)
    assert data.target_names == ["apple", "bear", "clock", "dolphin"]
    np.testing.assert_array_equal(data.target, np.repeat(np.arange(4), 2))
    assert abs(data.images[1].astype(int) - 60).max() <= 2
    assert load_mini_imagenet(tmp_path / "mini.zip", image_size=None).images.shape[1] == 96


@pytest.mark.parametrize("load", [load_cifar_fs, load_mini_imagenet])
def test_subset(tmp_path, load):
    path = {load_cifar_fs: _cifar_fs, load_mini_imagenet: _mini_imagenet}[load](tmp_path)
    data = load(path, subset="test")
    assert data.target_names == ["dolphin"]
    assert set(data.subset) == {"test"}
    with pytest.raises(ValueError, match="subset='dev' is unknown"):
        load(path, subset="dev")


@pytest.mark.parametrize(
    ("load", "name"), [(load_cifar_fs, "bertinetto/r2d2"), (load_mini_imagenet, "train.csv")]
)
def test_missing_truncated_and_foreign_files(tmp_path, load, name):
    with pytest.raises(FileNotFoundError, match=f"does not exist. Wanted: .*{name}"):
        load(tmp_path / "nowhere.zip")
    whole = _cifar_fs(tmp_path).read_bytes()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"not a complete zip file. Fetch it again: .*{name}"):
        load(broken)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=f"holds no pictures.*Wanted: .*{name}"):
        load(tmp_path / "empty")


def test_lists_and_pictures_must_agree(tmp_path):
    path = _mini_imagenet(tmp_path)
    zipfile.ZipFile(path).extractall(tmp_path / "mini")
    (tmp_path / "mini" / "images" / "bear0.jpg").unlink()
    with pytest.raises(ValueError, match=r"train.csv lists bear0.jpg, which is not among the 7"):
        load_mini_imagenet(tmp_path / "mini")
    (tmp_path / "mini" / "images" / "bear0.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"bear0.jpg is not a readable picture"):
        load_mini_imagenet(tmp_path / "mini")
    (tmp_path / "mini" / "images" / "bear0.jpg").write_bytes(_picture(9, 50, "jpeg"))
    with pytest.raises(ValueError, match=r"50 x 50 pixels and .* of 96 x 96: pass image_size"):
        load_mini_imagenet(tmp_path / "mini", image_size=None)
    (tmp_path / "mini" / "train.csv").write_text("file;label\n")
    with pytest.raises(ValueError, match="not filename and label"):
        load_mini_imagenet(tmp_path / "mini")
