"""Batches of Lasso problems of several outputs and their iterates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import multitask_lasso_duality_gap, multitask_lasso_objective
from sklearn_sparsedis.solvers.lasso._state import LassoState

__all__ = ["MultitaskProblem", "evaluate"]


@dataclass
class MultitaskProblem:
    """Statistics of T problems, and the gaps at which they are done.

    gram (m, m) or (T, m, m), corr (T, m, q), y_sq, alpha and tol (T,).
    """

    gram: Tensor
    corr: Tensor
    y_sq: Tensor
    alpha: Tensor
    tol: Tensor

    def part(self, index: Tensor | slice) -> "MultitaskProblem":
        gram = self.gram if self.gram.ndim == 2 else self.gram[index]
        columns = (self.corr, self.y_sq, self.alpha, self.tol)
        return MultitaskProblem(gram, *(values[index] for values in columns))

    def gradient(self, coef: Tensor) -> Tensor:
        return self.corr - self.gram @ coef


def evaluate(problem: MultitaskProblem, coef: Tensor, n_iter: Tensor) -> LassoState:
    """The iterate with its certificate."""
    gradient = problem.gradient(coef)
    squares = problem.y_sq - (coef * (problem.corr + gradient)).sum((-2, -1))
    residual_sq = squares.clamp_min(0)
    objective = multitask_lasso_objective(residual_sq, coef, problem.alpha)
    gap = multitask_lasso_duality_gap(residual_sq, coef, gradient, problem.alpha)
    scale = objective.maximum(0.5e-3 * problem.y_sq)
    gap = torch.where(scale > 0, gap / scale, gap)
    return LassoState(coef, gradient, objective, gap, n_iter)
