"""Local search for the basis with the sparsest heads: annealed ascent from many starts.

Directions are the rows of matrices D (B, m, m), one matrix a start; they live in coordinates in
which the heads are spherical (`Heads`), so nothing here depends on how the features were mixed.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.sparse_basis._model import (
    cached_rows,
    em_step,
    unused_probability,
)

# width of the spike while annealing, as a fraction of each column's root mean square
ANNEALING = (0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01, 0.005, 0.0)


@dataclass(frozen=True)
class Heads:
    """Heads in spherical coordinates.

    Attributes
    ----------
    points : Tensor of shape (T, m)
        Heads with ``points.T @ points / T = I``.
    noise : Tensor of shape (T,)
        Variance of each head's error, in units of `metric`.
    metric : Tensor of shape (m, m)
        The error of ``<point_t, d>`` has variance ``noise_t * d' metric d``.
    errors : Tensor of shape (T, m, m), optional
        Covariance matrices of errors that differ by more than a factor: the variance is then
        ``d' errors_t d``, and `noise` is the mean over all directions.
    least : float
        Where `errors` are given, the variance that no coefficient is known better than.
    misfit : float
        Share of its norm that no head is known better than.
    """

    points: Tensor
    noise: Tensor
    metric: Tensor
    errors: Tensor | None = None
    least: float = 0.0
    misfit: float = 0.0

    def part(self, index: Tensor | slice) -> "Heads":
        """Some of the heads."""
        errors = None if self.errors is None else self.errors[index]
        return replace(self, points=self.points[index], noise=self.noise[index], errors=errors)

    def with_misfit(self, misfit: float) -> "Heads":
        """The same heads, none of them known better than to a share of its norm."""
        least = max(self.least, misfit**2)
        noise, misfit = self.noise.clamp_min(misfit**2), max(self.misfit, misfit)
        return replace(self, noise=noise, least=least, misfit=misfit)

    def noise_along(self, D: Tensor) -> Tensor:
        """Variances of the errors along scaled directions D (..., m), shape (T,) or (..., T)."""
        if self.errors is None:
            return self.noise
        outer = (D.unsqueeze(-1) * D.unsqueeze(-2)).flatten(-2)
        return (outer @ self.errors.flatten(1).T).clamp(self.least, 1.0)

    def scaled(self, D: Tensor) -> Tensor:
        """Directions (..., m) scaled so that ``d' metric d = 1``."""
        square = ((D @ self.metric) * D).sum(-1, keepdim=True)
        return D / square.clamp_min(torch.finfo(D.dtype).tiny).sqrt()

    def coefficients(self, D: Tensor) -> Tensor:
        """Coefficients (..., T) of all heads along directions (..., m)."""
        return D @ self.points.T


def replace_rows(D: Tensor, factors: Tensor) -> Tensor:
    """One sweep of exact row updates of ``log|det D| - 1/2 sum_j d_j' V_j d_j``.

    Row j becomes ``V_j^-1 D^-1 e_j`` scaled to ``d_j' V_j d_j = 1``; the inverse of D follows by
    the Sherman-Morrison formula.

    Parameters
    ----------
    D : Tensor of shape (B, m, m)
    factors : Tensor of shape (B, m, m, m)
        Cholesky factors of V_j.
    """
    inverse = torch.linalg.inv(D)
    rows = list(D.unbind(1))
    for j in range(len(rows)):
        column = inverse.narrow(2, j, 1)
        row = torch.cholesky_solve(column, factors.select(1, j))
        root = (row * column).sum(1, keepdim=True).sqrt()
        row = (row / root).mT
        change = (row - rows[j].unsqueeze(1)) @ inverse
        inverse = inverse - column * change / root
        rows[j] = row.squeeze(1)
    return torch.stack(rows, 1)


def weighted_moments(heads: Heads, weight: Tensor) -> Tensor:
    """Moments ``V_j = 1/T sum_t weight_jt h_t h_t'`` for weights (B, m, T)."""
    n_tasks, m = heads.points.shape
    moments = weight.new_zeros(weight.shape[0] * weight.shape[1], m * m)
    # tasks in chunks: the outer products of all heads would need T m^2 numbers
    step = max(1, 4_000_000 // (m * m))
    for start in range(0, n_tasks, step):
        length = min(step, n_tasks - start)
        points = heads.points.narrow(0, start, length)
        outer = (points.unsqueeze(2) * points.unsqueeze(1)).reshape(-1, m * m)
        moments += weight.narrow(2, start, length).reshape(moments.shape[0], -1) @ outer
    moments = moments.reshape(*weight.shape[:2], m, m) / n_tasks
    diagonal = moments.diagonal(dim1=-2, dim2=-1)
    eps = torch.finfo(weight.dtype).eps ** 0.6
    jitter = torch.diag_embed(diagonal * eps + diagonal.mean(-1, keepdim=True) * eps)
    return moments + jitter


def ascend(heads: Heads, D: Tensor, widths: tuple[float, ...], n_sweeps: int) -> Tensor:
    """Maximise the joint likelihood by majorisation, with ever narrower spikes.

    Parameters
    ----------
    heads : Heads
    D : Tensor of shape (B, m, m)
        Starts.
    widths : tuple of float
        Spike widths (fractions of each column's root mean square), `n_sweeps` sweeps at each.
    n_sweeps : int

    Returns
    -------
    Tensor of shape (B, m, m)
        Directions, scaled by `Heads.scaled`.
    """
    size = cached_rows(len(D), D.shape[1] * len(heads.points), D.device)
    return torch.cat([_ascend(heads, some, widths, n_sweeps) for some in D.split(size)])


def _ascend(heads: Heads, D: Tensor, widths: tuple[float, ...], n_sweeps: int) -> Tensor:
    D = heads.scaled(D)
    square = heads.coefficients(D).pow(2).mean(-1, keepdim=True)
    share, slab = torch.full_like(square, 0.5), 2 * square
    for width in widths:
        for _ in range(n_sweeps):
            c = heads.coefficients(D)
            spike = heads.noise_along(D) + width**2 * c.pow(2).mean(-1, keepdim=True)
            for _ in range(2):
                share, slab = em_step(c, spike, share, slab)
            unused = unused_probability(c, spike, share, slab)
            weight = unused / spike + (1 - unused) / (spike + slab)
            factors = torch.linalg.cholesky_ex(weighted_moments(heads, weight))[0]
            D = heads.scaled(replace_rows(D, factors))
    return D
