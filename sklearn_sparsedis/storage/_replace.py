"""Files that are replaced whole or not at all, whoever else writes to the same place."""

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
except ImportError:  # not on Windows, where the parts of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = ["remove_leftovers", "replace_file"]


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all.

    Of a symbolic link the target is replaced. A file that is there leaves its permissions to the
    new one. Where several threads or processes write to one path, all of them succeed, and the file
    of the last one stays.

    Parameters
    ----------
    path : str or path-like
        Where; a file that is there is replaced.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        Where it cannot be written; what was there is left as it was.
    ValueError
        Where a device, a pipe or the like is in the place of a file.
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
    with contextlib.suppress(OSError):  # not every system can
        _sync(path.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Delete the parts of a file that killed processes left; those in work are locked."""
    path = _target(path)
    for part in glob.glob(f"{glob.escape(str(path.parent / _stem(path)))}*.part"):
        with contextlib.suppress(OSError), open(part, "rb") as file:
            _lock(file, wait=False)
            os.unlink(part)


def _target(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _stem(path: Path) -> str:
    """What the names of a file's parts begin with; short, however long the file's own name is."""
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _mode(path: Path) -> int | None:
    """Permissions of what is at a path; None for nothing."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not (stat.S_ISREG(found) or stat.S_ISDIR(found)):
        raise ValueError(f"{path} is no ordinary file, so it is not replaced. Give another path.")
    return stat.S_IMODE(found)


@contextlib.contextmanager
def _new_part(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A file beside another one, for one writer; deleted where that fails."""
    while True:
        part = path.with_name(f"{_stem(path)}{uuid4().hex[:16]}.part")
        with open(part, "xb", opener=partial(os.open, mode=mode)) as file:
            try:
                with contextlib.suppress(OSError):  # a file system without locks has no cleaners
                    _lock(file, wait=True)
                if part.exists():  # or else it was deleted before it was locked
                    yield file
                    return
            except BaseException:
                part.unlink(missing_ok=True)
                raise


def _lock(file: BinaryIO, *, wait: bool) -> None:
    """Lock a file until it is closed, be it by the end of the process."""
    if fcntl is None:
        raise OSError("no locks")
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _sync(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
