"""Heads of all tasks on one representation: centred statistics, penalty, inner solve."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sklearn_sparsedis.functional import (
    CentredTargets,
    centre_targets,
    centred_gram,
    lasso_alpha_max,
)
from sklearn_sparsedis.implicit import LEAST_SQUARES
from sklearn_sparsedis.solvers import GAMMA, SolveResult

__all__ = ["GAMMA", "HeadProblem", "HeadTargets", "Heads"]

HeadTargets = CentredTargets


@dataclass(frozen=True)
class Heads:
    """Heads of T tasks on m components.

    Attributes
    ----------
    coef : Tensor of shape (T, m)
    intercept : Tensor of shape (T,)
    loss : Tensor of shape (T,)
        Half the mean squared error on the rows of the fit.
    alpha_max : Tensor of shape (T,)
        Unit of a relative `alpha`.
    result : SolveResult
        Certificate of the solve, not recorded for autograd.
    """

    coef: Tensor
    intercept: Tensor
    loss: Tensor
    alpha_max: Tensor
    result: SolveResult

    def predict(self, Z: Tensor) -> Tensor:
        """Targets of all tasks, shape (n, T)."""
        return Z.to(self.coef.dtype) @ self.coef.T + self.intercept


@dataclass(frozen=True)
class HeadProblem:
    """The inner problem: penalised least squares with an intercept that is not penalised.

    min_w,b 1/(2n) ||Z w + b - y||^2 + alpha * penalty(w), per task, in float64 whatever Z is:
    the statistics are small and their conditioning decides the accuracy of the gradient.

    Parameters
    ----------
    penalty : {"l1", "l2", "mcp"}
        ||w||_1, ||w||_2^2 / 2, or the minimax concave penalty (`functional.mcp_penalty`).
    alpha : float or Tensor of shape (T,)
        Strength; a fraction of `alpha_max` when `relative`.
    relative : bool
        For "l1" and "mcp" the unit is the smallest alpha with a Lasso solution of zero; for "l2"
        it is the mean variance of the components, so that a fraction shrinks by the same share
        whatever the scale of Z.
    tol : float
        Relative duality gap at which a task's solve stops.
    max_iter : int
        Limit on the iterations of a solve.
    floor : float
        Fraction of `alpha_max` that the strength is raised to where it is below.
    options : mapping
        Further options of the solver, such as the MCP's gamma.
    """

    penalty: str
    alpha: float | Tensor
    relative: bool
    tol: float
    max_iter: int = 1000
    floor: float = 0.0
    options: Mapping[str, float] = field(default_factory=dict)

    def centre(self, Y: Tensor) -> HeadTargets:
        """Targets of shape (n, T), without weights, for callers that use them again."""
        return centre_targets(Y.double().T)

    def solve(
        self,
        Z: Tensor,
        Y: Tensor | HeadTargets,
        weights: Tensor | None = None,
        coef_init: Tensor | None = None,
    ) -> Heads:
        """Solve for all tasks; differentiable in Z and Y.

        Parameters
        ----------
        Z : Tensor of shape (n, m)
            Components.
        Y : Tensor of shape (n, T), or what `centre` gives for it
            Targets, zero where missing.
        weights : Tensor of shape (n,) or (n, T), optional
            Weights of rows or labels.
        coef_init : Tensor of shape (T, m), optional
            Where the solver starts.
        """
        per_task = weights.T if weights is not None and weights.ndim == 2 else weights
        gram, corr, y_sq, z_mean, y_mean = centred_gram(
            Z.double(), Y.double().T if isinstance(Y, Tensor) else Y, per_task
        )
        # The strength of a step is a number, not a function of Z: with alpha_max differentiated,
        # a denser basis would pay, because it lowers alpha_max.
        alpha_max = HEAD_UNITS[self.penalty](gram.detach(), corr.detach())
        alpha = self._strength(alpha_max)
        coef, loss, result = LEAST_SQUARES[self.penalty](
            gram,
            corr,
            y_sq,
            alpha,
            tol=self.tol,
            max_iter=self.max_iter,
            coef_init=coef_init,
            **self.options,
        )
        intercept = y_mean - (coef * z_mean).sum(-1)
        return Heads(coef, intercept, loss, alpha_max, result)

    def _strength(self, alpha_max: Tensor) -> Tensor:
        alpha = self.alpha * alpha_max if self.relative else alpha_max * 0 + self.alpha
        return alpha.maximum(self.floor * alpha_max) if self.floor else alpha


def _mean_variance(gram: Tensor, corr: Tensor) -> Tensor:
    return gram.diagonal(dim1=-2, dim2=-1).mean(-1).expand(corr.shape[0])


def _least_with_zero(gram: Tensor, corr: Tensor) -> Tensor:
    return lasso_alpha_max(corr)


HEAD_UNITS = {"l1": _least_with_zero, "l2": _mean_variance, "mcp": _least_with_zero}
