"""Warm-started path of group-Lasso SVMs over lambda_1."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.group_lasso_svm._solver import solve_group_lasso_svm


def group_lasso_svm_path(
    F: Tensor,
    y: Tensor,
    group_regs: Sequence[Tensor | float],
    l2_reg: Tensor | float,
    **opts: Any,
) -> list[SolveResult]:
    """Solve group-Lasso SVMs at several group_reg, each from its predecessor's solution.

    Parameters
    ----------
    F, y
        As in `solve_group_lasso_svm`.
    group_regs : sequence of Tensors broadcastable to (*batch,), or floats
        Values of group_reg in the order in which they are solved; neighbours should be close.
    l2_reg
        As in `solve_group_lasso_svm`.
    **opts
        Other arguments of `solve_group_lasso_svm`; `dual_init` and `coef_init` are the
        first one's.

    Returns
    -------
    list of SolveResult
        Result of each value, in the order given.
    """
    results = []
    for group_reg in group_regs:
        result = solve_group_lasso_svm(F, y, group_reg, l2_reg, **opts)
        results.append(result)
        opts |= {"dual_init": result.dual_coef, "coef_init": result.coef}
    return results
