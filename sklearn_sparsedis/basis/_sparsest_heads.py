"""penalty="l0": the basis of components in which the heads are sparsest, and its heads."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis.basis._search import HeadBasis, find_head_basis, head_spectrum
from sklearn_sparsedis.functional import GramStatistics
from sklearn_sparsedis.nn._encoders import column_moments, constant_columns
from sklearn_sparsedis.nn._head_parts import Heads, head_statistics
from sklearn_sparsedis.solvers import SolveResult, least_squares_on, select_support
from sklearn_sparsedis.tasks._tables import TaskTable

__all__ = ["SparsestBasis", "find_sparsest_basis", "solve_sparsest_heads"]

# share of the targets' variance that a direction must explain for the user to be told
_WORTH_SAYING = 0.01
# of the search for what they miss; two seconds, and a quarter of a gigabyte
_MOST_PRODUCTS = 2e10
_MOST_MOMENTS = 2**25
# variances of components below this share of the largest are rounding of a constant
_RANK_TOL = {torch.float32: 1e-9, torch.float64: 1e-12}


@dataclass(frozen=True)
class SparsestBasis:
    """A basis of components and what it rests on.

    Attributes
    ----------
    matrix : Tensor of shape (m, m)
        ``Z @ matrix.T`` are the new components, up to mean and scale. Its rows past the rank of Z
        are zero: there are no more components than that.
    support : ndarray of bool, shape (n_tasks, m)
        Which task uses which new component.
    found : ndarray of bool, shape (n_tasks,)
        Whether the support of a task was found with the basis.
    basis : HeadBasis
        In whitened coordinates.
    dense_coef : ndarray of shape (n_tasks, rank)
        Least-squares heads in whitened coordinates.
    """

    matrix: Tensor
    support: NDArray[np.bool_]
    found: NDArray[np.bool_]
    basis: HeadBasis
    dense_coef: NDArray[np.float64]

    def confidence(self) -> Bunch:
        """What the components rest on, for users."""
        left_out = {"rotation", "unused", "spectrum"}
        told = {k: v for k, v in vars(self.basis).items() if k not in left_out}
        return Bunch(**told, dense_coef=self.dense_coef)


def find_sparsest_basis(
    Z: Tensor, table: TaskTable, *, device: torch.device, seed: int
) -> SparsestBasis:
    """Find the basis of components Z (n, m) in which the tasks' least-squares heads are sparsest.

    Parameters
    ----------
    Z : Tensor of shape (n, m)
        Outputs of an encoder, in their own dtype.
    table : TaskTable
        With standardised targets.
    device : torch.device
        Where the search runs.
    seed : int
        Of its random starts.
    """
    white = _whitening(Z, table.row_weights)
    statistics = head_statistics(Z.double() @ white, table.Y)
    coef, stderr = _heads(statistics, table.Y.n_labels)
    m = Z.shape[1]
    basis = find_head_basis(coef.numpy(), stderr.numpy(), m, n_init=None, device=device, seed=seed)
    rotation = torch.from_numpy(basis.rotation)
    support = basis.unused < 0.5
    matrix = rotation @ white.T
    return SparsestBasis(
        matrix=_signs(coef, rotation[: white.shape[1]], matrix)[:, None] * matrix,
        support=support,
        found=(basis.unused != 0.5).any(1),
        basis=basis,
        dense_coef=coef.numpy(),
    )


def missing_directions(table: TaskTable, Z: Tensor) -> str | None:
    """Say whether rows X explain targets in ways that their components Z do not.

    What least-squares heads on the components leave is regressed on X. Directions of X that several
    of these heads share beyond their errors, and that explain a hundredth each of what the targets
    vary, are latents without a component.

    Parameters
    ----------
    table : TaskTable
        Rows in memory, and standardised targets.
    Z : Tensor of shape (n, m)
        Components.

    Returns
    -------
    str or None
        The problem in words; None where there is none, or where n is below 2 d or the products cost
        too much to find out.
    """
    X = table.X
    assert isinstance(X, Tensor)  # for mypy
    n, d = X.shape
    n_products, moments = len(table.Y.value) * d**2, table.Y.n_row_sets * d**2
    if n < 2 * d or n_products > _MOST_PRODUCTS or moments > _MOST_MOMENTS:
        return None
    for rows in (Z, X):
        features = rows.double() @ _whitening(rows, table.row_weights)
        statistics = head_statistics(features, table.Y)
        coef, stderr = _heads(statistics, table.Y.n_labels)
        if rows is Z:
            intercept = statistics.y_mean - (coef * statistics.z_mean).sum(-1)
            table = _residuals(table, features, coef, intercept)
    known = torch.isfinite(stderr)
    if not known.any():
        return None
    spectrum, basis = head_spectrum(coef[known].numpy(), stderr[known].numpy())
    shares = np.square(coef[known].numpy() @ basis[: len(spectrum)].T).mean(0)
    missed = shares[(spectrum > 1) & (shares >= _WORTH_SAYING)]
    if not len(missed):
        return None
    directions = "1 direction" if len(missed) == 1 else f"{len(missed)} directions"
    return (
        f"X explains a further {missed.sum():.0%} of the targets' variance through {directions} "
        "that no component carries: latents are missing (raise n_components, or "
        "max_iter if the encoder had not converged)"
    )


def _residuals(table: TaskTable, Z: Tensor, coef: Tensor, intercept: Tensor) -> TaskTable:
    """What heads on components leave of the targets."""
    residuals = table.Y.value.double() - table.Y.predictions(Z, coef, intercept)
    return table._replace(Y=table.Y.with_value(residuals))


def _whitening(Z: Tensor, rows: Tensor | None) -> Tensor:
    """Map (m, rank) to components of unit covariance."""
    exact = Z.double()
    mean, std = column_moments(exact, rows)
    share = torch.ones(len(Z), dtype=torch.float64) if rows is None else rows
    share = share / share.sum()
    # rounding of outputs in their own dtype is no variance
    varies = ~constant_columns(mean.to(Z.dtype), (share @ (exact - mean).square()).to(Z.dtype))
    centred = (exact - mean) / std * varies
    variance, vectors = torch.linalg.eigh((centred * share[:, None]).T @ centred)
    variance, vectors = variance.flip(0), vectors.flip(1)
    kept = variance > _RANK_TOL[Z.dtype] * variance[0]
    white = varies[:, None] * vectors[:, kept] / std[:, None] / variance[kept].sqrt()
    # symmetric where it can be: then it does not depend on the signs of eigenvectors
    return white @ vectors.T if bool(kept.all()) else white


def _heads(statistics: GramStatistics, n_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares heads (T, r) and the root mean square of their standard errors (T,)."""
    gram, corr, y_sq = statistics[:3]
    everything = torch.ones_like(corr, dtype=torch.bool)
    coef, residual_sq, inverse = least_squares_on(everything, gram, corr, y_sq)
    freedom = n_rows - corr.shape[1] - 1
    variance = residual_sq / torch.where(freedom > 0, freedom, 1.0)
    mean_inverse = inverse.diagonal(dim1=-2, dim2=-1).sum(-1) / max(corr.shape[1], 1)
    stderr = (variance * mean_inverse).sqrt()
    return coef, torch.where(freedom > 0, stderr, torch.inf)


