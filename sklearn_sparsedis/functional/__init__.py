"""Pure tensor mathematics: proximal operators, projections, losses, penalties, duality gaps."""

from sklearn_sparsedis.functional._gram import GramStatistics, centred_gram, strength_like
from sklearn_sparsedis.functional._lasso import (
    lasso_alpha_max,
    lasso_duality_gap,
    lasso_objective,
    residual_square,
)
from sklearn_sparsedis.functional._prox import soft_threshold
from sklearn_sparsedis.functional._support import (
    SupportFactor,
    cached_parts,
    factor_support,
    gram_matvec,
    solve_support,
)

__all__ = [
    "GramStatistics",
    "SupportFactor",
    "cached_parts",
    "centred_gram",
    "factor_support",
    "gram_matvec",
    "lasso_alpha_max",
    "lasso_duality_gap",
    "lasso_objective",
    "residual_square",
    "soft_threshold",
    "solve_support",
    "strength_like",
]
