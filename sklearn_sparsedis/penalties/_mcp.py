"""The minimax concave penalty."""

from typing import Any

from torch import Tensor

from sklearn_sparsedis.functional import lasso_alpha_max
from sklearn_sparsedis.implicit import LeastSquaresFit, mcp_gram
from sklearn_sparsedis.penalties._base import END_ALPHA, START_ALPHA, Penalty, between
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.solvers import GAMMA

__all__ = ["MCP"]

# Width of the penalty when it replaces the Lasso during training.
START_GAMMA = 30.0
# Relative alpha at which it does so.
TAKEN_OVER = 0.3


class MCP(Penalty):
    """The minimax concave penalty (`functional.mcp_penalty`), which does not shrink large
    coefficients; a relative `alpha` is a fraction of the smallest alpha whose Lasso is zero.

    Parameters
    ----------
    gamma : float, default=2.0
        Width of the penalty for a component of unit variance; above one.
    """

    name = "mcp"
    convex = False

    def __init__(self, gamma: float = GAMMA) -> None:
        self.gamma = gamma

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Unit of the Lasso, from which the penalty is continued."""
        return lasso_alpha_max(corr)

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """Solve by `implicit.mcp_gram`."""
        return mcp_gram(gram, corr, y_sq, alpha, gamma=self.gamma, **options)

    def at(self, progress: float) -> tuple[Penalty, float]:
        """Start with a strong Lasso; then let the width fall from nearly a Lasso's, then alpha."""
        third, part = divmod(3 * progress, 1)
        if third == 0:
            return L1(), between(START_ALPHA, TAKEN_OVER, part)
        if third == 1:
            return MCP(between(START_GAMMA, self.gamma, part)), TAKEN_OVER
        return self, between(TAKEN_OVER, END_ALPHA, part)
