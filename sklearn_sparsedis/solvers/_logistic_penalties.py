"""What the logistic solver needs to know of a penalty."""

from typing import Protocol

import torch
from torch import Tensor

from sklearn_sparsedis.functional import factor_support, gram_matvec, solve_support
from sklearn_sparsedis.solvers._active_set import newton_step, sweep
from sklearn_sparsedis.solvers._lasso_state import LassoProblem

__all__ = ["LOGISTIC_PENALTIES", "Penalty"]


class Penalty(Protocol):
    """A penalty of coefficients w (T, m) with strengths alpha (T,)."""

    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        """Of each problem, shape (T,)."""

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Factor c of at most one that brings g into the domain of the conjugate, and
        penalty(w) + conjugate(c g) - c w'g, each of shape (T,)."""

    def newton(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> Tensor:
        """Guess at the minimum in u of 1/2 (u-w)'G(u-w) - g'(u-w) + penalty(u)."""

    def descend(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> Tensor:
        """A u for which that is lower than for w, unless w is its minimum."""


class _L1:
    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        return alpha * coef.abs().sum(-1)

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        largest = gradient.abs().amax(-1)
        scale = torch.where(largest > alpha, alpha / largest, 1.0)
        return scale, (self.value(coef, alpha) - scale * (coef * gradient).sum(-1)).clamp_min(0)

    def newton(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> Tensor:
        return newton_step(self._problem(gram, gradient, alpha, coef), coef, gradient)[0]

    def descend(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> Tensor:
        problem = self._problem(gram, gradient, alpha, coef)
        swept = sweep(problem, coef, gradient)
        jumped = newton_step(problem, swept, problem.gradient(swept))[0]

        def model(u: Tensor) -> Tensor:
            step = u - coef
            slope = 0.5 * gram_matvec(gram, step) - gradient
            return (step * slope).sum(-1) + self.value(u, alpha)

        return torch.where((model(jumped) < model(swept))[:, None], jumped, swept)

    def _problem(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> LassoProblem:
        return LassoProblem(gram, gradient + gram_matvec(gram, coef), alpha, alpha)


class _L2:
    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        return 0.5 * alpha * coef.square().sum(-1)

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        distance = (alpha[:, None] * coef - gradient).square().sum(-1)
        return torch.ones_like(alpha), 0.5 * distance / alpha

    def newton(self, gram: Tensor, gradient: Tensor, alpha: Tensor, coef: Tensor) -> Tensor:
        system = gram + torch.diag_embed(alpha[:, None].expand_as(coef))
        factor = factor_support(system, torch.ones_like(coef, dtype=torch.bool))
        return coef + solve_support(factor, gradient - alpha[:, None] * coef)

    descend = newton


LOGISTIC_PENALTIES: dict[str, Penalty] = {"l1": _L1(), "l2": _L2()}
