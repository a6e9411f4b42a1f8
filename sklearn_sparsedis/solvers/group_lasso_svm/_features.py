"""Products with the features of many samples, dense or sparse, without a copy of them."""

from dataclasses import dataclass

import torch
from scipy.sparse import csc_array, csr_array
from torch import Tensor

from sklearn_sparsedis._warnings import hear_out_torch
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import on_host

# Elements of a dense table that a pass over it may copy at once
_CHUNK = 2**22
# A smaller share of a dense table than this is copied for the products with it alone
_COPIED_SHARE = 0.15
# A smaller share of sparse features than this is copied for the products with it alone
_WORTH_COPYING = 0.7
# With a smaller share of a sparse table's columns alone a product is worth while
_WORTH_SKIPPING = 0.5
# Integers that short indices hold are below this
_SHORT = 2**31


@dataclass
class Features:
    """Features of one problem, after them a column of ones where `ones`.

    Attributes
    ----------
    F : Tensor of shape (n, m)
        Dense or in compressed sparse rows.
    transposed : Tensor of shape (m, n)
        In the same layout; a view of dense ones.
    scale : float
        Factor of all features.
    ones : bool
        Whether there is a column of ones.
    """

    F: Tensor
    transposed: Tensor
    scale: float
    ones: bool

    @classmethod
    def of(cls, F: Tensor, scale: float, ones: bool) -> "Features":
        """Features of a tensor, whose transpose is formed once if it is sparse."""
        if not is_sparse(F):
            return cls(F, F.t(), scale, ones)
        hear_out_torch()
        return cls(F, _transposed(F), scale, ones)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and of features, that of ones included."""
        return self.F.shape[0], self.F.shape[1] + self.ones

    def scores(self, W: Tensor) -> Tensor:
        """Product (n, k) with coefficients (m, k), in their dtype."""
        m = self.F.shape[1]
        scores = self._product(W[:m].to(self.F.dtype)).to(W.dtype)
        return self.scale * (scores + W[m:] if self.ones else scores)

    def _product(self, W: Tensor) -> Tensor:
        """Product of F with W, of its columns alone that count where they are few and sparse."""
        if on_host(W) and is_sparse(self.F):
            used = (W != 0).any(-1).nonzero()[:, 0]
            if len(used) < _WORTH_SKIPPING * len(W):
                columns = _in_scipy(self.transposed)[used.numpy()].T
                return torch.from_numpy(columns @ W[used].numpy())
        return self.F @ W

    def image(self, A: Tensor) -> Tensor:
        """Product (m, k) of the transpose with A (n, k), in its dtype."""
        image = (self.transposed @ A.to(self.F.dtype)).to(A.dtype)
        if self.ones:
            image = torch.cat([image, A.sum(0, keepdim=True)])
        return self.scale * image

    def squares(self, c: Tensor) -> Tensor:
        """Sums (m,) of c (n, 1) times squared features."""
        sums = c.new_zeros(self.F.shape[1])
        if is_sparse(self.F):
            values = self.F.values().to(c.dtype).square()
            values *= c[:, 0].repeat_interleave(self.F.crow_indices().diff())
            sums.index_add_(0, self.F.col_indices(), values)
        else:
            size = max(1, _CHUNK // max(1, self.F.shape[1]))
            for part, weight in zip(self.F.split(size), c.split(size), strict=True):
                sums += part.to(c.dtype).square().t() @ weight[:, 0]
        if self.ones:
            sums = torch.cat([sums, c.sum(0)])
        return self.scale**2 * sums

    def part(self, rows: Tensor, columns: Tensor) -> "Features | Part":
        """Products with some samples and features, given by their ascending indices.

        Those of sparse features are copied, in single precision and with short indices where they
        fit: what products with them cost is the reading of both.
        """
        if is_sparse(self.F):
            return self.copied(rows, columns)
        n, m = self.shape
        few = len(rows) * len(columns) < _COPIED_SHARE * n * m
        return self.copied(rows, columns) if few else Part(self, rows, columns)

    def among(self, columns: Tensor) -> "Features | Part":
        """Products with some features, copied once more where far fewer are left."""
        n, m = self.shape
        rows = torch.arange(n, device=columns.device)
        if is_sparse(self.F) and len(columns) < _WORTH_COPYING * m:
            return self.copied(rows, columns)
        return Part(self, rows, columns)

    def copied(self, rows: Tensor, columns: Tensor) -> "Features":
        """Copy of some samples and features."""
        inner = columns[columns < self.F.shape[1]]
        ones = len(inner) < len(columns)
        if is_sparse(self.F):
            F = _light(_entries(self.F, rows, inner))
            return Features(F, _transposed(F), self.scale, ones)
        F = self.F.new_empty(len(rows), len(inner))
        size = max(1, _CHUNK // max(1, self.F.shape[1]))
        for part, index in zip(F.split(size), rows.split(size), strict=True):
            torch.index_select(self.F.index_select(0, index), 1, inner, out=part)
        return Features(F, F.t(), self.scale, ones)

    def table(self, dtype: torch.dtype) -> Tensor:
        """Dense ones in one tensor (n, m)."""
        F = self.F.to(dtype)
        return self.scale * (torch.cat([F, F.new_ones(len(F), 1)], dim=1) if self.ones else F)


class Part:
    """Products with some rows and columns of features, the others filled with zeros.

    Parameters
    ----------
    whole : Features or Part
        All of them.
    rows, columns : Tensor of int64, shapes (r,) and (p,)
        Ascending indices.
    """

    def __init__(self, whole: "Features | Part", rows: Tensor, columns: Tensor):
        self.whole, self.rows, self.columns = whole, rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and of features."""
        return len(self.rows), len(self.columns)

    def among(self, columns: Tensor) -> "Features | Part":
        """Products with some of the features."""
        if len(self.rows) == self.whole.shape[0]:
            return self.whole.among(self.columns[columns])
        return Part(self.whole, self.rows, self.columns[columns])

    def scores(self, x: Tensor) -> Tensor:
        """Product (r, k) with coefficients (p, k)."""
        W = x.new_zeros(self.whole.shape[1], x.shape[1]).index_copy_(0, self.columns, x)
        return self.whole.scores(W)[self.rows]

    def image(self, a: Tensor) -> Tensor:
        """Product (p, k) of the transpose with a (r, k)."""
        A = a.new_zeros(self.whole.shape[0], a.shape[1]).index_copy_(0, self.rows, a)
        return self.whole.image(A)[self.columns]


