"""Leading directions of the features, which the group-Lasso SVM's conjugate gradients leave out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.group_lasso_svm._features import Features

_RANK = 4
_ITERATIONS = 3


@dataclass
class Spectrum:
    """Second moments of the features: their leading directions, and the diagonal of the rest.

    Attributes
    ----------
    directions : Tensor of shape (m, r)
        Orthonormal directions times the roots of their moments.
    squares, rest : Tensor of shape (m,)
        Diagonal of the second moments, with and without them.
    """

    directions: Tensor
    squares: Tensor
    rest: Tensor

    @classmethod
    def of(cls, features: Features, c: Tensor) -> "Spectrum":
        """Spectrum of F^T C F / sum(c), by subspace iteration from a fixed start."""
        c = c / c.sum()
        squares = features.squares(c)
        rank = min(_RANK, *features.shape)
        draw = torch.Generator().manual_seed(0)
        basis = torch.randn(len(squares), rank, generator=draw, dtype=torch.float64).to(squares)
        for _ in range(_ITERATIONS):
            basis = torch.linalg.qr(features.image(c * features.scores(basis)))[0]
        moments, turn = torch.linalg.eigh(basis.mT @ features.image(c * features.scores(basis)))
        directions = basis @ turn * moments.clamp_min(0).sqrt()
        rest = squares - directions.square().sum(1)
        return cls(directions, squares, torch.maximum(rest, 1e-3 * squares))


class Preconditioner:
    """Inverse of ``diag(d) (x) I + s L L^T (x) P`` in coefficients (p, k).

    Parameters
    ----------
    diagonal : Tensor of shape (p, 1)
        d.
    directions : Tensor of shape (p, r)
        L.
    coupling : Tensor of shape (k, k)
        s P, symmetric and positive semidefinite.
    """

    def __init__(self, diagonal: Tensor, directions: Tensor, coupling: Tensor):
        self.diagonal = diagonal
        self.scaled = directions / diagonal
        strength, self.turn = torch.linalg.eigh(coupling)
        inner = directions.mT @ self.scaled
        eye = torch.eye(len(inner), dtype=inner.dtype, device=inner.device)
        # (1/s + L' D^-1 L)^-1 without dividing by an s of zero
        strength = strength.clamp_min(0)[:, None, None]
        self.inverse = strength * torch.linalg.inv(eye + strength * inner)

    def __call__(self, x: Tensor) -> Tensor:
        """Solve for a right-hand side (p, k)."""
        along = (self.scaled.mT @ x @ self.turn).mT.unsqueeze(-1)
        back = (self.inverse @ along)[..., 0].mT @ self.turn.mT
        return x / self.diagonal - self.scaled @ back
