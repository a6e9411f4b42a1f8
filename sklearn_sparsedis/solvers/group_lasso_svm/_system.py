"""Newton systems of the group-Lasso SVM's dual, in coordinates that stay well conditioned.

A step moves each row of Lambda within the simplex's plane. Its coordinates are the classes other
than the row's largest entry, the pivot, which takes up the difference: the barrier of an entry on
its way to zero then sits alone on the diagonal, where its size does no harm to a Cholesky factor.
"""

from typing import Protocol

import torch
from torch import Tensor

_RIDGE = 1e-14
# Features whose part of the Hessian is formed at once, unless the Hessian itself is wider
_COLUMNS = 1024
# A symmetric product in so many blocks of rows saves a third of the work
_ROW_BLOCKS = 4


class Solver(Protocol):
    """A factored Newton system."""

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""


class PivotBasis:
    """Coordinates of each row's moves in the plane of the simplex.

    Parameters
    ----------
    dual : Tensor of shape (b, n, k)
        Dual point; the largest entry of each row is its pivot.
    """

    def __init__(self, dual: Tensor):
        k = dual.shape[-1]
        self.pivot = dual.argmax(-1, keepdim=True)
        others = torch.arange(k - 1, device=dual.device)
        self.others = others + (others >= self.pivot)
        eye = torch.eye(k, dtype=dual.dtype, device=dual.device)
        # rows e_l - e_pivot, (b, n (k-1), k)
        self.rows = (eye[self.others] - eye[self.pivot]).flatten(1, 2)

    def reduce(self, gradient: Tensor) -> Tensor:
        """Gradient (b, n, k) in the coordinates, (b, n (k-1))."""
        entries = gradient.gather(-1, self.others) - gradient.gather(-1, self.pivot)
        return entries.flatten(1)

    def expand(self, coordinates: Tensor) -> Tensor:
        """Move (b, n, k) from its coordinates (b, n (k-1))."""
        coordinates = coordinates.view(self.others.shape)
        b, n, q = coordinates.shape
        move = coordinates.new_zeros(b, n, q + 1)
        move.scatter_(-1, self.others, coordinates)
        return move.scatter_(-1, self.pivot, -coordinates.sum(-1, keepdim=True))