def is_sparse(F: Tensor) -> bool:
    """Whether features are in compressed sparse rows."""
    return F.layout == torch.sparse_csr


def _transposed(matrix: Tensor) -> Tensor:
    """Transpose in compressed sparse rows, on a CPU by SciPy, which takes a tenth of the time."""
    if matrix.device.type != "cpu":
        return matrix.t().to_sparse_csr()
    return _in_torch(_in_scipy(matrix).tocsc(), matrix.shape[::-1])


def _in_scipy(matrix: Tensor) -> csr_array:
    """SciPy's matrix on the memory of a tensor on a CPU."""
    parts = matrix.values(), matrix.col_indices(), matrix.crow_indices()
    return csr_array(tuple(x.numpy() for x in parts), shape=matrix.shape)


def _in_torch(found: csr_array | csc_array, shape: tuple[int, ...]) -> Tensor:
    """Tensor on the memory of SciPy's matrix, or transposed on that of sparse columns."""
    ends, index, values = map(torch.from_numpy, (found.indptr, found.indices, found.data))
    hear_out_torch()
    return torch.sparse_csr_tensor(ends, index, values, shape, check_invariants=False)


def _light(matrix: Tensor) -> Tensor:
    """Copy in single precision, with short indices where they fit."""
    index = matrix.crow_indices(), matrix.col_indices()
    if max(len(matrix.values()), matrix.shape[1]) < _SHORT:
        index = index[0].int(), index[1].int()
    hear_out_torch()
    return torch.sparse_csr_tensor(
        *index, matrix.values().float(), matrix.shape, check_invariants=False
    )


def _entries(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Some rows and columns of a matrix in compressed sparse rows."""
    if on_host(matrix):
        some = _in_scipy(matrix)[rows.numpy()][:, columns.numpy()]
        return _in_torch(some, some.shape)
    start, counts = matrix.crow_indices()[rows], matrix.crow_indices().diff()[rows]
    ends = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    index = torch.arange(int(ends[-1]), device=rows.device)
    index += torch.repeat_interleave(start - ends[:-1], counts)
    place = rows.new_full((matrix.shape[1],), -1)
    place[columns] = torch.arange(len(columns), device=rows.device)
    column = place[matrix.col_indices()[index]]
    kept = column >= 0
    ends = torch.cat([ends.new_zeros(1), kept.cumsum(0)])[ends]
    values = matrix.values()[index[kept]]
    hear_out_torch()
    return torch.sparse_csr_tensor(
        ends, column[kept], values, (len(rows), len(columns)), check_invariants=False
    )
