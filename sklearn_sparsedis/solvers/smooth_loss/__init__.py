"""Fits under a loss that is smooth in the score and a penalty, each an object."""

from sklearn_sparsedis.solvers.smooth_loss._logistic import (
    solve_logistic_lasso,
    solve_logistic_ridge,
)
from sklearn_sparsedis.solvers.smooth_loss._losses import HuberLoss, LogisticLoss
from sklearn_sparsedis.solvers.smooth_loss._penalties import L1, L2, ElasticNet
from sklearn_sparsedis.solvers.smooth_loss._scale import huber_delta
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_smooth
from sklearn_sparsedis.solvers.smooth_loss._unit import alpha_unit

__all__ = [
    "ElasticNet",
    "HuberLoss",
    "L1",
    "L2",
    "LogisticLoss",
    "alpha_unit",
    "huber_delta",
    "solve_logistic_lasso",
    "solve_logistic_ridge",
    "solve_smooth",
]
