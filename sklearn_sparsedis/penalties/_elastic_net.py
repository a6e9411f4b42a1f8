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
    r""":math:`p(w) = \rho \|w\|_1 + (1 - \rho) \|w\|_2^2 / 2`, with zeros like the Lasso and a
    single solution also if components are collinear; a relative `alpha` is a fraction of the
    smallest alpha with a solution of zero.

    Parameters
    ----------
    l1_ratio : float in (0, 1], default=0.5
        The share :math:`\rho` of the norm; one gives the Lasso.
    """

    name = "elasticnet"
    parameters = ("l1_ratio",)
    supports_common_head = True

    def __init__(self, l1_ratio: float = 0.5) -> None:
        SmoothElasticNet(l1_ratio)  # raises if it is not in its domain
        self.l1_ratio = l1_ratio

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Smallest alpha with a head of zero."""
        return lasso_alpha_max(corr) / self.l1_ratio

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """Solve a Lasso whose Gram matrix has the alpha of the squares added to its diagonal.

        Both problems have the same objective, and so the same certificate. Nothing is added for a
        component without variance, so that the solver still recognises it as such.
        """
        ridge = self.l2_alpha(alpha)[..., None]
        varies = gram.detach().diagonal(dim1=-2, dim2=-1) > 0
        shifted = gram + torch.diag_embed(ridge * varies)
        fit = lasso_gram(shifted, corr, y_sq, self.l1_ratio * alpha, **options)
        loss = fit.loss - 0.5 * (ridge * fit.coef.square()).sum(-1)
        return LeastSquaresFit(fit.coef, loss, fit.result)

    def l2_alpha(self, alpha: Tensor) -> Tensor:
        """Factor of half the sum of squares."""
        return (1 - self.l1_ratio) * alpha

    def in_units(self, alpha: float, scale: Tensor) -> tuple[Penalty, Tensor | float]:
        """Convert the alpha of the norm; that of the squares does not depend on the units."""
        return _OfUnits(self.l1_ratio, (1 - self.l1_ratio) * alpha), alpha / scale

    @property
    def smooth(self) -> SmoothElasticNet:
        """Elastic net of the same `l1_ratio` for `solvers.solve_smooth`."""
        return SmoothElasticNet(self.l1_ratio)

    def alpha_of_spread(self, spread: Tensor) -> Tensor:
        """Alpha of a Laplace and a normal prior whose inverse variances sum to 1 / spread.

        The variance of the product of the two is between 0.7 and 1 times `spread`.
        """
        norm, squares = self.l1_ratio**2, 1 - self.l1_ratio
        return 2 / (spread * (squares + torch.sqrt(squares**2 + 2 * norm / spread)))


class _OfUnits(ElasticNet):
    """Elastic net for targets that were divided by a scale, with a fixed alpha of the squares."""

    def __init__(self, l1_ratio: float, squares: float) -> None:
        super().__init__(l1_ratio)
        self.squares = squares

    def l2_alpha(self, alpha: Tensor) -> Tensor:
        """Alpha of the squares for the original targets, in the shape of `alpha`."""
        return torch.full_like(alpha, self.squares)

    @property
    def smooth(self) -> SmoothElasticNet:
        """Elastic net with the same fixed alpha of the squares."""
        return _SmoothOfUnits(self.l1_ratio, self.squares)


@dataclass(frozen=True)
class _SmoothOfUnits(SmoothElasticNet):
    squares: float

    def _strengths(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        return self.l1_ratio * alpha, torch.full_like(alpha, self.squares)
