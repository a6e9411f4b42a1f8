"""What the methods for group-Lasso SVMs give, for a batch of scaled problems."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.group_lasso_svm._lagrangian import Outcome

_TENSORS, _NUMBERS = ("coef", "dual"), ("objective", "gap")


@dataclass
class Solved:
    """Solution of a batch of scaled problems.

    Attributes
    ----------
    coef : Tensor of shape (b, m, k)
        Coefficients of the scaled problem.
    dual : Tensor of shape (b, n, k)
        Lambda.
    free : Tensor of bool, shape (b, n, k)
        Entries of Lambda that count as nonzero.
    objective, gap, n_iter : Tensor of shape (b,)
        Certificates.
    """

    coef: Tensor
    dual: Tensor
    free: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: Tensor

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> "Solved":
        """Solution of a batch whose problems were solved one by one."""
        coef, dual = (torch.stack([getattr(x, name) for x in outcomes]) for name in _TENSORS)
        objective, gap = (dual.new_tensor([getattr(x, y) for x in outcomes]) for y in _NUMBERS)
        n_iter = torch.tensor([x.n_iter for x in outcomes], device=dual.device)
        return cls(coef, dual, dual > 0, objective, gap, n_iter)

    def outcome(self, n_iter: int) -> Outcome:
        """The only problem of a batch, solved after other steps."""
        certificate = float(self.objective), float(self.gap)
        return Outcome(self.coef[0], self.dual[0], *certificate, n_iter + int(self.n_iter))

    def result(self, coef: Tensor, batch: torch.Size, tol: float) -> SolveResult:
        """Result whose coefficients are `coef` (b, m, k), with the batch dimensions restored."""
        dtype = coef.dtype
        return SolveResult(
            coef=coef.reshape(*batch, *coef.shape[1:]),
            objective=self.objective.to(dtype).reshape(batch),
            gap=self.gap.to(dtype).reshape(batch),
            n_iter=self.n_iter.reshape(batch),
            converged=(self.gap <= tol).reshape(batch),
            dual_coef=self.dual.to(dtype).reshape(*batch, *self.dual.shape[1:]),
        )
