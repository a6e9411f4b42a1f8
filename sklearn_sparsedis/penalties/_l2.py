"""The penalty of ridge regression."""

from typing import Any

from torch import Tensor

from sklearn_sparsedis.functional import row_shares
from sklearn_sparsedis.implicit import LeastSquaresFit, logistic_ridge_fit, ridge_gram
from sklearn_sparsedis.penalties._base import Penalty

__all__ = ["L2"]


class L2(Penalty):
    r""":math:`p(w) = \|w\|_2^2 / 2`.

    The unit of a relative `alpha` is the mean variance of the components, for labels times that of
    the label, so that a fraction shrinks by the same share whatever the scale of the components.
    """

    name = "l2"
    sparse = False
    annealed = False
    in_units_of_targets = False
    supports_common_head = True

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Mean variance of the components."""
        return gram.diagonal(dim1=-2, dim2=-1).mean(-1).expand(corr.shape[0])

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """See `implicit.ridge_gram`."""
        return ridge_gram(gram, corr, y_sq, alpha, **options)

    def unit_of_labels(self, Z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """Mean second derivative of the loss in a coefficient of the constant head."""
        share = row_shares(y, weight)
        rate = (share * y).sum(-1)
        rows = share.expand_as(y)[..., None, :]
        mean, square = (rows @ Z)[..., 0, :], (rows @ Z.square())[..., 0, :]
        return rate * (1 - rate) * (square - mean.square()).clamp_min(0).mean(-1)

    def rounded_unit(self, deviation: float) -> float:
        """A label's variance is one quarter at most."""
        return deviation**2 / 4

    fit_labels = staticmethod(logistic_ridge_fit)

    def strength_of_spread(self, spread: Tensor) -> Tensor:
        """Of a normal distribution of this variance."""
        return 1 / spread
