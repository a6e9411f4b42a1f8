"""The Lasso's penalty."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional import (
    lasso_alpha_max,
    multitask_lasso_alpha_max,
)
from sklearn_sparsedis.implicit import (
    LeastSquaresFit,
    lasso_gram,
    multitask_lasso_gram,
)
from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.solvers import L1 as SmoothL1

__all__ = ["L1"]


class L1(Penalty):
    r""":math:`p(w) = \|w\|_1`, the penalty of the paper; a relative `alpha` is a fraction of the
    smallest alpha with a solution of zero.

    The coefficients of several outputs of a task on one component have the penalty
    :math:`\|(w_{1j}, \dots, w_{qj})\|_2`.
    """

    name = "l1"
    supports_common_head = True

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Largest absolute correlation of a component."""
        return lasso_alpha_max(corr)

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: object
    ) -> LeastSquaresFit:
        """Solve by `implicit.lasso_gram`."""
        return lasso_gram(gram, corr, y_sq, alpha, **options)

    def unit_of_outputs(self, corr: Tensor) -> Tensor:
        """Largest norm of a component's correlations with the outputs of a task."""
        return multitask_lasso_alpha_max(corr)

    fit_outputs = staticmethod(multitask_lasso_gram)

    @property
    def smooth(self) -> SmoothL1:
        """L1 penalty for `solvers.solve_smooth`."""
        return SmoothL1()

    def alpha_of_spread(self, spread: Tensor) -> Tensor:
        """Alpha of a Laplace prior of this variance."""
        return torch.sqrt(2 / spread)
