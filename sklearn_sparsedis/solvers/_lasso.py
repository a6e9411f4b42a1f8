"""Batched Lasso: active-set Newton steps, safeguarded by coordinate descent."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_sparsedis.functional import (
    centred_gram,
    factor_support,
    gram_matvec,
    lasso_duality_gap,
    lasso_objective,
    residual_square,
    soft_threshold,
    solve_support,
    strength_like,
)
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers._feature_sign import SignState, feature_sign_steps
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._ridge import solve_ridge_gram

__all__ = ["solve_lasso", "solve_lasso_gram"]

# one block of iterations: coordinate sweeps, then Newton steps, then one look at the gaps
SWEEPS = 4
NEWTON_STEPS = 3
# after so many blocks, the problems left are those where Newton steps run into ever new supports
BLOCKS_OF_NEWTON = 4


def solve_lasso(
    Z: Tensor,
    y: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/(2n) ||Z w - y||^2 + alpha ||w||_1 for a batch of problems.

    Equation and scaling as in [1]_, section 2; no intercept (centre Z and y, or see
    `solve_lasso_gram`).

    Parameters
    ----------
    Z : Tensor of shape (*batch, n, m), float32 or float64
        Features.
    y : Tensor of shape (*batch, n)
        Targets.
    alpha : float or Tensor of shape (*batch,)
        Strength, not negative, in the units of Z'y / n.
    tol : float
        Relative duality gap at which a problem is done (see `SolveResult`).
    max_iter : int
        Limit on coordinate sweeps and Newton steps together.
    coef_init : Tensor of shape (*batch, m), optional
        Start.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m).

    Notes
    -----
    Works on Gram matrices: O(n m^2) once, then O(m^2) a sweep and O(s^3) a Newton step with s
    variables in use. Nothing is recorded for autograd; `implicit.lasso` differentiates the
    solution.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """
    with torch.no_grad():
        statistics = centred_gram(Z, y, centre=False)
        result = solve_lasso_gram(
            *statistics[:3], alpha, tol=tol, max_iter=max_iter, coef_init=coef_init
        )
        residual = y - (Z @ result.coef[..., None])[..., 0]
        strength = strength_like(alpha, Z)
        objective = lasso_objective(residual.square().mean(-1), result.coef, strength)
        return replace(result, objective=objective)


