"""Batches of Lasso problems and their iterates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional._lasso import lasso_certificate

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

    def put_(self, index: Tensor, other: "LassoState") -> None:
        """As `put`, in place."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine.index_copy_(0, index, theirs)

    def put(self, index: Tensor, other: "LassoState") -> "LassoState":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return LassoState(*(mine.index_copy(0, index, theirs) for mine, theirs in pairs))


def evaluate(problem: LassoProblem, coef: Tensor, n_iter: Tensor) -> LassoState:
    """The iterate with its certificate."""
    gradient = problem.gradient(coef)
    objective, gap = lasso_certificate(problem.corr, problem.y_sq, coef, gradient, problem.alpha)
    # where both are zero so is the gap
    scale = objective.maximum(0.5e-3 * problem.y_sq).clamp_min(torch.finfo(coef.dtype).tiny)
    return LassoState(coef, gradient, objective, gap / scale, n_iter)


def choose(choice: Tensor, one: LassoState, other: LassoState) -> LassoState:
    """The states of one where `choice` is True, of the other elsewhere."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(choice.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return LassoState(
        *(pick(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
    )
