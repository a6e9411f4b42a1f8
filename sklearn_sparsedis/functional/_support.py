"""Linear systems restricted to a support that differs from problem to problem."""

from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true

__all__ = [
    "RegularFactor",
    "SupportFactor",
    "cached_parts",
    "factor_regular",
    "factor_support",
    "gathered_support",
    "gram_matvec",
    "solve_support",
    "submatrices",
]

# On the CPU, supports smaller than this share of the variables are gathered before factoring, if
# factoring takes more work (in T m^3) than the second constant.
GATHER_SHARE = 0.95
GATHER_WORK = 500_000
# Number of entries of matrices that fit the CPU's cache.
CACHED = 2_000_000
# Shift of the diagonal, relative to its entries.
SHIFT = {torch.float64: 1e-10, torch.float32: 1e-5}
# A pivot smaller than this number of shifts may hide an eigenvalue of zero.
SMALL_PIVOT = 1e4
LEAST_NORM_STEPS = 4
FILTER_POWER = 3


class SupportFactor(NamedTuple):
    """Linear systems on the supports and their Cholesky factors.

    Attributes
    ----------
    system : Tensor of shape (T, k, k)
        G_SS + D, with the identity outside the support.
    cholesky : Tensor of shape (T, k, k)
        Lower factors of `system`.
    shift : Tensor of shape (T, k)
        Diagonal of D.
    inside : Tensor of bool, shape (T, k)
        Mask of the k rows that belong to the support.
    gathered : Tensor of int64, shape (T, k), or None
        Variables of the rows; None when all m are kept in their order.
    """

    system: Tensor
    cholesky: Tensor
    shift: Tensor
    inside: Tensor
    gathered: Tensor | None

    def restrict(self, x: Tensor) -> Tensor:
        """Values on the rows of the systems: (T, m) to (T, k), zero outside the support."""
        x = x if self.gathered is None else x.gather(1, self.gathered)
        return torch.where(self.inside, x, 0.0)

    def extend(self, x: Tensor, m: int) -> Tensor:
        """Inverse of `restrict`, zero outside the support."""
        if self.gathered is None:
            return x
        return x.new_zeros(len(x), m).scatter_add_(1, self.gathered, x)

    def multiply(self, x: Tensor) -> Tensor:
        """G_SS x, shape (T, k), for x that is zero outside the support."""
        # A matrix times a column would take twice as long as a row times a matrix.
        return torch.baddbmm((-self.shift * x)[:, None], x[:, None], self.system)[:, 0]

    def solve(self, rhs: Tensor) -> Tensor:
        """pinv(G_SS) rhs_S, zero outside the support, shape (T, m)."""
        return solve_support(self, rhs, least_norm=True)

    def substitute(self, rhs: Tensor) -> Tensor:
        """(G_SS + D)^-1 rhs, shape (T, k)."""
        half = torch.linalg.solve_triangular(self.cholesky, rhs[:, :, None], upper=False)
        return torch.linalg.solve_triangular(self.cholesky.mT, half, upper=True)[:, :, 0]


class RegularFactor(NamedTuple):
    """Cholesky factors of well-conditioned systems on the supports.

    Attributes
    ----------
    cholesky : Tensor of shape (T, m, m)
        Lower factors of G_SS, with the identity outside the support.
    inside : Tensor of shape (T, m)
        One on the support, zero outside.
    """

    cholesky: Tensor
    inside: Tensor

    def solve(self, rhs: Tensor) -> Tensor:
        """G_SS^-1 rhs_S, zero outside the support, shape (T, m)."""
        half = torch.linalg.solve_triangular(
            self.cholesky, (self.inside * rhs)[:, :, None], upper=False
        )
        return torch.linalg.solve_triangular(self.cholesky.mT, half, upper=True)[:, :, 0]

    def put_(self, index: Tensor, other: "RegularFactor") -> None:
        """Replace the problems at an index, in place."""
        for mine, theirs in zip(self, other, strict=True):
            mine.index_copy_(0, index, theirs)


def factor_regular(gram: Tensor, support: Tensor) -> tuple[RegularFactor, Tensor]:
    """Factor G_SS for each problem, without help for those that are close to singular.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (T, m, m)
    support : Tensor of bool, shape (T, m)

    Returns
    -------
    factor : RegularFactor
    regular : Tensor of bool, shape (T,)
        Mask of the problems with a valid factor: no pivot is below `SMALL_PIVOT` shifts.
    """
    inside = support.to(gram.dtype)
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    system = inside[:, :, None] * inside[:, None, :] * gram
    system.diagonal(dim1=-2, dim2=-1).add_(1 - inside)
    cholesky, info = torch.linalg.cholesky_ex(system)
    floor = (SMALL_PIVOT * SHIFT[gram.dtype] * diagonal).sqrt() * inside
    large = (cholesky.diagonal(dim1=-2, dim2=-1) >= floor).all(-1)
    return RegularFactor(cholesky, inside), large & (info == 0)


