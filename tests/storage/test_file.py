"""Files are whole or not there; what was damaged, cut off or made by others is refused."""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from sklearn_sparsedis.exceptions import VersionMismatchWarning
from sklearn_sparsedis.storage import _file
from sklearn_sparsedis.storage._file import read_file, write_file

VALUE = {"array": np.arange(5.0), "text": "a"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


def rewrite(path, change):
    """Change a file's header and tensors and give it a checksum that fits."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_file.OURS])
    tensors = load(data)
    change(header, tensors)
    text = json.dumps(header)
    checksum = _file._checksum(text, tensors)
    path.write_bytes(save(tensors, {_file.OURS: text, "sha256": checksum}))


def test_there_and_back(path):
    write_file(path, "thing", VALUE)
    restored = read_file(path, "thing")
    assert restored["text"] == "a"
    assert restored["array"].tolist() == VALUE["array"].tolist()
    assert os.listdir(path.parent) == [path.name]


def test_every_changed_byte_is_noticed(path):
    write_file(path, "thing", VALUE)
    whole = path.read_bytes()
    for i in range(len(whole)):
        changed = bytearray(whole)
        changed[i] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"{path.name} cannot be loaded: it "):
            read_file(path, "thing")


def test_every_cut_is_noticed(path):
    write_file(path, "thing", VALUE)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="it is not a whole safetensors file"):
            read_file(path, "thing")


def test_other_peoples_files_are_refused(path):
    path.write_bytes(save({"weight": torch.zeros(2)}))
    with pytest.raises(ValueError, match="not written by sklearn_sparsedis"):
        read_file(path, "thing")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        read_file(path.with_name("elsewhere"), "thing")


def test_another_kind_is_refused(path):
    write_file(path, "thing", VALUE)
    with pytest.raises(ValueError, match="it holds a thing, not a model"):
        read_file(path, "model")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header, tensors: header.update(format=99), "its format is number 99"),
        (lambda header, tensors: header.pop("versions"), "it is malformed .KeyError"),
        (lambda header, tensors: tensors.clear(), "tensor 'thing.array' is missing"),
        (lambda header, tensors: tensors.update(x=torch.ones(1)), "tensors too many: x"),
        (lambda header, tensors: tensors.update({"thing.array": torch.ones(2, 2)}), "dimensions"),
        (lambda header, tensors: header.update(content={"pickle": ""}), "unknown type 'pickle'"),
    ],
)
def test_forged_files_with_a_right_checksum_are_refused(path, change, reason):
    write_file(path, "thing", VALUE)
    rewrite(path, change)
    with pytest.raises(ValueError, match=rf"{path.name} cannot be loaded: .*{reason}"):
        read_file(path, "thing")


def test_json_that_is_too_deep_is_refused(path):
    write_file(path, "thing", VALUE)
    deep = "[" * 100_000 + "]" * 100_000
    text = f'{{"format":1,"kind":"thing","versions":{{}},"content":{deep}}}'
    path.write_bytes(save({}, {_file.OURS: text, "sha256": _file._checksum(text, {})}))
    with pytest.raises(ValueError, match="malformed"):
        read_file(path, "thing")


def test_another_version_is_told(path):
    write_file(path, "thing", VALUE)
    rewrite(path, lambda header, _: header["versions"].update(sklearn_sparsedis="0.0.1"))
    with pytest.warns(VersionMismatchWarning, match=r"stored by sklearn_sparsedis 0\.0\.1"):
        read_file(path, "thing")


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch, broken):
    write_file(path, "thing", VALUE)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="no space left"):
        write_file(path, "thing", {"other": np.zeros(3)})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_value_that_cannot_be_stored_leaves_nothing(path):
    with pytest.raises(TypeError, match="thing.f is of type builtins.builtin_function"):
        write_file(path, "thing", {"f": print})
    assert os.listdir(path.parent) == []


def test_equal_versions_are_silent(path):
    write_file(path, "thing", VALUE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_file(path, "thing")


def test_more_values_than_a_file_can_have_are_neither_written_nor_read(path, monkeypatch):
    write_file(path, "thing", [[]] * 1000)
    monkeypatch.setattr(_file, "MOST_VALUES", 900)
    monkeypatch.setattr(_file, "load", None)  # before anything is read
    with pytest.raises(ValueError, match=r"cannot be loaded: it has 20\d\d values outside of arr"):
        read_file(path, "thing")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"it has 20\d\d values outside of arrays, .* have 900"):
        write_file(path, "thing", [[]] * 1000)
    assert path.read_bytes() == before


def test_a_reason_is_short_whatever_the_file_says(path):
    write_file(path, "thing", VALUE)
    rewrite(path, lambda header, _: header.update(content={"a" * 10**6: ""}))
    with pytest.raises(ValueError, match="unknown type") as raised:
        read_file(path, "thing")
    assert len(str(raised.value)) < 2000
