"""Operations on tensors and on NumPy arrays alike.

An episode's problem is so small that what calls cost beyond their arithmetic decides: three times
as much in PyTorch as in NumPy and LAPACK. Small problems on a CPU are therefore handed over as
NumPy arrays, and the solver is written once, in what the two have in common.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.linalg import lapack
from threadpoolctl import ThreadpoolController
from torch import Tensor

# A tensor or a NumPy array; those of one call are of one kind
Array = Any
Holder = TypeVar("Holder")


def is_numpy(x: Array) -> bool:
    """Whether `x` is a NumPy array."""
    return isinstance(x, np.ndarray)


def to_torch(x: Array) -> Tensor:
    """Tensor of an array, without a copy."""
    tensor: Tensor = torch.from_numpy(x) if is_numpy(x) else x
    return tensor


class _OneThread:
    """Keeps NumPy's and SciPy's BLAS to one thread as long as any thread of Python is within."""

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0

    @cached_property
    def _controller(self) -> ThreadpoolController:
        return ThreadpoolController()  # it takes milliseconds to find the libraries

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._limit.restore_original_limits()


_ONE_THREAD = _OneThread()


@contextmanager
def in_numpy(value: Holder, wanted: bool) -> Iterator[Holder]:
    """A data class of tensors as one of NumPy arrays on the same memory, or as it is.

    NumPy is to be as silent on what is not finite as PyTorch, and its BLAS to work in one thread:
    to share out such small products takes longer than they do.
    """
    if not wanted:
        yield value
        return
    arrays = (x.numpy() for x in vars(value).values())
    with np.errstate(all="ignore"), _ONE_THREAD:
        yield type(value)(*arrays)


def on_host(x: Array) -> bool:
    """Whether reading a value waits for no device."""
    return is_numpy(x) or x.device.type == "cpu"


def where(mask: Array, x: Array, y: Array) -> Array:
    """`x` where a mask is true, else `y`."""
    return np.where(mask, x, y) if is_numpy(mask) else torch.where(mask, x, y)


def maximum(x: Array, y: Array) -> Array:
    """Elementwise larger one."""
    return np.maximum(x, y) if is_numpy(x) else torch.maximum(x, y)


def minimum(x: Array, y: Array) -> Array:
    """Elementwise smaller one."""
    return np.minimum(x, y) if is_numpy(x) else torch.minimum(x, y)


def at_least(x: Array, floor: float) -> Array:
    """`x` where it is above a number, else the number."""
    return np.maximum(x, floor) if is_numpy(x) else x.clamp_min(floor)


def at_most(x: Array, ceiling: float) -> Array:
    """`x` where it is below a number, else the number."""
    return np.minimum(x, ceiling) if is_numpy(x) else x.clamp_max(ceiling)


def largest(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Largest entries over some axes."""
    return x.max(axis, keepdims=keepdims) if is_numpy(x) else x.amax(axis, keepdim=keepdims)


