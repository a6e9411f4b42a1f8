"""Batched penalised fits under a smooth loss: proximal Newton steps, safeguarded."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._logistic import row_shares
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers.smooth_loss._losses import Loss
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty
from sklearn_sparsedis.solvers.smooth_loss._problem import PosedProblem, pose
from sklearn_sparsedis.solvers.smooth_loss._state import SmoothState, evaluate
from sklearn_sparsedis.solvers.smooth_loss._steps import iterate

__all__ = ["solve_posed", "solve_smooth"]


@torch.no_grad()
def solve_smooth(
    loss: Loss,
    penalty: Penalty,
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
    r"""Solve penalised fits with an intercept under a smooth convex loss, one or a batch.

    .. math:: \min_{w, b} \sum_i s_i \, \ell(z_i w + b, y_i) + \alpha \, \Omega(w)

    with shares :math:`s_i` = sample_weight / its sum (1/n without weights).

    Parameters
    ----------
    loss : Loss
        `LogisticLoss()` for labels, `HuberLoss(delta)` for values, or an object like them.
    penalty : Penalty
        `L1()` for the sum of the absolute coefficients, `L2()` for half the sum of their squares,
        `ElasticNet(l1_ratio)` for a mean of both, or an object like them.
    Z : Tensor of shape (n, m), shared by all problems, or (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Targets.
    alpha : float or Tensor of shape (*batch,)
        Strength, positive.
    sample_weight : Tensor of shape (n,) or (*batch, n), optional
        Not negative; zero leaves a row out of a problem, so that problems on different rows are one
        batch. A problem without rows has coefficients and an intercept of zero.
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
    A feature whose variance under the weights of a problem is rounding has the coefficient zero
    there.

    A step solves the stationarity equations of the local quadratic model on the support and signs
    that a proximal step would give: a semismooth Newton method, which converges quadratically. It
    is kept where it lowers the objective. Elsewhere coordinate descent on the model gives a
    direction for a line search, beside which stands coordinate descent on a model that is an upper
    bound of the objective and never raises it; a problem may still need more than `max_iter` steps.
    Problems that
    blocks of such steps leave under a loss with few curved rows go on from the solutions of easier
    ones, with ever fewer such rows. The host looks at the gaps once in two steps. Every problem
    takes a step, however good its start is.

    The gap is that of residuals shrunk into the domain of the dual, as for the Lasso [1]_, after
    those of one sign were shrunk to balance the other ones.

    O(T n m^2) a step for T problems. Nothing is recorded for autograd; `implicit.fit_smooth`
    differentiates the solution.

    References
    ----------
    .. [1] Massias, Vaiter, Gramfort, Salmon, "Dual extrapolation for sparse generalized linear
       models", JMLR 2020.
    """
    posed = pose(loss, penalty, Z, y, row_shares(y, sample_weight), alpha)
    return solve_posed(posed, tol, max_iter, coef_init, intercept_init)[0]


def solve_posed(
    posed: PosedProblem,
    tol: float,
    max_iter: int,
    coef_init: Tensor | None = None,
    intercept_init: Tensor | None = None,
) -> tuple[SolveResult, SmoothState]:
    """Solve problems as `pose` gives them; the state is that about the origin."""
    problem, batch = posed.problem, posed.batch
    start = posed.start(coef_init, intercept_init)
    n_iter = torch.zeros_like(posed.targets.fixed, dtype=torch.int64)
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
