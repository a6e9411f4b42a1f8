"""What the solver of smooth losses needs to know of a penalty."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_sparsedis.functional import solve_support
from sklearn_sparsedis.functional._support import factor_support, gram_matvec
from sklearn_sparsedis.solvers.lasso._active_set import newton_step, solve_in_parts, sweep
from sklearn_sparsedis.solvers.lasso._state import LassoProblem

__all__ = ["L1", "L2", "ElasticNet", "Model", "Penalty"]

# relative gap to which a quadratic model is solved, and limit on the iterations
MODEL_TOL = {torch.float64: 1e-8, torch.float32: 1e-5}
MODEL_ITER = 300


class Model(NamedTuple):
    """1/2 (u-w)'G(u-w) - g'(u-w) + penalty(u) of T problems, to be minimised in u.

    Attributes
    ----------
    gram : Tensor of shape (T, m, m)
        G = Z'HZ for positive weights H, about the means under H.
    gradient : Tensor of shape (T, m)
        g = Z'r, about the means under H.
    square : Tensor of shape (T,)
        r'H^-1 r, about the mean.
    coef : Tensor of shape (T, m)
        w.
    alpha : Tensor of shape (T,)
    """

    gram: Tensor
    gradient: Tensor
    square: Tensor
    coef: Tensor
    alpha: Tensor


class Penalty(Protocol):
    """A penalty of coefficients w (T, m) with strengths alpha (T,)."""

    @property
    def exact_gap(self) -> float:
        """Gap at which steps end, in double precision, where the tolerance is larger."""

    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        """Of each problem, shape (T,)."""

    def slope(self, coef: Tensor) -> Tensor:
        """Derivative of the penalty with strength one, where there is one."""

    def unit(self, gradient: Tensor, variance: Tensor) -> Tensor:
        """Unit of a relative strength, from Z'r and the curvatures of coefficients at w = 0."""

    def second_derivative(self, gram: Tensor, coef: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """G plus that of the penalty, and which variables are free to move."""

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Largest c, up to one, with c g in the conjugate's domain; and
        penalty(w) + conjugate(c g) - c w'g; each of shape (T,)."""

    def newton(self, model: Model) -> Tensor:
        """A quick guess at the minimum of a model."""

    def descend(self, model: Model) -> Tensor:
        """A point where a model is lower than at w, if there is one."""

    def minimise(self, model: Model) -> Tensor:
        """The minimum of a model, as far as rounding allows."""


class L1:
    """alpha ||w||_1."""

    exact_gap = math.inf

    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        return alpha * coef.abs().sum(-1)

    def slope(self, coef: Tensor) -> Tensor:
        return coef.sign()

    def unit(self, gradient: Tensor, variance: Tensor) -> Tensor:
        return gradient.abs().amax(-1)

    def second_derivative(self, gram: Tensor, coef: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        return gram, coef != 0

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        largest = gradient.abs().amax(-1)
        scale = torch.where(largest > alpha, alpha / largest, 1.0)
        return scale, (self.value(coef, alpha) - scale * (coef * gradient).sum(-1)).clamp_min(0)

    def newton(self, model: Model) -> Tensor:
        return newton_step(_as_lasso(model), model.coef, model.gradient)[0]

    def descend(self, model: Model) -> Tensor:
        lasso = _as_lasso(model)
        swept = sweep(lasso, model.coef, model.gradient)
        jumped = newton_step(lasso, swept, lasso.gradient(swept))[0]
        better = self._rise(model, jumped) < self._rise(model, swept)
        return torch.where(better[:, None], jumped, swept)

    def _rise(self, model: Model, coef: Tensor) -> Tensor:
        step = coef - model.coef
        slope = 0.5 * gram_matvec(model.gram, step) - model.gradient
        return (step * slope).sum(-1) + self.value(coef, model.alpha)

    def minimise(self, model: Model) -> Tensor:
        tol = MODEL_TOL[model.gram.dtype]
        return solve_in_parts(_as_lasso(model), model.coef, tol, MODEL_ITER)[0].coef


def _as_lasso(model: Model) -> LassoProblem:
    gram, gradient, square, coef, alpha = model
    fitted = gram_matvec(gram, coef)
    y_sq = square + (coef * (fitted + 2 * gradient)).sum(-1)
    return LassoProblem(gram, gradient + fitted, y_sq, alpha)


class L2:
    """alpha/2 ||w||_2^2."""

    # coefficients are as exact as the root of the gap, and their gradient somewhat less
    exact_gap = 1e-8

    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        return 0.5 * alpha * coef.square().sum(-1)

    def slope(self, coef: Tensor) -> Tensor:
        return coef

    def unit(self, gradient: Tensor, variance: Tensor) -> Tensor:
        return variance.mean(-1)

    def second_derivative(self, gram: Tensor, coef: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        system = gram + torch.diag_embed(alpha[:, None].expand_as(coef))
        return system, torch.ones_like(coef, dtype=torch.bool)

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        distance = (alpha[:, None] * coef - gradient).square().sum(-1)
        return torch.ones_like(alpha), 0.5 * distance / alpha

    def newton(self, model: Model) -> Tensor:
        gram, gradient, _, coef, alpha = model
        factor = factor_support(*self.second_derivative(gram, coef, alpha))
        return coef + solve_support(factor, gradient - alpha[:, None] * coef)

    descend = minimise = newton


@dataclass(frozen=True)
class ElasticNet:
    """alpha (l1_ratio ||w||_1 + (1 - l1_ratio)/2 ||w||_2^2).

    Parameters
    ----------
    l1_ratio : float
        Above 0, at most 1. `L2` is the penalty at 0.
    """

    l1_ratio: float
    exact_gap: ClassVar[float] = math.inf

    def __post_init__(self) -> None:
        if not (isinstance(self.l1_ratio, Real) and 0 < self.l1_ratio <= 1):
            raise ValueError(
                f"l1_ratio must be above 0 and at most 1, got {self.l1_ratio!r}: for 0 take the "
                "penalty l2."
            )

    def _strengths(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        return self.l1_ratio * alpha, (1 - self.l1_ratio) * alpha

    def value(self, coef: Tensor, alpha: Tensor) -> Tensor:
        sparse, ridge = self._strengths(alpha)
        return L1().value(coef, sparse) + L2().value(coef, ridge)

    def slope(self, coef: Tensor) -> Tensor:
        return self.l1_ratio * coef.sign() + (1 - self.l1_ratio) * coef

    def unit(self, gradient: Tensor, variance: Tensor) -> Tensor:
        return L1().unit(gradient, variance) / self.l1_ratio

    def second_derivative(self, gram: Tensor, coef: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        return L2().second_derivative(gram, coef, self._strengths(alpha)[1])[0], coef != 0

    def gap(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Of g as it is, as for the ridge, or shrunk as for the Lasso: of the smaller one."""
        sparse, ridge = self._strengths(alpha)
        largest = (gradient - ridge[:, None] * coef).abs().amax(-1)
        shrunk = torch.where(largest > sparse, sparse / largest, 1.0)
        of_shrunk = self._gap_at(coef, shrunk[:, None] * gradient, alpha)
        of_whole = self._gap_at(coef, gradient, alpha)
        scale = torch.where(of_whole <= of_shrunk, 1.0, shrunk)
        return scale, of_whole.minimum(of_shrunk)

    def _gap_at(self, coef: Tensor, gradient: Tensor, alpha: Tensor) -> Tensor:
        # the conjugate is attained at the soft-thresholded gradient over the ridge's strength
        sparse, ridge = (strength[:, None] for strength in self._strengths(alpha))
        excess = (gradient.abs() - sparse).clamp_min(0)
        conjugate = torch.where(excess > 0, 0.5 * excess.square() / ridge, 0.0)
        linear = sparse * coef.abs() - gradient * coef
        return (linear + 0.5 * ridge * coef.square() + conjugate).sum(-1).clamp_min(0)

    def newton(self, model: Model) -> Tensor:
        return L1().newton(self._without_ridge(model))

    def descend(self, model: Model) -> Tensor:
        return L1().descend(self._without_ridge(model))

    def minimise(self, model: Model) -> Tensor:
        return L1().minimise(self._without_ridge(model))

    def _without_ridge(self, model: Model) -> Model:
        """The same model with the ridge's part in its squares."""
        gram, gradient, square, coef, alpha = model
        sparse, ridge = self._strengths(alpha)
        system, _ = L2().second_derivative(gram, coef, ridge)
        gradient = gradient - ridge[:, None] * coef
        return Model(system, gradient, square + ridge * coef.square().sum(-1), coef, sparse)