def _signs(coef: Tensor, rotation: Tensor, matrix: Tensor) -> Tensor:
    """Signs that make the sum of each component's heads positive, where it is not rounding."""
    largest = matrix.gather(1, matrix.abs().argmax(1, keepdim=True))[:, 0]
    total = torch.linalg.solve(rotation.T, coef.sum(0))
    clear = total.abs() > 1e-6 * coef.norm()
    largest[: len(total)] = torch.where(clear, total, largest[: len(total)])
    return torch.where(largest < 0, -1.0, 1.0).double()


def solve_sparsest_heads(Z: Tensor, table: TaskTable, basis: SparsestBasis | None) -> Heads:
    """Least-squares heads on supports: those found with the basis, or chosen for each task.

    Parameters
    ----------
    Z : Tensor of shape (n, m)
        Components.
    table : TaskTable
        With the targets.
    basis : SparsestBasis, optional
        Whose supports count where they were found; those of other tasks `select_support` chooses.
    """
    gram, corr, y_sq, z_mean, y_mean = head_statistics(Z, table.Y)
    chosen = select_support(gram, corr, y_sq, table.Y.n_labels)
    if basis is not None:
        found, support = torch.from_numpy(basis.found), torch.from_numpy(basis.support)
        chosen = torch.where(found[:, None], support, chosen)
    chosen = chosen & (gram.diagonal(dim1=-2, dim2=-1) > 0)
    coef, residual_sq, inverse = least_squares_on(chosen, gram, corr, y_sq)
    coef = torch.where(chosen, coef, 0.0)
    gradient = torch.where(chosen, corr - (gram @ coef[..., None])[..., 0], 0.0)
    gap = 0.5 * (gradient * (inverse @ gradient[..., None])[..., 0]).sum(-1)
    scale = 0.5 * residual_sq.maximum(1e-3 * y_sq)
    gap = torch.where(scale > 0, gap / scale, gap)
    ones = torch.ones_like(gap, dtype=torch.int64)
    result = SolveResult(coef, 0.5 * residual_sq, gap, ones, torch.isfinite(gap))
    unit = gram.diagonal(dim1=-2, dim2=-1).mean(-1).expand_as(y_sq)
    return Heads(coef, y_mean - (coef * z_mean).sum(-1), 0.5 * residual_sq, unit, result)