def gram_matvec(gram: Tensor, x: Tensor) -> Tensor:
    """Product of one Gram matrix (m, m), or one each (T, m, m), with vectors (T, m)."""
    return x @ gram if gram.ndim == 2 else torch.bmm(x[:, None, :], gram)[:, 0]


def cached_parts(x: Tensor) -> list[slice]:
    """Split problems with vectors (T, m) into slices; on the CPU each fits its cache."""
    T, m = x.shape
    size = max(1, CACHED // m**2 if x.device.type == "cpu" else T)
    return [slice(i, min(i + size, T)) for i in range(0, max(T, 1), size)]


def factor_support(gram: Tensor, support: Tensor) -> SupportFactor:
    """Factor G_SS + D for each problem.

    D is 1e-10 (float64) or 1e-5 (float32) of the diagonal of G, so that a singular G_SS (collinear
    features, more of them than rows) has a factor too, whatever the features' scales;
    `solve_support` removes its effect.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (T, m, m)
    support : Tensor of bool, shape (T, m)
    """
    index = gathered_support(support)
    inside = support
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    shift = SHIFT[gram.dtype] * torch.where(diagonal > 0, diagonal, 1.0).expand(support.shape)
    if index is not None:
        used = support.sum(1, keepdim=True)
        inside = torch.arange(index.shape[1], device=index.device) < used
        gram, shift = submatrices(gram, index), shift.gather(1, index)
    both = inside[:, :, None] & inside[:, None, :]
    system = torch.where(both, gram, 0.0)
    system.diagonal(dim1=-2, dim2=-1).add_(torch.where(inside, shift, 1.0))
    cholesky, _ = torch.linalg.cholesky_ex(system)
    return SupportFactor(system, cholesky, shift, inside, index)


def gathered_support(support: Tensor) -> Tensor | None:
    """Variables of each support, filled up with variable 0 to the length of the longest."""
    T, m = support.shape
    if support.device.type != "cpu" or T * m**3 < GATHER_WORK:
        return None
    position = support.cumsum(1)
    largest = max(1, int(position[:, -1].max()))
    if largest > GATHER_SHARE * m:
        return None
    # Variables outside the support go to an additional column, which is dropped.
    position = torch.where(support, position - 1, largest)
    index = position.new_zeros(T, largest + 1)
    variables = torch.arange(m).expand_as(position)
    return index.scatter_(1, position, variables)[:, :largest]


def submatrices(gram: Tensor, index: Tensor) -> Tensor:
    """G[index, index] of each problem: rows first, in one piece, then columns."""
    T, k = index.shape
    m = gram.shape[-1]
    rows = index if gram.ndim == 2 else index + m * torch.arange(T)[:, None]
    chosen = gram.reshape(-1, m).index_select(0, rows.reshape(-1)).view(T, k, m)
    return chosen.gather(2, index[:, None, :].expand(-1, k, -1))


def solve_support(
    factor: SupportFactor, rhs: Tensor, start: Tensor | None = None, *, least_norm: bool = False
) -> Tensor:
    """Solve G_SS x_S = rhs_S, with x = 0 outside the support.

    Parameters
    ----------
    factor : SupportFactor
        From `factor_support`.
    rhs : Tensor of shape (T, m)
    start : Tensor of shape (T, m), optional
        Start of the refinement; zero by default. For a singular G_SS the solution keeps the part
        of `start` in its null space.
    least_norm : bool
        Whether a singular system gets its least-squares solution of least norm, also where no x
        solves it exactly: pinv(G_SS) rhs, each variable in units of its feature's root mean
        square, with eigenvalues below 1e-10 (1e-5) in these units taken as zero.

    Returns
    -------
    Tensor of shape (T, m)

    Notes
    -----
    In those units D is delta I. Two steps of refinement remove its effect: its share in an
    eigenvalue e becomes (delta/e)^2. For `least_norm`, where a pivot is small, four steps with the
    filtered inverse
    ((G + D)^-1 G)^3 (G + D)^-1 are taken instead: zero on the null space, 1/e up to a share of
    4 delta/e elsewhere. An accelerator takes them always, because asking it would synchronise.
    """
    m = rhs.shape[1]
    b = factor.restrict(rhs)
    if least_norm and _may_be_singular(factor):
        x = torch.zeros_like(b)
        for _ in range(LEAST_NORM_STEPS):
            x = x + _filtered(factor, b - factor.multiply(x))
        return factor.extend(x, m)
    if start is None:
        x = factor.substitute(b)
    else:
        x = factor.restrict(start)
        x = x + factor.substitute(b - factor.multiply(x))
    return factor.extend(x + factor.substitute(b - factor.multiply(x)), m)


def _may_be_singular(factor: SupportFactor) -> bool:
    if factor.cholesky.device.type != "cpu":
        return True
    pivots = factor.cholesky.diagonal(dim1=-2, dim2=-1).square()
    return any_true((pivots < SMALL_PIVOT * factor.shift) & factor.inside)


def _filtered(factor: SupportFactor, rhs: Tensor) -> Tensor:
    x = factor.substitute(rhs)
    for _ in range(FILTER_POWER):
        x = factor.substitute(factor.multiply(x))
    return x
