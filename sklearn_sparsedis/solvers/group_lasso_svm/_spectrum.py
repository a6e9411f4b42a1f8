"""Leading directions of the features, which the group-Lasso SVM's conjugate gradients leave out."""

from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.group_lasso_svm._features import Features
from sklearn_sparsedis.solvers.group_lasso_svm._system import lower_product

# Directions beside one for each class: the classes' own come soon after the common ones
_MORE = 4
_ITERATIONS = 3
# Order up to which directions times classes are coupled
_ORDER = 400


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
    def of(cls, features: Features, c: Tensor, k: int) -> "Spectrum":
        """Spectrum of F^T C F / sum(c) for k classes, by subspace iteration from a fixed start."""
        c = c / c.sum()
        squares = features.squares(c)
        rank = min(min(k, _ORDER // k) + _MORE, *features.shape)
        draw = torch.Generator().manual_seed(0)
        basis = torch.randn(len(squares), rank, generator=draw, dtype=torch.float64).to(squares)
        for _ in range(_ITERATIONS):
            basis = torch.linalg.qr(features.image(c * features.scores(basis)))[0]
        moments, turn = torch.linalg.eigh(basis.mT @ features.image(c * features.scores(basis)))
        directions = basis @ turn * moments.clamp_min(0).sqrt()
        rest = squares - directions.square().sum(1)
        return cls(directions, squares, torch.maximum(rest, 1e-3 * squares))


class Preconditioner:
    """Inverse of ``D + L L^T (x) P`` in coefficients (p, k), ``D_j = d_j I + e_j (I - u_j u_j^T)``.

    Parameters
    ----------
    diagonal : Tensor of shape (p, 1)
        d.
    curve : Tensor of shape (p, 1)
        e, which is large where a feature is close to its kink, and across its direction alone.
    unit : Tensor of shape (p, k)
        u, the direction of each feature's coefficients.
    directions : Tensor of shape (p, r)
        L, of which the last columns matter most.
    coupling : Tensor of shape (k, k)
        P, symmetric and positive semidefinite.
    """

    def __init__(
        self, diagonal: Tensor, curve: Tensor, unit: Tensor, directions: Tensor, coupling: Tensor
    ):
        k = len(coupling)
        self.across, self.unit = 1 / (diagonal + curve), unit
        self.along = 1 / diagonal - self.across
        self.directions = directions[:, -max(1, _ORDER // k) :]
        strength, turn = torch.linalg.eigh(coupling)
        self.root = turn * strength.clamp_min(0).sqrt() @ turn.mT
        wide = self.directions.unsqueeze(2) * (unit @ self.root * self.along.sqrt()).unsqueeze(1)
        across = self.directions.mT @ (self.directions * self.across)
        # R (P^-1 + L' D^-1 L)^-1 R of the root R of P, for a P that has no inverse
        middle = lower_product(wide.flatten(1).mT) + torch.kron(across, self.root @ self.root)
        middle.diagonal().add_(1)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky_ex(middle).L)

    def among(self, kept: Tensor) -> "Preconditioner":
        """Return the part of this inverse for some features, given by their places."""
        new = copy(self)
        for name in ("across", "along", "unit", "directions"):
            setattr(new, name, getattr(self, name)[kept])
        return new

    def __call__(self, x: Tensor) -> Tensor:
        """Solve for a right-hand side (p, k)."""
        x = self._apart(x)
        along = self.directions.mT @ x @ self.root
        back = (self.inverse @ along.flatten()).reshape(along.shape) @ self.root
        return x - self._apart(self.directions @ back)

    def _apart(self, x: Tensor) -> Tensor:
        """Solve with D alone."""
        return self.across * x + self.along * (self.unit * x).sum(-1, keepdim=True) * self.unit
