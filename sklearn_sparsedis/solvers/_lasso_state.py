"""Batches of Lasso problems and their iterates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional import lasso_duality_gap, lasso_objective, residual_square

__all__ = ["LassoProblem", "LassoState", "choose", "evaluate"]


@dataclass
class LassoProblem:
    """Statistics of T problems; `gram` of shape (m, m) or (T, m, m)."""

    gram: Tensor
    corr: Tensor
    y_sq: Tensor
    alpha: Tensor

    def part(self, index: Tensor | slice) -> "LassoProblem":
        gram = self.gram if self.gram.ndim == 2 else self.gram[index]
        return LassoProblem(gram, self.corr[index], self.y_sq[index], self.alpha[index])

    def gradient(self, coef: Tensor) -> Tensor:
        if self.gram.ndim == 2:
            return torch.addmm(self.corr, coef, self.gram, alpha=-1)
        return torch.baddbmm(self.corr[:, None], coef[:, None], self.gram, alpha=-1)[:, 0]


@dataclass
class LassoState:
    """Iterate of T problems with its certificate."""

    coef: Tensor
    gradient: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: Tensor

    def part(self, index: Tensor | slice) -> "LassoState":
        return LassoState(*(value[index] for value in vars(self).values()))

    def put(self, index: Tensor, other: "LassoState") -> "LassoState":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return LassoState(*(mine.index_copy(0, index, theirs) for mine, theirs in pairs))


def evaluate(problem: LassoProblem, coef: Tensor, n_iter: Tensor) -> LassoState:
    """The iterate with its certificate."""
    gradient = problem.gradient(coef)
    residual_sq = residual_square(problem.corr, problem.y_sq, coef, gradient)
    objective = lasso_objective(residual_sq, coef, problem.alpha)
    gap = lasso_duality_gap(residual_sq, coef, gradient, problem.alpha)
    scale = objective.maximum(0.5e-3 * problem.y_sq)
    gap = torch.where(scale > 0, gap / scale, gap)
    return LassoState(coef, gradient, objective, gap, n_iter)


def choose(choice: Tensor, one: LassoState, other: LassoState) -> LassoState:
    """The states of one where `choice` is True, of the other elsewhere."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(choice.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return LassoState(
        *(pick(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
    )
