"""The penalty of ridge regression."""

from typing import Any

from torch import Tensor

from sklearn_sparsedis.implicit import LeastSquaresFit, ridge_gram
from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.solvers import L2 as SmoothL2

__all__ = ["L2"]


class L2(Penalty):
    r""":math:`p(w) = \|w\|_2^2 / 2`.

    The unit of a relative `alpha` is the mean second derivative of the loss in a coefficient: for
    squared errors the mean variance of the components, for a logistic loss times the variance of
    the label. So a relative `alpha` shrinks by the same share whatever the scale of the components.
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
        """Solve by `implicit.ridge_gram`."""
        return ridge_gram(gram, corr, y_sq, alpha, **options)

    @property
    def smooth(self) -> SmoothL2:
        """L2 penalty for `solvers.solve_smooth`."""
        return SmoothL2()

    def alpha_of_spread(self, spread: Tensor) -> Tensor:
        """Alpha of a normal prior of this variance."""
        return 1 / spread
