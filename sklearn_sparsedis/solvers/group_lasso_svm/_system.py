"""Newton systems of the group-Lasso SVM's dual, in coordinates that stay well conditioned.

A step moves each row of Lambda within the simplex's plane. Its coordinates are the classes other
than the row's largest entry, the pivot, which takes up the difference: the barrier of an entry on
its way to zero then sits alone on the diagonal, where its size does no harm to a Cholesky factor.
"""

from typing import Protocol

from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    as_type,
    at_least,
    cholesky,
    cholesky_inverse,
    cholesky_solve,
    columns_at,
    copies,
    diagonal,
    diagonal_blocks,
    full,
    gather,
    identity,
    integers,
    leading,
    limits,
    on_host,
    rows_at,
    scattered,
    spread,
    sqrt,
)

_RIDGE = 1e-14
# Features whose part of the Hessian is formed at once, unless the Hessian itself is wider
_COLUMNS = 1024
# A symmetric product in so many blocks of rows saves a third of the work
_ROW_BLOCKS = 4


class Solver(Protocol):
    """A factored Newton system."""

    def __call__(self, gradient: Array) -> Array:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""


class PivotBasis:
    """Coordinates of each row's moves in the plane of the simplex.

    Parameters
    ----------
    dual : Array of shape (b, n, k)
        Dual point; the largest entry of each row is its pivot.
    """

    def __init__(self, dual: Array):
        k = dual.shape[-1]
        self.pivot = dual.argmax(-1)[..., None]
        others = integers(dual, k - 1)
        self.others = others + (others >= self.pivot)
        eye = identity(dual, k)
        # rows e_l - e_pivot, (b, n (k-1), k)
        self.rows = (eye[self.others] - eye[self.pivot]).reshape(len(dual), -1, k)

    def reduce(self, gradient: Array) -> Array:
        """Gradient (b, n, k) in the coordinates, (b, n (k-1))."""
        b, n, k = gradient.shape
        rows = self.rows.reshape(b, n, k - 1, k)
        return (rows * gradient[:, :, None]).sum(-1).reshape(b, -1)

    def expand(self, coordinates: Array) -> Array:
        """Move (b, n, k) from its coordinates (b, n (k-1))."""
        b, n, q = self.others.shape
        rows = self.rows.reshape(b, n, q, q + 1)
        return (rows * coordinates.reshape(b, n, q, 1)).sum(2)