def smallest(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Smallest entries over some axes."""
    return x.min(axis, keepdims=keepdims) if is_numpy(x) else x.amin(axis, keepdim=keepdims)


def is_finite(x: Array) -> Array:
    """Mask of the finite entries."""
    return np.isfinite(x) if is_numpy(x) else torch.isfinite(x)


def sqrt(x: Array) -> Array:
    """Square roots."""
    return np.sqrt(x) if is_numpy(x) else x.sqrt()


def limits(x: Array) -> Any:
    """Numerical properties of the dtype."""
    return np.finfo(x.dtype) if is_numpy(x) else torch.finfo(x.dtype)


def full(x: Array, shape: tuple[int, ...], value: float) -> Array:
    """Array of the kind of `x` with one value."""
    return np.full(shape, value, x.dtype) if is_numpy(x) else x.new_full(shape, value)


def integers(x: Array, n: int) -> Array:
    """Numbers from 0 to n - 1, where `x` lies."""
    return np.arange(n) if is_numpy(x) else torch.arange(n, device=x.device)


def identity(x: Array, n: int) -> Array:
    """Identity matrix of the kind of `x`."""
    return np.eye(n) if is_numpy(x) else torch.eye(n, dtype=x.dtype, device=x.device)


def single(x: Array) -> Array:
    """`x` in single precision."""
    return x.astype(np.float32) if is_numpy(x) else x.float()


def as_type(x: Array, like: Array) -> Array:
    """`x` in the dtype of another array."""
    return x.astype(like.dtype, copy=False) if is_numpy(x) else x.to(like.dtype)


def lengths(blocks: Array) -> Array:
    """Norms over the last dimension, fast where that is not the contiguous one."""
    return sqrt((blocks * blocks).sum(-1))


def shrinkage(norm: Array, threshold: Array) -> Array:
    """Factors ``(1 - threshold / norm)_+`` of blocks of those norms."""
    active = norm > threshold
    return where(active, 1 - threshold / where(active, norm, 1), 0)


def gather(x: Array, index: Array) -> Array:
    """Entries of x (*batch, k) at an index (*batch, f) of its last dimension."""
    if not is_numpy(x):
        return x.gather(-1, index)
    rows = x.reshape(-1, x.shape[-1])
    at = index.reshape(len(rows), -1)
    return rows[np.arange(len(rows))[:, None], at].reshape(index.shape)


def scattered(x: Array, index: Array, values: Array) -> Array:
    """Copy of x (*batch, k) with `values` at an index (*batch, f) of its last dimension."""
    if not is_numpy(x):
        return x.scatter(-1, index, values)
    rows = x.reshape(-1, x.shape[-1]).copy()
    at = index.reshape(len(rows), -1)
    rows[np.arange(len(rows))[:, None], at] = (
        values if np.isscalar(values) else values.reshape(at.shape)
    )
    return rows.reshape(x.shape)


def rows_at(x: Array, index: Array) -> Array:
    """Rows (b, f, k) of x (b, d, k) at an index (b, f)."""
    if is_numpy(x):
        return x[np.arange(len(x))[:, None], index]
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def columns_at(x: Array, index: Array) -> Array:
    """Columns (b, n, p) of x (b, n, m) at an index (b, p)."""
    if is_numpy(x):
        return x[np.arange(len(x))[:, None, None], np.arange(x.shape[1])[:, None], index[:, None]]
    return x.gather(2, index.unsqueeze(1).expand(-1, x.shape[1], -1))


def leading(x: Array, count: int) -> Array:
    """Where the `count` largest entries of x (b, m) are, (b, count), in no order."""
    if is_numpy(x):
        return np.argpartition(x, -count, axis=-1)[:, -count:]
    if x.dtype == torch.bool:
        x = x.to(torch.int8)
    return x.topk(count, dim=-1, sorted=False).indices


def diagonal(matrix: Array) -> Array:
    """Writable view of the diagonals (*batch, d) of matrices (*batch, d, d)."""
    if is_numpy(matrix):
        return np.einsum("...ii->...i", matrix)
    return matrix.diagonal(dim1=-1, dim2=-2)


def diagonal_blocks(matrix: Array, n: int) -> Array:
    """Writable view (b, q, q, n) of the n diagonal blocks of matrices (b, n q, n q)."""
    b, q = len(matrix), matrix.shape[1] // n
    blocks = matrix.reshape(b, n, q, n, q)
    if is_numpy(matrix):
        return np.einsum("bnqnr->bqrn", blocks)
    return blocks.diagonal(dim1=1, dim2=3)


def put(x: Array, index: Array, rows: Array) -> Array:
    """Copy of x with other rows at an index of its first dimension."""
    if not is_numpy(x):
        return x.index_copy(0, index, rows)
    x = x.copy()
    x[index] = rows
    return x


def spread(x: Array, q: int) -> Array:
    """Array (b, n q, ...) with each row of x (b, n, ...) q times."""
    return np.repeat(x, q, 1) if is_numpy(x) else x.repeat_interleave(q, 1)


def copies(matrix: Array, k: int) -> Array:
    """Matrices (b, k, d, d), k copies of each of those (b, d, d)."""
    if is_numpy(matrix):
        return np.repeat(matrix[:, None], k, axis=1)
    return matrix[:, None].repeat(1, k, 1, 1)


def cholesky(matrix: Array) -> Array:
    """Lower Cholesky factors of matrices (*batch, d, d), which they may overwrite.

    NumPy's hold anything above the diagonal. A matrix that is not positive definite gets a factor
    of no use.
    """
    if not is_numpy(matrix):
        return torch.linalg.cholesky_ex(matrix).L
    matrix, d = np.ascontiguousarray(matrix), matrix.shape[-1]
    for part in matrix.reshape(-1, d, d):
        # LAPACK reads columns: the lower triangle is its upper one
        lapack.dpotrf(part.T, lower=0, clean=0, overwrite_a=1)
    return matrix


def cholesky_solve(right: Array, lower: Array) -> Array:
    """Solutions (*batch, d) by lower Cholesky factors."""
    if not is_numpy(lower):
        return torch.cholesky_solve(right.unsqueeze(-1), lower).squeeze(-1)
    solution = np.empty_like(right)
    d = lower.shape[-1]
    parts = lower.reshape(-1, d, d), right.reshape(-1, d), solution.reshape(-1, d)
    for factor, given, found in zip(*parts, strict=True):
        found[:] = lapack.dpotrs(factor.T, given, lower=0)[0]
    return solution


def cholesky_inverse(lower: Array) -> Array:
    """Inverses (*batch, d, d) by lower Cholesky factors."""
    if not is_numpy(lower):
        return torch.cholesky_inverse(lower)
    eye = np.eye(lower.shape[-1])
    inverse = np.empty_like(lower)
    d = lower.shape[-1]
    for factor, found in zip(lower.reshape(-1, d, d), inverse.reshape(-1, d, d), strict=True):
        found[:] = lapack.dpotrs(factor.T, eye, lower=0)[0].T
    return inverse
