"""Safetensors files of tensors, with JSON and a checksum of everything in their metadata."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sklearn_sparsedis._version import __version__
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.exceptions import VersionMismatchWarning
from sklearn_sparsedis.storage._codec import decode, encode
from sklearn_sparsedis.storage._replace import replace_file

__all__ = ["explained", "read_file", "write_file"]

# Key of the metadata that holds everything but the tensors.
OURS = "sklearn_sparsedis"
# Number of the format, raised when older versions cannot read what this one writes.
FORMAT = 1
LENGTH_BYTES = 8
# Largest number of values outside of arrays, descriptions of arrays included: in memory these take
# a hundred times their size in the file.
MOST_VALUES = 2_000_000
LONGEST_REASON = 1000
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


def write_file(path: str | os.PathLike[str], kind: str, content: Any) -> None:
    """Write a value to a file that appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Path of the file, as in `replace_file`.
    kind : str
        Kind of the value, which `read_file` must name again.
    content : object
        A value that `encode` takes.

    Raises
    ------
    TypeError
        For a value that cannot be stored without code.
    ValueError
        For too many values outside of arrays.
    """
    tensors: dict[str, Tensor] = {}
    versions = {
        "sklearn_sparsedis": __version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
    }
    encoded = encode(content, tensors, kind)
    header = {"format": FORMAT, "kind": kind, "versions": versions, "content": encoded}
    text = json.dumps(header, allow_nan=False, separators=(",", ":"))
    data = save(tensors, {OURS: text, "sha256": _checksum(text, tensors)})
    _header(data)
    replace_file(path, data)


def read_file(path: str | os.PathLike[str], kind: str) -> Any:
    """Read a value that `write_file` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        Kind of the value.

    Raises
    ------
    ValueError
        If the file holds another kind, or was cut off or changed; it names the path and the reason.

    Warns
    -----
    VersionMismatchWarning
        For a file of another version of this package.
    """
    data = Path(path).read_bytes()
    with explained(path):
        text, tensors = _verified(data)
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise ValueError(
                f"its format is number {header['format']}, this version of sklearn_sparsedis reads "
                f"number {FORMAT}"
            )
        if header["kind"] != kind:
            raise ValueError(f"it holds a {header['kind']}, not a {kind}")
        stored = str(header["versions"]["sklearn_sparsedis"])
        if stored != __version__:
            warn_caller(VersionMismatchWarning(str(path), stored, __version__))
        content = decode(header["content"], tensors)
        if tensors:
            raise ValueError(f"it has tensors too many: {', '.join(sorted(tensors)[:5])}")
    return content


@contextlib.contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any error that a malformed file causes into a ValueError that names the file."""
    try:
        yield
    except MALFORMED as error:
        reason = str(error) if type(error) is ValueError else f"it is malformed ({error!r})"
        reason = reason[:LONGEST_REASON].rstrip(".")
        raise ValueError(f"{os.fspath(path)} cannot be loaded: {reason}.") from error


def _verified(data: bytes) -> tuple[str, dict[str, Tensor]]:
    """Return the JSON and the tensors of a file, after checking its origin and its checksum."""
    header = _header(data)
    try:
        tensors = load(data)
        metadata = json.loads(header).get("__metadata__") or {}
    except (SafetensorError, *MALFORMED) as error:
        raise ValueError(
            f"it is not a whole safetensors file ({type(error).__name__}: {error})"
        ) from error
    text, checksum = metadata.get(OURS), metadata.get("sha256")
    if text is None or checksum is None:
        raise ValueError("it was not written by sklearn_sparsedis")
    if _checksum(text, tensors) != checksum:
        raise ValueError("it was damaged or changed after it was written (checksum)")
    return text, tensors


def _header(data: bytes) -> bytes:
    """Return the JSON at the beginning of a file, after checking that it has few values."""
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    header = data[LENGTH_BYTES : LENGTH_BYTES + length]
    n_values = sum(header.count(mark) for mark in b"[{,")
    if n_values > MOST_VALUES:
        raise ValueError(
            f"it has {n_values} values outside of arrays, and a file can have {MOST_VALUES}"
        )
    return header


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
