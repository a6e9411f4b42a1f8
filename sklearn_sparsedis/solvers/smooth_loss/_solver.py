"""Batched sparse and ridge logistic regression: proximal Newton steps, safeguarded."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional import row_shares
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.smooth_loss._problem import PosedLogistic, pose
from sklearn_sparsedis.solvers.smooth_loss._state import LogisticState, evaluate
from sklearn_sparsedis.solvers.smooth_loss._steps import iterate

__all__ = ["solve_logistic_lasso", "solve_logistic_ridge", "solve_posed"]


def solve_logistic_lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    sample_weight: Tensor | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> SolveResult:
    r"""Solve sparse logistic regressions with an intercept, one or a batch.

    .. math:: \min_{w, b} \sum_i s_i [\log(1 + e^{z_i w + b}) - y_i (z_i w + b)] + \alpha \|w\|_1

    with shares :math:`s_i` = sample_weight / its sum (1/n without weights); for labels -1 and 1
    the loss is :math:`\log(1 + e^{-y_i (z_i w + b)})`.

    Parameters
    ----------
    Z : Tensor of shape (n, m), shared by all problems, or (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Labels 0 and 1, or probabilities between.
    alpha : float or Tensor of shape (*batch,)
        Strength, positive, in the units of Z'y / n; `functional.logistic_alpha_max` is the smallest
        one with coefficients of zero.
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        Not negative; zero leaves a row out of a problem, so that problems on different rows are one
        batch.
    tol : float
        Relative duality gap at which a problem is done (see `SolveResult`; the objective at zero is
        that of the best constant).
    max_iter : int
        Limit on steps.
    coef_init : Tensor of shape (*batch, m), optional
    intercept_init : Tensor of shape (*batch,), optional
        Start.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m) and intercept of shape (*batch,).

    Raises
    ------
    ValueError
        If alpha is a number and not positive.

    Notes
    -----
    A problem whose labels of positive weight are all 0, or all 1, has no minimum: its coefficients
    are zero, its intercept is that of a rate of half a row, -log(2n + 1) or log(2n + 1) for n rows,
    and objective and gap count as their limits, zero. The same holds for one without rows, with
    intercept zero. A feature whose variance under the weights of a problem is rounding has the
    coefficient zero there.

    A step solves the stationarity equations of the local quadratic model on the support and signs
    that a proximal step would give: a semismooth Newton method, which converges quadratically. It
    is kept where it lowers the objective. Elsewhere coordinate descent on the model gives a
    direction for a line search, beside which stands coordinate descent on the model with the
    largest curvature that there can be, 1/4 a row; that cannot fail, so that the method always
    converges. The host looks at the gaps once in two steps. Every problem takes a step, however
    good its start is.

    The gap is that of residuals shrunk into the domain of the dual, as for the Lasso [1]_, after
    those of one sign were shrunk to balance the other ones.

    O(T n m^2) a step for T problems. Nothing is recorded for autograd; `implicit.logistic_lasso`
    differentiates the solution.

    References
    ----------
    .. [1] Massias, Vaiter, Gramfort, Salmon, "Dual extrapolation for sparse generalized linear
       models", JMLR 2020.
    """
    return _solve("l1", Z, y, alpha, sample_weight, tol, max_iter, coef_init, intercept_init)


def solve_logistic_ridge(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    sample_weight: Tensor | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> SolveResult:
    r"""Solve ridge logistic regressions with an intercept, one or a batch.

    .. math:: \min_{w, b} \sum_i s_i [\log(1 + e^{z_i w + b}) - y_i (z_i w + b)]
       + \tfrac\alpha2 \|w\|_2^2

    Parameters
    ----------
    Z, y
        As in `solve_logistic_lasso`.
    alpha : float or Tensor of shape (*batch,)
        Strength, positive, in the units of Z'Z / n.
    sample_weight, tol, max_iter, coef_init, intercept_init
        As in `solve_logistic_lasso`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m) and intercept of shape (*batch,).

    Raises
    ------
    ValueError
        If alpha is a number and not positive.

    Notes
    -----
    As `solve_logistic_lasso`, with Newton steps proper.
    """
    return _solve("l2", Z, y, alpha, sample_weight, tol, max_iter, coef_init, intercept_init)


@torch.no_grad()
def _solve(
    penalty: str,
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    sample_weight: Tensor | None,
    tol: float,
    max_iter: int,
    coef_init: Tensor | None,
    intercept_init: Tensor | None,
) -> SolveResult:
    posed = pose(penalty, Z, y, row_shares(y, sample_weight), alpha)
    return solve_posed(posed, tol, max_iter, coef_init, intercept_init)[0]


def solve_posed(
    posed: PosedLogistic,
    tol: float,
    max_iter: int,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> tuple[SolveResult, LogisticState]:
    """Solve problems as `pose` gives them; the state is that about the origin."""
    problem, batch = posed.problem, posed.batch
    start = posed.start(coef_init, intercept_init)
    n_iter = torch.zeros_like(posed.single, dtype=torch.int64)
    state = evaluate(problem, *start, n_iter)
    if max_iter:
        state = iterate(problem, state, tol, max_iter, cold=coef_init is None)
    result = SolveResult(
        state.coef.reshape(*batch, state.coef.shape[-1]),
        state.objective.reshape(batch),
        state.gap.reshape(batch),
        state.n_iter.reshape(batch),
        (state.gap <= tol).reshape(batch),
        intercept=posed.intercept(state.coef, state.intercept).reshape(batch),
    )
    return result, state
