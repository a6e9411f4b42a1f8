"""Rows that stay in a file, as tensors when they are asked for."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_sparsedis.tasks._transfer import send

__all__ = ["FileRows"]


class FileRows:
    """A table that is read where a tensor would be indexed.

    Parameters
    ----------
    source : object
        With `shape` (n, d), a NumPy `dtype` that is float32 or float64, ``source[slice]`` and
        ``source.take(index)``.
    index : ndarray of int, optional
        Rows of the source that belong to the table; all by default.
    device : torch.device
        Of what is read.
    """

    def __init__(
        self,
        source: Any,
        index: np.ndarray[Any, np.dtype[np.int64]] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.source = source
        self.index = index
        self.device = torch.device(device)

    def __len__(self) -> int:
        return int(self.shape[0])

    @property
    def shape(self) -> torch.Size:
        """(n, d)."""
        n, d = self.source.shape
        return torch.Size((n if self.index is None else len(self.index), d))

    @property
    def dtype(self) -> torch.dtype:
        """Of what is read."""
        return torch.float32 if self.source.dtype == np.float32 else torch.float64

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Some rows, which are read now, in a tensor of their own."""
        if isinstance(rows, slice) and self.index is None:
            return send(torch.tensor(self.source[rows]), self.device)
        index = np.arange(len(self)) if self.index is None else self.index
        picked = index[rows if isinstance(rows, slice) else rows.cpu().numpy()]
        return send(torch.tensor(self.source.take(picked)), self.device)

    def view(self, rows: Tensor) -> "FileRows":
        """A table of some rows, which are not read before they are asked for."""
        index = np.arange(len(self)) if self.index is None else self.index
        return FileRows(self.source, index[rows.cpu().numpy()], self.device)

    def to(self, device: torch.device | str) -> "FileRows":
        """The same rows, read to a device."""
        return FileRows(self.source, self.index, device)

    def new_zeros(self, *size: int) -> Tensor:
        """Zeros in the dtype and on the device of the rows."""
        return torch.zeros(*size, dtype=self.dtype, device=self.device)
