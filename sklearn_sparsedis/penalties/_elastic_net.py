"""The penalty of the elastic net."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional import lasso_alpha_max
from sklearn_sparsedis.implicit import LeastSquaresFit, lasso_gram
from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.solvers import ElasticNet as SmoothElasticNet

__all__ = ["ElasticNet"]


class ElasticNet(Penalty):
    r""":math:`p(w) = \rho \|w\|_1 + (1 - \rho) \|w\|_2^2 / 2`: zeros as the Lasso's, and one
    solution where components resemble one another; a relative `alpha` is a fraction of the smallest
    one with a solution of zero.

    Parameters
    ----------
    l1_ratio : float in (0, 1], default=0.5
        The share :math:`\rho`; the Lasso at one.
    """

    name = "elasticnet"
    parameters = ("l1_ratio",)
    supports_common_head = True

    def __init__(self, l1_ratio: float = 0.5) -> None:
        SmoothElasticNet(l1_ratio)  # raises where it is not in its domain
        self.l1_ratio = l1_ratio

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Smallest strength with a head of zero."""
        return lasso_alpha_max(corr) / self.l1_ratio

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """A Lasso whose Gram matrix has the strength of the squares on its diagonal.

        Both have the same objective, and so the same certificate. A component without variance has
        nothing added, so that it stays one to the solver.
        """
        ridge = self.strength_of_squares(alpha)[..., None]
        varies = gram.detach().diagonal(dim1=-2, dim2=-1) > 0
        shifted = gram + torch.diag_embed(ridge * varies)
        fit = lasso_gram(shifted, corr, y_sq, self.l1_ratio * alpha, **options)
        loss = fit.loss - 0.5 * (ridge * fit.coef.square()).sum(-1)
        return LeastSquaresFit(fit.coef, loss, fit.result)

    def strength_of_squares(self, alpha: Tensor) -> Tensor:
        """Factor of half the sum of squares."""
        return (1 - self.l1_ratio) * alpha

    def in_units(self, alpha: float, scale: Tensor) -> tuple[Penalty, Tensor | float]:
        """A change of units changes the part of the norm and not that of the squares."""
        return _OfUnits(self.l1_ratio, (1 - self.l1_ratio) * alpha), alpha / scale

    @property
    def smooth(self) -> SmoothElasticNet:
        """Of the same share."""
        return SmoothElasticNet(self.l1_ratio)

    def strength_of_spread(self, spread: Tensor) -> Tensor:
        """Of a Laplace and a normal distribution whose inverse variances sum up to that of this.

        The variance of their product is between 0.7 and 1 times this one.
        """
        norm, squares = self.l1_ratio**2, 1 - self.l1_ratio
        return 2 / (spread * (squares + torch.sqrt(squares**2 + 2 * norm / spread)))


class _OfUnits(ElasticNet):
    """For targets over a scale, which divides the strength of the norm alone."""

    def __init__(self, l1_ratio: float, squares: float) -> None:
        super().__init__(l1_ratio)
        self.squares = squares

    def strength_of_squares(self, alpha: Tensor) -> Tensor:
        """That of the targets as they are."""
        return torch.full_like(alpha, self.squares)

    @property
    def smooth(self) -> SmoothElasticNet:
        """With that strength of the squares."""
        return _SmoothOfUnits(self.l1_ratio, self.squares)


@dataclass(frozen=True)
class _SmoothOfUnits(SmoothElasticNet):
    squares: float

    def _strengths(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        return self.l1_ratio * alpha, torch.full_like(alpha, self.squares)
