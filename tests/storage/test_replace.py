"""Files are replaced whole: by many threads at once, through links, under any name, after kills."""

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sklearn_sparsedis.storage._file import read_file, write_file

VALUE = {"array": np.arange(5.0)}
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_threads_save_to_one_path(path):
    barrier = threading.Barrier(8)

    def save(number):
        barrier.wait()
        for _ in range(25):
            write_file(path, "thing", {"number": number, "array": np.full(5000, number)})
            found = read_file(path, "thing")
            assert (found["array"] == found["number"]).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(8)))  # raises what a thread raised
    assert os.listdir(path.parent) == [path.name]


@posix
def test_a_link_stays_a_link(path, tmp_path):
    target = tmp_path / "elsewhere" / "target.safetensors"
    target.parent.mkdir()
    path.symlink_to(target)  # to nothing yet, then to a file
    for number in range(2):
        write_file(path, "thing", number)
        assert path.is_symlink()
        assert not target.is_symlink()
        assert read_file(target, "thing") == number
    assert os.listdir(target.parent) == [target.name]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_permissions_are_those_of_the_file_that_was_there(path, mode):
    path.touch()
    path.chmod(mode)
    write_file(path, "thing", VALUE)
    assert permissions(path) == mode


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file_are_those_of_any_new_file(path, umask):
    before = os.umask(umask)
    try:
        write_file(path, "thing", VALUE)
    finally:
        os.umask(before)
    assert permissions(path) == 0o666 & ~umask


@posix
@pytest.mark.parametrize("name", ["a" * 255, "\u00e4" * 127, "[*]?.safetensors"])
def test_any_name_that_a_file_can_have(tmp_path, name):
    write_file(tmp_path / name, "thing", VALUE)
    write_file(tmp_path / name, "thing", VALUE)
    assert os.listdir(tmp_path) == [name]


@posix
def test_what_is_no_file_is_not_replaced(path):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is no ordinary file"):
        write_file(path, "thing", VALUE)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(IsADirectoryError, match=str(path.parent)):
        write_file(path.parent, "thing", VALUE)


KILLED = """
import os, signal, sys
from sklearn_sparsedis.storage._file import write_file
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_file(sys.argv[1], "thing", 1)
"""


@posix
def test_what_a_kill_left_goes_with_the_next_save_and_no_other_file_does(path):
    others = {".other.part", ".file.safetensors.notes.part"}
    for other in others:
        path.with_name(other).touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert len(os.listdir(path.parent)) == 3
    write_file(path.with_name("another.safetensors"), "thing", VALUE)
    assert len(os.listdir(path.parent)) == 4, "what belongs to another file stays"
    write_file(path, "thing", VALUE)
    assert set(os.listdir(path.parent)) == {path.name, "another.safetensors", *others}
