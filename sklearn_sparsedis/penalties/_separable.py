"""A penalty that its user writes as two functions of one coefficient."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional import lasso_alpha_max
from sklearn_sparsedis.implicit import LeastSquaresFit, separable_gram
from sklearn_sparsedis.penalties._base import END_ALPHA, START_ALPHA, Penalty, between
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.penalties._mcp import TAKEN_OVER

__all__ = ["SeparablePenalty"]

# where a threshold is compared with a grid of coefficients, and how far it may be above it
TARGETS = torch.linspace(-4, 4, 17, dtype=torch.float64)
GRID = torch.linspace(-5, 5, 1001, dtype=torch.float64)
TRIED_ALPHA, TRIED_CURVATURE = (0.3, 1.0), (0.5, 2.0)
TOLERANCE = 1e-6


class SeparablePenalty(Penalty):
    """A penalty of your own, a sum over the coefficients.

    A subclass writes `value` and `threshold` with torch's functions, for arguments that broadcast;
    the solver, its certificate and the derivative of its solutions follow from these. Arguments of
    the constructor are stored under their names, as those of an estimator are, so that
    `penalty__name` can be searched.

    A relative `alpha` is a fraction of that at which the Lasso is zero, which fits a penalty with
    the slope alpha at zero: write `unit` for another one. A penalty that is convex says
    ``convex = True``, one without zeros ``sparse = False`` and ``annealed = False``. Losses other
    than "squared_error", `common_head` and `task_of_output` are not available.
    """

    convex = False

    def value(self, coef: Tensor, alpha: Tensor, curvature: Tensor) -> Tensor:
        """Penalty of each coefficient.

        Parameters
        ----------
        coef : Tensor
        alpha : Tensor
            Strength.
        curvature : Tensor
            Mean square of the component: the second derivative of the loss in this coefficient. A
            concave penalty that bends less has one minimum in each coefficient.
        """
        raise NotImplementedError

    def threshold(self, target: Tensor, alpha: Tensor, curvature: Tensor) -> Tensor:
        """Minimiser of curvature/2 (w - target)^2 + value(w, alpha, curvature)."""
        raise NotImplementedError

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """That of the Lasso."""
        return lasso_alpha_max(corr)

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """See `implicit.separable_gram`."""
        return separable_gram(
            gram, corr, y_sq, alpha, value=self.value, threshold=self.threshold, **options
        )

    def at(self, progress: float) -> tuple[Penalty, float]:
        """Where there are many minima, a strong Lasso first."""
        if self.convex:
            return super().at(progress)
        third, part = divmod(3 * progress, 1)
        if third == 0:
            return L1(), between(START_ALPHA, TAKEN_OVER, part)
        return self, between(TAKEN_OVER, END_ALPHA, (3 * progress - 1) / 2)

    def check(self) -> None:
        """Raise unless the threshold minimises what it should, on a grid."""
        name = type(self).__name__
        for alpha in map(TARGETS.new_tensor, TRIED_ALPHA):
            for curvature in map(TARGETS.new_tensor, TRIED_CURVATURE):
                try:
                    found = self.threshold(TARGETS, alpha, curvature)
                    at_grid = self.value(GRID, alpha, curvature)
                    at_found = self.value(found, alpha, curvature)
                except NotImplementedError:
                    raise TypeError(
                        f"penalty={name} must define value(coef, alpha, curvature) and "
                        "threshold(target, alpha, curvature): see penalties.SeparablePenalty."
                    ) from None
                if at_grid.shape != GRID.shape or found.shape != TARGETS.shape:
                    raise ValueError(
                        f"value and threshold of penalty={name} must give a number for each "
                        "coefficient and target: they are not sums."
                    )
                distance = (GRID - TARGETS[:, None]).square()
                best = (0.5 * curvature * distance + at_grid).amin(1)
                reached = 0.5 * curvature * (found - TARGETS).square() + at_found
                excess = reached - best
                if not (excess <= TOLERANCE).all():
                    worst = int(excess.nan_to_num(torch.inf).argmax())
                    raise ValueError(
                        f"threshold of penalty={name} does not minimise curvature/2 (w - target)^2 "
                        f"+ value(w, alpha, curvature): for target={TARGETS[worst]:g}, "
                        f"alpha={alpha:g}, curvature={curvature:g} it gives {found[worst]:g}, and "
                        f"another w is lower by {excess[worst]:.1e}."
                    )