def weighted_hessian(
    F: Array, bent: Array, weight: Array, basis: PivotBasis, index: Array | None
) -> Array:
    r"""Sum over features of ``(F_j (x) I) [weight_j I + bent_j bent_j^T] (F_j (x) I)^T``.

    Parameters
    ----------
    F : Array of shape (b, n, p)
        Features.
    bent : Array of shape (b, p, k)
        Direction of each feature's extra curvature, scaled by its square root.
    weight : Array of shape (b, p)
        Curvature of each feature in all directions.
    basis : PivotBasis
        Coordinates.
    index : Array of int, shape (b, f), or None
        Coordinates that are wanted; None means all.

    Returns
    -------
    Tensor of shape (b, f, f)
        The matrix, f = n (k-1) without an `index`; only its lower triangle is sure to be there.
    """
    rows, sample = _chosen(basis, index)
    rows = as_type(rows, F)
    total = gram_hessian((F * weight[:, None]) @ F.mT, basis, index)
    b, n, p = F.shape
    size = rows.shape[1]
    width = max(size, _COLUMNS)
    for start in range(0, p, width):
        part = F[..., start : start + width]
        X = rows @ bent[:, start : start + width].mT
        if index is None:
            blocks = X.reshape(b, n, size // n, -1)
            blocks *= part[:, :, None]
        else:
            X *= rows_at(part, sample)
        total += lower_product(X)
    return total


def lower_product(X: Array) -> Array:
    """``X X^T`` (*batch, f, f), of which only the lower triangle is sure to be there."""
    f = X.shape[-2]
    if f < _ROW_BLOCKS * 32:
        return X @ X.mT
    product = full(X, (*X.shape[:-1], f), 0)
    ends = [f * (i + 1) // _ROW_BLOCKS for i in range(_ROW_BLOCKS)]
    for start, end in zip([0, *ends], ends, strict=False):
        product[..., start:end, :end] = X[..., start:end, :] @ X[..., :end, :].mT
    return product


def gram_hessian(gram: Array, basis: PivotBasis, index: Array | None) -> Array:
    """Matrix ``gram (x) I`` in (some) coordinates of a basis, (b, f, f).

    Parameters
    ----------
    gram : Array of shape (b, n, n)
        Gram matrix of the samples.
    basis, index
        As in `weighted_hessian`.
    """
    b, n, _ = gram.shape
    rows, sample = _chosen(basis, index)
    rows = as_type(rows, gram)
    overlap = rows @ rows.mT
    if index is None:
        q = overlap.shape[1] // n
        overlap *= spread(spread(gram, q).mT, q)
    else:
        overlap *= columns_at(rows_at(gram, sample), sample)
    return overlap


def _chosen(basis: PivotBasis, index: Array | None) -> tuple[Array, Array]:
    """Rows (b, f, k) of the coordinates at `index`, and the sample that each belongs to (b, f)."""
    if index is None:
        return basis.rows, basis.pivot
    return rows_at(basis.rows, index), index // basis.others.shape[-1]


def add_barrier(hessian: Array, basis: PivotBasis, curvature: Array) -> Array:
    """Add, in place, the barrier's diagonal curvature (b, n, k) to a full reduced Hessian."""
    b, n, q = basis.others.shape
    blocks = diagonal_blocks(hessian, n)  # (b, q, q, n)
    blocks += gather(curvature, basis.pivot)[:, None, None, :, 0]
    entries = diagonal(hessian)
    entries += gather(curvature, basis.others).reshape(b, -1)
    return hessian


class Factor:
    """Cholesky factor of symmetric positive definite matrices, scaled to unit diagonal.

    Parameters
    ----------
    matrix : Array of shape (*batch, d, d)
        The matrices, of which only the lower triangles are read.
    ridge : float
        Added to the unit diagonal, so that singular matrices have a finite factor.
    """

    def __init__(self, matrix: Array, ridge: float = _RIDGE):
        entries = at_least(diagonal(matrix), limits(matrix).tiny)
        self.scale = (1 / sqrt(entries))[..., None]
        scaled = matrix * self.scale
        scaled *= self.scale.mT
        entries = diagonal(scaled)
        entries[...] = 1 + ridge
        self.lower = cholesky(scaled)

    def solve(self, right: Array) -> Array:
        """Solution (*batch, d) for the right-hand side (*batch, d)."""
        scale = self.scale[..., 0]
        return scale * cholesky_solve(scale * right, self.lower)

    def inverse(self) -> Array:
        """Inverse (*batch, d, d)."""
        inverse = cholesky_inverse(self.lower)
        inverse *= self.scale
        inverse *= self.scale.mT
        return inverse


class PivotSolver:
    """Newton system given by its matrix in the pivots' coordinates."""

    def __init__(self, basis: PivotBasis, matrix: Array):
        self.basis = basis
        self.factor = Factor(matrix)

    def __call__(self, gradient: Array) -> Array:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        return self.basis.expand(self.factor.solve(-self.basis.reduce(gradient)))


class ClassSolver:
    """Newton system of a Gram matrix, block diagonal over classes but for the rows' sums.

    Parameters
    ----------
    gram : Array of shape (b, n, n)
        Gram matrix.
    dual : Array of shape (b, n, k)
        Dual point.
    curvature : Array of shape (b, n, k)
        The barrier's diagonal curvature.
    """

    def __init__(self, gram: Array, dual: Array, curvature: Array):
        self.pivot = dual.argmax(-1)[..., None]
        blocks = copies(gram, curvature.shape[-1])
        entries = diagonal(blocks)
        entries += curvature.mT
        self.inverse = Factor(blocks).inverse()  # (b, k, n, n)
        self.sums = Factor(self.inverse.sum(1))

    def __call__(self, gradient: Array) -> Array:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        # from the left, which is fast in either memory layout of a symmetric matrix
        free = (gradient.mT[:, :, None] @ self.inverse)[:, :, 0]  # (b, k, n)
        shared = self.sums.solve(free.sum(1))
        move = ((shared[:, None, None] @ self.inverse)[:, :, 0] - free).mT
        # rounding must not take the rows out of the simplex's plane
        left = move.sum(-1, keepdims=True)
        return scattered(move, self.pivot, gather(move, self.pivot) - left)


def chosen_coordinates(mask: Array) -> Array | None:
    """Index (b, f) that covers the coordinates in a mask (b, d); None where that saves little.

    On an accelerator None, as the number would have to come back to the host.
    """
    if not on_host(mask):
        return None
    count = max(1, int(mask.sum(-1).max()))
    if count > 0.9 * mask.shape[-1]:
        return None
    return leading(mask, count)
