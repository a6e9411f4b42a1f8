"""Batched sparse and ridge logistic regression: proximal Newton steps, safeguarded."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional import logistic_loss, row_shares
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._logistic_penalties import Model
from sklearn_sparsedis.solvers._logistic_problem import LogisticProblem, PosedLogistic, pose
from sklearn_sparsedis.solvers._logistic_state import LogisticState, choose, evaluate
from sklearn_sparsedis.solvers._result import SolveResult

__all__ = ["solve_logistic_lasso", "solve_logistic_ridge", "solve_posed"]

# blocks of steps after which the local models are solved exactly
EASY_BLOCKS = 10
# Newton steps between two looks of the host, where it does not see the values anyway
STEPS_A_LOOK = 2
# blocks of plain steps before one that cannot fail, on an accelerator
PLAIN_BLOCKS = 3
# least curvature of a row, in units of its residual, where a model must not mislead
LEAST_CURVATURE = 1e-2
# shares of a step that are tried
LENGTHS = (0.5, 0.25, 0.1, 0.03, 0.01, 1e-3)

Step = Callable[[LogisticProblem, LogisticState], LogisticState]


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
    intercept zero.

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
        first = _swept_step if coef_init is None else _plain_step
        state = _iterate(problem, first(problem, state), tol, max_iter - 1)
    result = SolveResult(
        state.coef.reshape(*batch, state.coef.shape[-1]),
        state.objective.reshape(batch),
        state.gap.reshape(batch),
        state.n_iter.reshape(batch),
        (state.gap <= tol).reshape(batch),
        intercept=posed.intercept(state.coef, state.intercept).reshape(batch),
    )
    return result, state


def _iterate(
    problem: LogisticProblem, state: LogisticState, tol: float, max_iter: int
) -> LogisticState:
    """Blocks of steps until every gap is closed or rounding stops them."""
    on_cpu = state.coef.device.type == "cpu"
    active, block = state.gap > tol, 0
    while max_iter > 0 and any_true(active):
        search = _swept_step if block < EASY_BLOCKS else _searched_step
        safe = not on_cpu and block % (PLAIN_BLOCKS + 1) == PLAIN_BLOCKS
        kind = _checked_step if on_cpu else _safe_step if safe else _plain_steps
        new = _where(active, partial(kind, search), problem, state)
        # a step that cannot fail and changed nothing has reached what the dtype can
        last = _moved(new, state) if on_cpu or safe else active
        active = (new.gap > tol) & last
        state = new
        block += 1
        max_iter -= STEPS_A_LOOK
    return state


def _where(
    mask: Tensor,
    step: Step,
    problem: LogisticProblem,
    state: LogisticState,
) -> LogisticState:
    """A step of some problems; on the CPU the others cost nothing."""
    if mask.device.type != "cpu":
        return choose(mask, step(problem, state), state)
    if not any_true(~mask):
        return step(problem, state)
    index = torch.nonzero(mask)[:, 0]
    return state.put(index, step(problem.part(index), state.part(index)))


def _moved(new: LogisticState, state: LogisticState) -> Tensor:
    return (new.objective != state.objective) | (new.gap != state.gap)


def _checked_step(search: Step, problem: LogisticProblem, state: LogisticState) -> LogisticState:
    """A plain step; where that did not help a search; where none did, a bounded step."""
    new = _plain_step(problem, state)
    for step in (search, _bounded_step):
        stuck = ~_moved(new, state)
        if not any_true(stuck):
            break
        new = _where(stuck, step, problem, new)
    return new


def _plain_steps(search: Step, problem: LogisticProblem, state: LogisticState) -> LogisticState:
    for _ in range(STEPS_A_LOOK):
        state = _plain_step(problem, state)
    return state


def _safe_step(search: Step, problem: LogisticProblem, state: LogisticState) -> LogisticState:
    return _bounded_step(problem, search(problem, state))


def _plain_step(problem: LogisticProblem, state: LogisticState) -> LogisticState:
    """To where a Newton step on the guess at support and signs leads."""
    point = _minimised(problem, state, state.curvature, problem.penalty.newton)
    return _better(state, evaluate(problem, *point, state.n_iter))


def _swept_step(problem: LogisticProblem, state: LogisticState) -> LogisticState:
    """Towards a point where the local model is lower."""
    return _search(problem, state, problem.penalty.descend)


def _searched_step(problem: LogisticProblem, state: LogisticState) -> LogisticState:
    """Towards the minimum of the local model."""
    return _search(problem, state, problem.penalty.minimise)


def _search(
    problem: LogisticProblem, state: LogisticState, minimise: Callable[[Model], Tensor]
) -> LogisticState:
    """To where the local model leads, or towards it where that is too far."""
    # rows far on the wrong side have next to no curvature, and would take the model anywhere
    curvature = state.curvature.maximum(LEAST_CURVATURE * state.residual.abs())
    point = _minimised(problem, state, curvature, minimise)
    whole = evaluate(problem, *point, state.n_iter)
    stuck = ~(whole.objective < state.objective)
    if stuck.device.type == "cpu" and not any_true(stuck):
        return _better(state, whole)
    part = evaluate(problem, *_line_search(problem, state, *point), state.n_iter)
    return _better(state, choose(stuck, part, whole))


def _bounded_step(problem: LogisticProblem, state: LogisticState) -> LogisticState:
    """To the minimum of the model with the largest curvature there can be, an upper bound."""
    curvature = 0.25 * problem.share.expand_as(problem.y)
    point = _minimised(problem, state, curvature, problem.penalty.minimise)
    return _better(state, evaluate(problem, *point, state.n_iter))


def _minimised(
    problem: LogisticProblem,
    state: LogisticState,
    curvature: Tensor,
    minimise: Callable[[Model], Tensor],
) -> tuple[Tensor, Tensor]:
    """Coefficients and intercept to which the model with some curvature of the rows leads."""
    gram, mean, total = problem.design.moments(curvature)
    inverse = torch.where(total > 0, 1 / total, 0.0)
    offset = state.residual.sum(-1)
    gradient = state.gradient - mean * offset[:, None]
    squares = torch.where(curvature > 0, state.residual.square() / curvature, 0.0)
    square = (squares.sum(-1) - offset.square() * inverse).clamp_min(0)
    coef = minimise(Model(gram, gradient, square, state.coef, problem.alpha))
    shift = offset * inverse - (mean * (coef - state.coef)).sum(-1)
    return coef, state.intercept + shift


def _line_search(
    problem: LogisticProblem, state: LogisticState, coef: Tensor, intercept: Tensor
) -> tuple[Tensor, Tensor]:
    """The point of the lowest objective among some shares of a step."""
    step, shift = coef - state.coef, intercept - state.intercept
    slope = problem.design.combine(step) + shift[:, None]
    best = torch.full_like(state.objective, torch.inf)
    share = torch.zeros_like(best)
    for length in LENGTHS:
        loss = logistic_loss(state.score + length * slope, problem.y)
        penalty = problem.penalty.value(state.coef + length * step, problem.alpha)
        objective = (problem.share * loss).sum(-1) + penalty
        share = torch.where(objective < best, length, share)
        best = best.fmin(objective)
    return state.coef + share[:, None] * step, state.intercept + share * shift


def _better(state: LogisticState, trial: LogisticState) -> LogisticState:
    """The iterate with the lower objective; the smaller gap decides where rounding hides that."""
    rounding = 16 * torch.finfo(state.objective.dtype).eps * state.objective
    lower = trial.objective < state.objective - rounding
    equal = trial.objective <= state.objective + rounding
    taken = choose(lower | (equal & (trial.gap < state.gap)), trial, state)
    return replace(taken, n_iter=state.n_iter + 1)
