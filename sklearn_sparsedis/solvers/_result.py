"""What every solver returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SolveResult:
    """Solution of a batch of convex problems, with one certificate a problem.

    Attributes
    ----------
    coef : Tensor of shape (*batch, m) or (*batch, m, k)
        Primal solution.
    objective : Tensor of shape (*batch,)
        Primal objective at `coef`.
    gap : Tensor of shape (*batch,)
        Relative duality gap: (primal - dual) / max(primal, primal at zero / 1000). The floor keeps
        the figure meaningful where the objective can reach zero.
    n_iter : Tensor of int64, shape (*batch,)
        Iterations that each problem took.
    converged : Tensor of bool, shape (*batch,)
        ``gap <= tol``, per problem.
    dual_coef : Tensor or None
        Dual solution, where the problem is solved in its dual.
    intercept : Tensor of shape (*batch,) or None
        Intercept, where it is one of the variables.
    """

    coef: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: Tensor
    converged: Tensor
    dual_coef: Tensor | None = None
    intercept: Tensor | None = None
