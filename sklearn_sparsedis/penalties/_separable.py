"""Base of penalties that a user defines by two functions of one coefficient."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional import lasso_alpha_max
from sklearn_sparsedis.implicit import LeastSquaresFit, separable_gram
from sklearn_sparsedis.penalties._base import END_ALPHA, START_ALPHA, Penalty, between
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.penalties._mcp import TAKEN_OVER

__all__ = ["SeparablePenalty"]

# A threshold at these targets is compared with this grid of coefficients; its objective may exceed
# that of the grid by the tolerance.
TARGETS = torch.linspace(-4, 4, 17, dtype=torch.float64)
GRID = torch.linspace(-5, 5, 1001, dtype=torch.float64)
TRIED_ALPHA, TRIED_CURVATURE = (0.3, 1.0), (0.5, 2.0)
TOLERANCE = 1e-6


class SeparablePenalty(Penalty):
    """A penalty of your own, a sum over the coefficients.

    A subclass defines `value` and `threshold` by torch's functions, for arguments that broadcast;
    the solver, its certificate and the derivative of its solutions follow from these. Store the
    arguments of the constructor under their names, as an estimator does, so that a search can set
    them as `penalty__name`.

    A relative `alpha` is a fraction of the smallest alpha whose Lasso is zero, which suits a
    penalty with slope alpha at zero; define `unit` for other penalties. A convex penalty sets
    ``convex = True``, a penalty without zeros ``sparse = False`` and ``annealed = False``. Losses
    other than "squared_error", `common_head` and `task_of_output` are not available.
    """

    convex = False

    def value(self, coef: Tensor, alpha: Tensor, curvature: Tensor) -> Tensor:
        """Compute the penalty of each coefficient.

        Parameters
        ----------
        coef : Tensor
        alpha : Tensor
            Factor of the penalty.
        curvature : Tensor
            Mean square of the component: the second derivative of the loss in this coefficient. The
            objective has one minimum in each coefficient if the second derivative of a concave
            penalty is smaller in size.
        """
        raise NotImplementedError

    def threshold(self, target: Tensor, alpha: Tensor, curvature: Tensor) -> Tensor:
        """Return the minimiser of curvature/2 (w - target)^2 + value(w, alpha, curvature)."""
        raise NotImplementedError

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Unit of the Lasso: its smallest alpha with a solution of zero."""
        return lasso_alpha_max(corr)

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """Solve by `implicit.separable_gram`."""
        return separable_gram(
            gram, corr, y_sq, alpha, value=self.value, threshold=self.threshold, **options
        )

    def at(self, progress: float) -> tuple[Penalty, float]:
        """Start with a strong Lasso if the penalty is not convex."""
        if self.convex:
            return super().at(progress)
        third, part = divmod(3 * progress, 1)
        if third == 0:
            return L1(), between(START_ALPHA, TAKEN_OVER, part)
        return self, between(TAKEN_OVER, END_ALPHA, (3 * progress - 1) / 2)

    def check(self) -> None:
        """Raise an error unless the threshold minimises its objective on a grid."""
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
                        "coefficient and target, not their sum; got shapes "
                        f"{tuple(at_grid.shape)} and {tuple(found.shape)} for "
                        f"{tuple(GRID.shape)} coefficients and {tuple(TARGETS.shape)} targets."
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
