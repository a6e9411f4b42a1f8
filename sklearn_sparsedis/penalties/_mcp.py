"""The minimax concave penalty."""

from typing import Any

from torch import Tensor

from sklearn_sparsedis.functional import lasso_alpha_max
from sklearn_sparsedis.implicit import LeastSquaresFit, mcp_gram
from sklearn_sparsedis.penalties._base import END_ALPHA, START_ALPHA, Penalty, between
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.solvers import GAMMA

__all__ = ["MCP"]

# width of the penalty where it takes over from the Lasso
START_GAMMA = 30.0
# strength at which it does
TAKEN_OVER = 0.3


class MCP(Penalty):
    """The minimax concave penalty (`functional.mcp_penalty`), which does not shrink large
    coefficients; a relative `alpha` is a fraction of the smallest one whose Lasso is zero.

    Parameters
    ----------
    gamma : float, default=2.0
        Width where a component has unit variance; above one.
    """

    name = "mcp"
    convex = False

    def __init__(self, gamma: float = GAMMA) -> None:
        self.gamma = gamma

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """That of the Lasso, from which it is continued."""
        return lasso_alpha_max(corr)

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """See `implicit.mcp_gram`."""
        return mcp_gram(gram, corr, y_sq, alpha, gamma=self.gamma, **options)

    def at(self, progress: float) -> tuple[Penalty, float]:
        """A strong Lasso first; then the width falls from one that is all but a Lasso's, and then
        the strength.
        """
        third, part = divmod(3 * progress, 1)
        if third == 0:
            return L1(), between(START_ALPHA, TAKEN_OVER, part)
        if third == 1:
            return MCP(between(START_GAMMA, self.gamma, part)), TAKEN_OVER
        return self, between(TAKEN_OVER, END_ALPHA, part)