def weighted_hessian(
    F: Tensor, bent: Tensor, weight: Tensor, basis: PivotBasis, index: Tensor | None
) -> Tensor:
    r"""Sum over features of ``(F_j (x) I) [weight_j I + bent_j bent_j^T] (F_j (x) I)^T``.

    Parameters
    ----------
    F : Tensor of shape (b, n, p)
        Features.
    bent : Tensor of shape (b, p, k)
        Direction of each feature's extra curvature, scaled by its square root.
    weight : Tensor of shape (b, p)
        Curvature of each feature in all directions.
    basis : PivotBasis
        Coordinates.
    index : Tensor of int, shape (b, f), or None
        Coordinates that are wanted; None means all.

    Returns
    -------
    Tensor of shape (b, f, f)
        The matrix, f = n (k-1) without an `index`; only its lower triangle is sure to be there.
    """
    rows, sample = _chosen(basis, index)
    rows = rows.to(F.dtype)
    total = gram_hessian((F * weight.unsqueeze(1)) @ F.mT, basis, index)
    b, n, p = F.shape
    size = rows.shape[1]
    width = max(size, _COLUMNS)
    for start in range(0, p, width):
        part = F[..., start : start + width]
        X = rows @ bent[:, start : start + width].mT
        if index is None:
            X.view(b, n, size // n, -1).mul_(part.unsqueeze(2))
        else:
            X.mul_(part.gather(1, sample.unsqueeze(-1).expand(-1, -1, part.shape[-1])))
        total += _lower_product(X)
    return total


def _lower_product(X: Tensor) -> Tensor:
    """``X X^T`` (b, f, f), of which only the lower triangle is sure to be there."""
    b, f, _ = X.shape
    if f < _ROW_BLOCKS * 32:
        return X @ X.mT
    product = X.new_zeros(b, f, f)
    ends = [f * (i + 1) // _ROW_BLOCKS for i in range(_ROW_BLOCKS)]
    for start, end in zip([0, *ends], ends, strict=False):
        product[:, start:end, :end] = X[:, start:end] @ X[:, :end].mT
    return product


def gram_hessian(gram: Tensor, basis: PivotBasis, index: Tensor | None) -> Tensor:
    """Matrix ``gram (x) I`` in (some) coordinates of a basis, (b, f, f).

    Parameters
    ----------
    gram : Tensor of shape (b, n, n)
        Gram matrix of the samples.
    basis, index
        As in `weighted_hessian`.
    """
    b, n, _ = gram.shape
    rows, sample = _chosen(basis, index)
    rows = rows.to(gram.dtype)
    overlap = rows @ rows.mT
    if index is None:
        q = overlap.shape[1] // n
        overlap.view(b, n, q, n, q).mul_(gram[:, :, None, :, None])
        return overlap
    f = sample.shape[1]
    gram = gram.gather(1, sample.unsqueeze(-1).expand(b, f, n))
    return overlap.mul_(gram.gather(2, sample.unsqueeze(1).expand(b, f, f)))


def _chosen(basis: PivotBasis, index: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows (b, f, k) of the coordinates at `index`, and the sample that each belongs to (b, f)."""
    if index is None:
        return basis.rows, basis.pivot
    rows = basis.rows.gather(1, index.unsqueeze(-1).expand(-1, -1, basis.rows.shape[-1]))
    return rows, index.div(basis.others.shape[-1], rounding_mode="floor")


def add_barrier(hessian: Tensor, basis: PivotBasis, curvature: Tensor) -> Tensor:
    """Add, in place, the barrier's diagonal curvature (b, n, k) to a full reduced Hessian."""
    b, n, q = basis.others.shape
    blocks = hessian.view(b, n, q, n, q).diagonal(dim1=1, dim2=3)  # (b, q, q, n)
    blocks += curvature.gather(-1, basis.pivot)[:, None, None, :, 0]
    diagonal = hessian.diagonal(dim1=-1, dim2=-2).view(b, n, q)
    diagonal += curvature.gather(-1, basis.others)
    return hessian


class Factor:
    """Cholesky factor of symmetric positive definite matrices, scaled to unit diagonal.

    Parameters
    ----------
    matrix : Tensor of shape (*batch, d, d)
        The matrices, of which only the lower triangles are read.
    ridge : float
        Added to the unit diagonal, so that singular matrices have a finite factor.
    """

    def __init__(self, matrix: Tensor, ridge: float = _RIDGE):
        diagonal = matrix.diagonal(dim1=-1, dim2=-2)
        self.scale = diagonal.clamp_min(torch.finfo(matrix.dtype).tiny).rsqrt().unsqueeze(-1)
        scaled = matrix * self.scale
        scaled *= self.scale.mT
        scaled.diagonal(dim1=-1, dim2=-2).fill_(1 + ridge)
        self.lower = torch.linalg.cholesky_ex(scaled).L

    def solve(self, right: Tensor) -> Tensor:
        """Solution (*batch, d) for the right-hand side (*batch, d)."""
        scaled = self.scale * right.unsqueeze(-1)
        return (self.scale * torch.cholesky_solve(scaled, self.lower)).squeeze(-1)

    def inverse(self) -> Tensor:
        """Inverse (*batch, d, d)."""
        return torch.cholesky_inverse(self.lower) * self.scale * self.scale.mT


class PivotSolver:
    """Newton system given by its matrix in the pivots' coordinates."""

    def __init__(self, basis: PivotBasis, matrix: Tensor):
        self.basis = basis
        self.factor = Factor(matrix)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        return self.basis.expand(self.factor.solve(-self.basis.reduce(gradient)))


class ClassSolver:
    """Newton system of a Gram matrix, block diagonal over classes but for the rows' sums.

    Parameters
    ----------
    gram : Tensor of shape (b, n, n)
        Gram matrix.
    dual : Tensor of shape (b, n, k)
        Dual point.
    curvature : Tensor of shape (b, n, k)
        The barrier's diagonal curvature.
    """

    def __init__(self, gram: Tensor, dual: Tensor, curvature: Tensor):
        self.pivot = dual.argmax(-1, keepdim=True)
        blocks = gram.unsqueeze(1) + torch.diag_embed(curvature.mT)
        self.inverse = Factor(blocks).inverse()  # (b, k, n, n)
        self.sums = Factor(self.inverse.sum(1))

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        free = (self.inverse @ gradient.mT.unsqueeze(-1)).squeeze(-1)  # (b, k, n)
        shared = self.sums.solve(free.sum(1))
        move = ((self.inverse @ shared[:, None, :, None]).squeeze(-1) - free).mT
        # rounding must not take the rows out of the simplex's plane
        return move.scatter_add(-1, self.pivot, -move.sum(-1, keepdim=True))


def chosen_coordinates(mask: Tensor) -> Tensor | None:
    """Index (b, f) that covers the coordinates in a mask (b, d); None where that saves little.

    On an accelerator None, as the number would have to come back to the host.
    """
    if mask.device.type != "cpu":
        return None
    count = max(1, int(mask.sum(-1).max()))
    if count > 0.9 * mask.shape[-1]:
        return None
    return mask.to(torch.int8).topk(count, dim=-1, sorted=False).indices
