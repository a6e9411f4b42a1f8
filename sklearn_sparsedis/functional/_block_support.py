"""Linear systems of the multi-task Lasso, on a support that differs from problem to problem."""

from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional._support import (
    FILTER_POWER,
    LEAST_NORM_STEPS,
    SHIFT,
    SMALL_PIVOT,
    gathered_support,
    submatrices,
)
from sklearn_sparsedis.functional._sync import any_true

__all__ = ["BlockFactor", "factor_blocks"]


class BlockFactor(NamedTuple):
    """The systems H X = B of the blocks (rows of length q) on a support, and their factors.

    H X = G_SS X + C (X - U (U∘X)1'), where the row j of U is a unit vector and C is diagonal: the
    second derivative of 1/2 tr(X'GX) + alpha sum_j ||X_j|| at rows alpha / C_jj U_j.

    Attributes
    ----------
    gram : Tensor of shape (T, k, k)
        G_SS, zero outside the support.
    curvature : Tensor of shape (T, k, 1)
        Diagonal of C; one outside the support.
    direction : Tensor of shape (T, k, q)
        U; zero outside the support.
    outer : Tensor of shape (T, k, k)
        Lower Cholesky factors of K^-1 = G_SS + D + C, for a small diagonal D.
    inner : Tensor of shape (T, k, k)
        Lower Cholesky factors of (C^-1 - K) ∘ UU', whose size does not depend on the outputs.
    shift : Tensor of shape (T, k, 1)
        Diagonal of D.
    inside : Tensor of shape (T, k, 1)
        One on the rows of the support, zero elsewhere.
    gathered : Tensor of int64, shape (T, k), or None
        Variables of the rows; None when all m are kept in their order.
    """

    gram: Tensor
    curvature: Tensor
    direction: Tensor
    outer: Tensor
    inner: Tensor
    shift: Tensor
    inside: Tensor
    gathered: Tensor | None

    def restrict(self, x: Tensor) -> Tensor:
        """Rows of the systems: (T, m, q) to (T, k, q), zero outside the support."""
        return self.inside * _gather(x, self.gathered)

    def extend(self, x: Tensor, m: int) -> Tensor:
        """Inverse of `restrict`, zero outside the support."""
        if self.gathered is None:
            return x
        index = self.gathered[:, :, None].expand_as(x)
        return x.new_zeros(len(x), m, x.shape[2]).scatter_add_(1, index, x)

    def multiply(self, x: Tensor) -> Tensor:
        """H x, for x (T, k, q) that is zero outside the support."""
        along = (self.direction * x).sum(-1, keepdim=True)
        curved = self.inside * self.curvature * (x - self.direction * along)
        return torch.baddbmm(curved, self.gram, x)

    def substitute(self, rhs: Tensor) -> Tensor:
        """(H + D)^-1 rhs by Woodbury's formula, shape (T, k, q)."""
        x = torch.cholesky_solve(rhs, self.outer)
        along = (self.direction * x).sum(-1, keepdim=True)
        x = x + torch.cholesky_solve(
            self.direction * torch.cholesky_solve(along, self.inner), self.outer
        )
        return self.inside * x

    def solve(self, rhs: Tensor, *, least_norm: bool = True) -> Tensor:
        """H^-1 rhs on the support and zero off it: (T, m, q) to (T, m, q).

        A singular H follows the rule of `functional.solve_support`.
        """
        b = self.restrict(rhs)
        if least_norm and self._may_be_singular():
            x = torch.zeros_like(b)
            for _ in range(LEAST_NORM_STEPS):
                x = x + self._filtered(b - self.multiply(x))
        else:
            x = self.substitute(b)
            x = x + self.substitute(b - self.multiply(x))
        return self.extend(x, rhs.shape[1])

    def _filtered(self, rhs: Tensor) -> Tensor:
        x = self.substitute(rhs)
        for _ in range(FILTER_POWER):
            x = self.substitute(self.multiply(x))
        return x

    def _may_be_singular(self) -> bool:
        if self.inner.device.type != "cpu":
            return True
        # (H + D)^-1 is of the size of K (C^-1 - K)^-1 K, the inverse of this in units of D.
        pivots = self.inner.diagonal(dim1=-2, dim2=-1).square()[..., None]
        small = pivots * self.curvature * (self.curvature + _diagonal(self.gram))
        return any_true((small < SMALL_PIVOT * self.shift) & (self.inside > 0))


def factor_blocks(
    gram: Tensor, support: Tensor, direction: Tensor, curvature: Tensor
) -> BlockFactor:
    """Factor H + D for each problem, at the cost of two matrices of the size of the support.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (T, m, m)
    support : Tensor of bool, shape (T, m)
    direction : Tensor of shape (T, m, q)
        Rows of length one, at least on the support.
    curvature : Tensor of shape (T, m)
        Not negative on the support.

    Notes
    -----
    With K = (G + D + C)^-1, Woodbury's formula needs (C^-1 - K) ∘ UU', whose first factor equals
    K (G + D) C^-1 and is formed as such: nothing cancels where a row is small and C is large.
    D is that of `factor_support`.
    """
    index = gathered_support(support)
    diagonal = gram.diagonal(dim1=-2, dim2=-1).expand(support.shape)
    if index is not None:
        used = support.sum(1, keepdim=True)
        gram, diagonal = submatrices(gram, index), diagonal.gather(1, index)
        curvature, direction = curvature.gather(1, index), _gather(direction, index)
        support = torch.arange(index.shape[1], device=index.device) < used
    both = support[:, :, None] & support[:, None, :]
    gram = torch.where(both, gram, 0.0)
    shift = SHIFT[gram.dtype] * torch.where(diagonal > 0, diagonal, 1.0)
    shift = torch.where(support, shift, 1.0)
    # Without a penalty the curvature is zero; a value below rounding gives it an inverse.
    floor = torch.finfo(gram.dtype).eps * shift
    curvature = torch.where(support, curvature.maximum(floor), 1.0)
    direction = torch.where(support[:, :, None], direction, 0.0)
    shifted = gram + torch.diag_embed(shift)
    outer, _ = torch.linalg.cholesky_ex(shifted + torch.diag_embed(curvature))
    reduced = torch.cholesky_solve(shifted / curvature[:, None, :], outer)
    reduced = 0.5 * (reduced + reduced.mT) * (direction @ direction.mT)
    inside = support.to(gram.dtype)
    inner, _ = torch.linalg.cholesky_ex(reduced + torch.diag_embed(1 - inside))
    return BlockFactor(
        gram,
        curvature[..., None],
        direction,
        outer,
        inner,
        shift[..., None],
        inside[..., None],
        index,
    )


def _gather(x: Tensor, index: Tensor | None) -> Tensor:
    return x if index is None else x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))


def _diagonal(gram: Tensor) -> Tensor:
    return gram.diagonal(dim1=-2, dim2=-1)[..., None]
