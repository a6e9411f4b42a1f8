"""Batched sparse and ridge logistic regression."""

from torch import Tensor

from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.smooth_loss._losses import LogisticLoss
from sklearn_sparsedis.solvers.smooth_loss._penalties import L1, L2
from sklearn_sparsedis.solvers.smooth_loss._solver import solve_smooth

__all__ = ["solve_logistic_lasso", "solve_logistic_ridge"]


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

    The method is that of `solve_smooth`. Nothing is recorded for autograd;
    `implicit.logistic_lasso` differentiates the solution.
    """
    return solve_smooth(
        LogisticLoss(),
        L1(),
        Z,
        y,
        alpha,
        sample_weight=sample_weight,
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
        intercept_init=intercept_init,
    )


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
    return solve_smooth(
        LogisticLoss(),
        L2(),
        Z,
        y,
        alpha,
        sample_weight=sample_weight,
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
        intercept_init=intercept_init,
    )
