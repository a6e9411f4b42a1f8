"""The group-Lasso SVM of a dense or sparse table, with the choice of its lambda_1."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.nn.functional import one_hot

from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.inputs._tensors import csr_tensor, shared_tensor
from sklearn_sparsedis.solvers import SolveResult, group_lasso_svm_path

__all__ = ["SHARES", "MarginProblem", "spread_of_ranges"]

# Values of lambda_1 to choose from, as shares of its bound, and the gap at which the choice needs
# them solved.
SHARES = np.geomspace(0.9, 0.01, 10)
CHOICE_TOL = 1e-3
Folds = Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True)
class MarginProblem:
    """Rows, classes and weights of one problem.

    Attributes
    ----------
    X : ndarray or CSR array of shape (n_samples, n_features)
        Features, which are neither changed nor copied.
    index : ndarray of int64, shape (n_samples,)
        Classes in [0, n_classes).
    weight : ndarray of shape (n_samples,)
        Positive weights.
    n_classes : int
        Number of classes.
    fit_intercept : bool
        Whether there is an intercept.
    device : torch.device
        Device on which to solve.
    """

    X: Any
    index: NDArray[np.intp]
    weight: NDArray[Any]
    n_classes: int
    fit_intercept: bool
    device: torch.device

    def part(self, rows: NDArray[np.intp]) -> "MarginProblem":
        """Problem of some of the rows."""
        some = self.X[rows], self.index[rows], self.weight[rows]
        return MarginProblem(*some, self.n_classes, self.fit_intercept, self.device)

    @cached_property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features, classes and weights."""
        make = csr_tensor if sparse.issparse(self.X) else shared_tensor
        index, weight = (torch.from_numpy(x).to(self.device) for x in (self.index, self.weight))
        return make(self.X, self.device), index, weight

    @cached_property
    def bound(self) -> float:
        """The "uniform spread": without an intercept, no feature is used from this lambda_1 on."""
        F, y, c = self.tensors
        Y = one_hot(y, self.n_classes).to(F.dtype)
        return float(uniform_spread_bound(F, Y, sample_weight=c))

    def solve(
        self, group_regs: Sequence[float], l2_reg: float, tol: float, max_iter: int
    ) -> list[SolveResult]:
        """Solve at several lambda_1 in turn."""
        F, y, c = self.tensors
        return group_lasso_svm_path(
            F,
            y,
            group_regs,
            l2_reg,
            n_classes=self.n_classes,
            sample_weight=c,
            tol=tol,
            max_iter=max_iter,
            fit_intercept=self.fit_intercept,
        )

    def fold_accuracies(
        self, folds: Folds, l2_reg: float, tol: float, max_iter: int
    ) -> NDArray[np.float64]:
        """Accuracies (n_folds, n_regs) on the rows that each fold leaves out."""
        table = []
        for kept, held_out in folds:
            part = self.part(kept)
            regs = [share * part.bound for share in SHARES]
            results = part.solve(regs, l2_reg, max(tol, CHOICE_TOL), max_iter)
            table.append([self.accuracy(result, held_out) for result in results])
        return np.array(table)

    def accuracy(self, result: SolveResult, rows: NDArray[np.intp]) -> float:
        """Weighted accuracy of a solution on some rows."""
        scores = self.X[rows] @ result.coef.cpu().numpy()
        if result.intercept is not None:
            scores = scores + result.intercept.cpu().numpy()
        return float(np.average(scores.argmax(1) == self.index[rows], weights=self.weight[rows]))


def spread_of_ranges(X: Any) -> float:
    """Ratio of the largest to the smallest range of features that vary."""
    if sparse.issparse(X):
        ranges = abs(X).max(axis=0).toarray().ravel()
    else:
        ranges = X.max(axis=0) - X.min(axis=0)
    ranges = ranges[ranges > 0]
    return float(ranges.max() / ranges.min()) if len(ranges) else 1.0