@torch.no_grad()
def solve_lasso_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Solve min_w 1/2 w'Gw - w'q + y_sq/2 + alpha ||w||_1 for a batch of problems.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (*batch, m)
        q = Z'y / n.
    y_sq : Tensor of shape (*batch,)
        y'y / n.
    alpha, tol, max_iter, coef_init
        As in `solve_lasso`.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m).

    Notes
    -----
    A block of iterations is a few Newton steps of the primal-dual active-set method (each solves
    the stationarity equations on the current guess of support and signs) and, for problems that
    are not done, a few sweeps of coordinate descent, from whose result the next block starts. A
    Newton step is kept only where it lowers the objective, so the method converges as coordinate
    descent does and ends as Newton's method does; problems in which supports keep changing are left
    to feature-sign search (`_feature_sign.py`). The host looks at the gaps once a block.
    Singular systems follow the rule of `functional.factor_support`. Problems with alpha = 0 are
    least squares, solved and certified by `solve_ridge_gram`.
    """
    batch, m = corr.shape[:-1], corr.shape[-1]
    q, y2 = corr.reshape(-1, m), y_sq.reshape(-1)
    strength = strength_like(alpha, q).expand(batch).reshape(-1)
    G = gram if gram.ndim == 2 else gram.expand(*batch, m, m).reshape(-1, m, m)
    start = torch.zeros_like(q) if coef_init is None else coef_init.reshape(-1, m).to(q.dtype)
    free = strength == 0
    some_free = any_true(free)
    if some_free:  # solved below; here they are done at once, with the solution zero
        strength = torch.where(free, q.abs().amax(-1), strength)
        start = torch.where(free[:, None], torch.zeros_like(start), start)
    state = _solve(_Problem(G, q, y2, strength), start, tol, max_iter)
    if some_free:
        plain = solve_ridge_gram(G, q, y2, 0.0)
        state = _chosen(free, replace(state, **_fields(plain)), state)
    return SolveResult(
        state.coef.reshape(*batch, m),
        state.objective.reshape(batch),
        state.gap.reshape(batch),
        state.n_iter.reshape(batch),
        (state.gap <= tol).reshape(batch),
    )


def _fields(result: SolveResult) -> dict[str, Tensor]:
    names = ("coef", "objective", "gap", "n_iter")
    return {name: getattr(result, name) for name in names}


@dataclass
class _Problem:
    """Statistics of T problems; `gram` of shape (m, m) or (T, m, m)."""

    gram: Tensor
    corr: Tensor
    y_sq: Tensor
    alpha: Tensor

    def part(self, index: Tensor) -> "_Problem":
        gram = self.gram if self.gram.ndim == 2 else self.gram[index]
        return _Problem(gram, self.corr[index], self.y_sq[index], self.alpha[index])

    def gradient(self, coef: Tensor) -> Tensor:
        return self.corr - gram_matvec(self.gram, coef)


@dataclass
class _State:
    """Iterate of T problems with its certificate."""

    coef: Tensor
    gradient: Tensor
    objective: Tensor
    gap: Tensor
    n_iter: Tensor

    def part(self, index: Tensor) -> "_State":
        return _State(*(value[index] for value in vars(self).values()))

    def put(self, index: Tensor, other: "_State") -> None:
        for name, value in vars(other).items():
            getattr(self, name).index_copy_(0, index, value)


def _evaluate(problem: _Problem, coef: Tensor, n_iter: Tensor) -> _State:
    gradient = problem.gradient(coef)
    residual_sq = residual_square(problem.corr, problem.y_sq, coef, gradient)
    objective = lasso_objective(residual_sq, coef, problem.alpha)
    gap = lasso_duality_gap(residual_sq, coef, gradient, problem.alpha)
    scale = objective.maximum(0.5e-3 * problem.y_sq)
    gap = gap / torch.where(scale > 0, scale, torch.ones_like(scale))
    return _State(coef, gradient, objective, gap, n_iter)


def _solve(problem: _Problem, start: Tensor, tol: float, max_iter: int) -> _State:
    zeros = torch.zeros(len(start), dtype=torch.int64, device=start.device)
    state = _evaluate(problem, start, zeros)
    n_iter, blocks = 0, 0
    while n_iter < max_iter and any_true(state.gap > tol):
        step = _search if blocks == BLOCKS_OF_NEWTON else _block
        if start.device.type == "cpu":  # leave out what is done
            left = torch.nonzero(state.gap > tol)[:, 0]
            state.put(left, step(problem.part(left), state.part(left), tol, blocks > 0))
        else:
            state = step(problem, state, tol, blocks > 0)
        n_iter += NEWTON_STEPS + SWEEPS * (blocks > 0)
        blocks += 1
    return state


def _block(problem: _Problem, state: _State, tol: float, sweep: bool) -> _State:
    """Sweeps, if asked for, and Newton steps."""
    if sweep:
        trial = _evaluate(problem, _sweep(problem, state), state.n_iter)
        state = _better(state, trial, tol, SWEEPS)
    trial = state
    for _ in range(NEWTON_STEPS):
        trial = _evaluate(problem, _newton_step(problem, trial), state.n_iter)
        state = _better(state, trial, tol, 1)
        if state.gap.device.type == "cpu" and not any_true(state.gap > tol):
            break
    return state


def _search(problem: _Problem, state: _State, tol: float, sweep: bool) -> _State:
    """Feature-sign search from zero to its end, for the few problems that need it."""
    m = problem.corr.shape[-1]
    zeros = torch.zeros_like(state.coef)
    search = SignState(zeros, zeros, torch.ones_like(state.gap, dtype=torch.bool))
    search = feature_sign_steps(problem.gram, problem.corr, problem.alpha, search, 2 * m)
    return _better(state, _evaluate(problem, search.coef, state.n_iter), tol, 2 * m)


def _better(state: _State, trial: _State, tol: float, n_iter: int | Tensor) -> _State:
    """The iterate with the lower objective; the smaller gap decides where rounding hides that."""
    rounding = 16 * torch.finfo(state.objective.dtype).eps * state.objective
    lower = trial.objective < state.objective - rounding
    equal = trial.objective <= state.objective + rounding
    count = state.n_iter + n_iter * (state.gap > tol)
    return replace(_chosen(lower | (equal & (trial.gap < state.gap)), trial, state), n_iter=count)


def _chosen(choice: Tensor, one: _State, other: _State) -> _State:
    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(choice[:, None] if a.ndim == 2 else choice, a, b)

    return _State(
        *(pick(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
    )


def _newton_step(problem: _Problem, state: _State) -> Tensor:
    """Stationary point on the support and signs that a proximal step from here would give."""
    diagonal = problem.gram.diagonal(dim1=-2, dim2=-1)
    step = state.coef * diagonal + state.gradient
    support = step.abs() > problem.alpha[:, None]
    factor = factor_support(problem.gram, support)
    rhs = problem.corr - problem.alpha[:, None] * step.sign()
    return solve_support(problem.gram, factor, torch.where(support, rhs, torch.zeros_like(rhs)))


def _sweep(problem: _Problem, state: _State) -> Tensor:
    """Coordinate descent, all problems at once."""
    coef, gradient = state.coef.mT.contiguous(), state.gradient.clone()
    diagonal = problem.gram.diagonal(dim1=-2, dim2=-1).expand_as(gradient).mT
    safe = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal))
    for _ in range(SWEEPS):
        for j in range(len(coef)):
            old = coef[j]
            new = soft_threshold(gradient[:, j] + diagonal[j] * old, problem.alpha) / safe[j]
            new = torch.where(diagonal[j] > 0, new, torch.zeros_like(new))
            gradient -= (new - old)[:, None] * problem.gram[..., j, :]
            coef[j] = new
    return coef.mT
