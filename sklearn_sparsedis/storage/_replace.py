"""Files that are replaced whole or not at all, even if others write to the same path."""

import contextlib
import glob
import hashlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows has none, so that the parts of killed processes remain
    fcntl = None  # type: ignore[assignment]

__all__ = ["remove_leftovers", "replace_file"]


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all.

    The target of a symbolic link is replaced. The new file has the permissions of the old one. If
    several threads or processes write to one path, all of them succeed, and the file of the last
    one remains.

    Parameters
    ----------
    path : str or path-like
        Path of the file; an existing file is replaced.
    data : bytes
        Content of the file.

    Raises
    ------
    OSError
        If the file cannot be written; an existing file then remains as it was.
    ValueError
        If a device, a pipe or the like is at the path.
    """
    path = _target(path)
    mode = _mode(path)
    remove_leftovers(path)
    with _new_part(path, 0o666 if mode is None else 0o600) as file:
        file.write(data)
        file.flush()
        if mode is not None:
            os.chmod(file.name, mode)
        os.fsync(file.fileno())
        if fcntl is None:  # Windows renames no open file
            file.close()
        os.replace(file.name, path)
    with contextlib.suppress(OSError):  # some systems cannot open folders
        _sync(path.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Delete the parts of a file that killed processes left; parts in use are locked."""
    path = _target(path)
    for part in glob.glob(f"{glob.escape(str(path.parent / _stem(path)))}*.part"):
        with contextlib.suppress(OSError), open(part, "rb") as file:
            _lock(file, wait=False)
            os.unlink(part)


def _target(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _stem(path: Path) -> str:
    """Beginning of the names of a file's parts, short also for a file with a long name."""
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _mode(path: Path) -> int | None:
    """Permissions of the file at a path; None if there is none."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
        raise ValueError(f"{path} is no ordinary file, so it is not replaced. Give another path.")
    return stat.S_IMODE(found)


@contextlib.contextmanager
def _new_part(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Open a new file beside another one, for one writer; delete it if writing fails."""
    while True:
        part = path.with_name(f"{_stem(path)}{uuid4().hex[:16]}.part")
        with open(part, "xb", opener=partial(os.open, mode=mode)) as file:
            try:
                with contextlib.suppress(OSError):  # without locks, no process removes leftovers
                    _lock(file, wait=True)
                if part.exists():  # it may have been deleted before it was locked
                    yield file
                    return
            except BaseException:
                part.unlink(missing_ok=True)
                raise


def _lock(file: BinaryIO, *, wait: bool) -> None:
    """Lock a file until it is closed, at the latest by the end of the process."""
    if fcntl is None:
        raise OSError("no locks")
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _sync(directory: Path) -> None:
    """Write the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
