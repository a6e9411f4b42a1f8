"""Fits under a loss that is smooth in the score and a penalty, each an object."""

from sklearn_sparsedis.solvers.smooth_loss._logistic import (
    solve_logistic_lasso,
    solve_logistic_ridge,
)
from sklearn_sparsedis.solvers.smooth_loss._losses import LogisticLoss, Loss
from sklearn_sparsedis.solvers.smooth_loss._penalties import L1, L2, Penalty
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_smooth

__all__ = [
    "L1",
    "L2",
    "LogisticLoss",
    "Loss",
    "Penalty",
    "solve_logistic_lasso",
    "solve_logistic_ridge",
    "solve_smooth",
]
