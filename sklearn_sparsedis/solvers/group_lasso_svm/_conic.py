r"""Primal-dual interior-point method over second-order cones, for stiff group-Lasso SVMs.

Where lambda_2 is small for the features' scale, the block threshold is nearly a hard constraint
and W, as a function of Lambda, nearly a discontinuous one. Here W is a variable of its own::

    min 1/2 sum_j t_j^2 + sum_i c_i Lambda_{i y_i}
    s.t. u_j = (tau_j + t_j, V_j) in the second-order cone, rows of Lambda in the simplex

with multipliers w_j = (t_j, -W_j) of u_j in the same cone. Each iteration linearises ``u_j w_j = mu
e`` in the scaling of Nesterov and Todd and eliminates t_j and W_j feature by feature, so that the
system to factor is as large as that of the method in Lambda alone, but all features enter it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import lengths
from sklearn_sparsedis.solvers.group_lasso_svm._interior import (
    BLOCK_OF_ITERATIONS,
    State,
    central_slack,
    gap_of_rows,
    longest,
)
from sklearn_sparsedis.solvers.group_lasso_svm._problem import Problem, relative
from sklearn_sparsedis.solvers.group_lasso_svm._system import (
    PivotBasis,
    PivotSolver,
    add_barrier,
    weighted_hessian,
)

_TO_BOUNDARY = 0.99
# Corrections of each move by the system's residual: products with F keep the digits that badly
# scaled columns lose in the system's matrix
_REFINEMENTS = 1


@dataclass
class Iterate:
    """Primal-dual point: Lambda and its slack (b, n, k), V and W (b, m, k), t (b, m).

    Moves have the same form.
    """

    dual: Tensor
    slack: Tensor
    V: Tensor
    W: Tensor
    t: Tensor

    def plus(self, length: Tensor, move: "Iterate") -> "Iterate":
        """Return the point after a step of `length` (b, 1, 1); problems of length 0 stay."""
        moves = length > 0

        def step(x: Tensor, dx: Tensor) -> Tensor:
            if x.ndim == 2:
                return torch.where(moves[..., 0], x + length[..., 0] * dx, x)
            return torch.where(moves, x + length * dx, x)

        return Iterate(
            *(step(x, dx) for x, dx in zip(vars(self).values(), vars(move).values(), strict=True))
        )


class Scaling:
    """Scaling of Nesterov and Todd between the cones' pairs u and w.

    Its matrix is ``eta (2 q q^T - J)^{1/2}`` with ``q0^2 - ||q1||^2 = 1``.
    """

    def __init__(self, u0: Tensor, iterate: Iterate):
        V, W, t = iterate.V, iterate.W, iterate.t
        tiny = torch.finfo(t.dtype).tiny ** 0.5
        det_u = _determinant(u0, V).clamp_min(tiny)
        det_w = _determinant(t, W).clamp_min(tiny)
        root_u, root_w = det_u.rsqrt(), det_w.rsqrt()
        u_bar0, u_bar1 = u0 * root_u, V * root_u.unsqueeze(-1)
        w_bar0, w_bar1 = t * root_w, -W * root_w.unsqueeze(-1)
        pairing = u0 * t - (V * W).sum(-1)
        cosine = ((1 + (pairing * root_u * root_w).clamp_min(1)) / 2).sqrt()
        self.q1 = (u_bar1 - w_bar1) / (2 * cosine).unsqueeze(-1)
        self.q0 = (1 + self.q1.square().sum(-1)).sqrt()
        self.eta = (det_u / det_w).pow(0.25)
        # the common scaled point, in a form without cancellation
        self.determinant = (det_u * det_w).sqrt()
        size = self.determinant.sqrt()
        mixed = (cosine + w_bar0).unsqueeze(-1) * u_bar1 + (cosine + u_bar0).unsqueeze(-1) * w_bar1
        self.common0 = size * cosine
        self.common1 = (size / (u_bar0 + w_bar0 + 2 * cosine)).unsqueeze(-1) * mixed

    def apply(self, x0: Tensor, x1: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Scaled vector: that of w, or with `inverse` that of u, is the common lambda."""
        q1 = -self.q1 if inverse else self.q1
        factor = 1 / self.eta if inverse else self.eta
        inner = (q1 * x1).sum(-1)
        head = self.q0 * x0 + inner
        tail = x1 + (x0 + inner / (1 + self.q0)).unsqueeze(-1) * q1
        return factor * head, factor.unsqueeze(-1) * tail


def conic_interior_point(
    problem: Problem, start: Tensor, tol: float, max_iter: int
) -> tuple[State, Tensor]:
    """Solve from a dual point (b, n, k) in the interior.

    Returns
    -------
    state : State
        Its `gap` is that of `best` with the coefficients returned.
    coef : Tensor of shape (b, m, k)
        Coefficients, zero for features that the threshold leaves out.
    """
    iterate = _central(problem, start)
    b = start.shape[0]
    infinite = torch.full((b,), torch.inf, dtype=start.dtype, device=start.device)
    n_iter = torch.zeros(b, dtype=torch.int64, device=start.device)
    state = State(start, iterate.slack, start, start > 0, infinite, n_iter)
    coef = torch.zeros_like(iterate.W)
    on_cpu = start.device.type == "cpu"
    for iteration in range(max_iter + 1):
        W, gap = _certified(problem, iterate)
        better = (gap < state.gap)[:, None, None]
        coef = torch.where(better, W, coef)
        state.record(iterate.dual, gap, iterate.dual > iterate.slack)
        running = (state.gap > tol) & (state.n_iter < max_iter)
        if (on_cpu or iteration % BLOCK_OF_ITERATIONS == 0) and not any_true(running):
            break
        move, length = _step(problem, iterate)
        length = torch.where(running[:, None, None] & torch.isfinite(length), length, 0)
        iterate = iterate.plus(length, move)
        state.n_iter = state.n_iter + running
    state.dual, state.slack = iterate.dual, iterate.slack
    return state, coef


def _central(problem: Problem, dual: Tensor) -> Iterate:
    """Point near the central path at the barrier strength that the gap suggests."""
    point = problem.evaluate(dual)
    degree = dual[0].numel() + point.norm.shape[1]
    mu = (gap_of_rows(point.grad, dual) / degree).clamp_min(1e-12)[:, None, None]
    excess = point.norm - problem.tau
    t = (excess + (excess.square() + 2 * mu[..., 0]).sqrt()) / 2
    W = point.V * (t / (problem.tau + t)).unsqueeze(-1)
    return Iterate(dual, central_slack(point, dual, mu), point.V, W, t)


def _certified(problem: Problem, iterate: Iterate) -> tuple[Tensor, Tensor]:
    """Coefficients without the features under their threshold, and the gap of the pair."""
    norm_V = lengths(iterate.V)
    excess = (norm_V - problem.tau).clamp_min(0)
    W = torch.where((excess > 0).unsqueeze(-1), iterate.W, 0)
    scores = problem.F @ W
    margin = problem.c * (1 - problem.Y)
    loss = (margin + scores - (problem.Y * scores).sum(-1, keepdim=True)).amax(-1).sum(-1)
    norm = lengths(W)
    primal = loss + (norm * (problem.tau + norm / 2)).sum(-1)
    value = (margin * iterate.dual).sum((-1, -2)) - excess.square().sum(-1) / 2
    return W, relative((primal - value).clamp_min(0), primal, problem.c)


def _step(problem: Problem, iterate: Iterate) -> tuple[Iterate, Tensor]:
    """Mehrotra's move and its length."""
    u0 = problem.tau + iterate.t
    degree = iterate.dual[0].numel() + u0.shape[1]
    pairing = u0 * iterate.t - (iterate.V * iterate.W).sum(-1)
    mu = (iterate.dual * iterate.slack).sum((-1, -2)) + pairing.sum(-1)
    mu = mu[:, None, None] / degree
    scaling = Scaling(u0, iterate)
    newton = _newton(problem, iterate, scaling)

    move = newton(torch.zeros_like(mu), torch.zeros_like(u0), torch.zeros_like(iterate.W))
    affine = _length(u0, iterate, move, 1.0)
    target = (1 - affine).pow(3).clamp(1e-6, 1.0) * mu
    # of second order in the step that will be taken, which a short one must not be spoilt by
    second = affine.square()
    x0, x1 = scaling.apply(move.t, move.V, inverse=True)
    z0, z1 = scaling.apply(move.t, -move.W)
    right0 = target[..., 0] - second[..., 0] * (x0 * z0 + (x1 * z1).sum(-1))
    right1 = -second * (x0.unsqueeze(-1) * z1 + z0.unsqueeze(-1) * x1)
    # divide by the common scaled point in the cone's algebra, then undo the scaling
    common0, common1 = scaling.common0, scaling.common1
    y0 = (common0 * right0 - (common1 * right1).sum(-1)) / scaling.determinant
    y1 = (right1 - y0.unsqueeze(-1) * common1) / common0.unsqueeze(-1)
    move = newton(target - second * move.dual * move.slack, *scaling.apply(y0, y1, inverse=True))
    return move, _length(u0, iterate, move, _TO_BOUNDARY)


def _newton(
    problem: Problem, iterate: Iterate, scaling: Scaling
) -> Callable[[Tensor, Tensor, Tensor], Iterate]:
    """Newton's move as a function of the targets of Lambda's and of the cones' pairings."""
    q0, q1 = scaling.q0, scaling.q1
    weight = scaling.eta.pow(-2)  # the cones' Hessian is weight (2 Jq (Jq)^T - J)
    pivot = 1 + weight * (2 * q0.square() - 1)
    cross = (-2 * weight * q0).unsqueeze(-1) * q1
    bend = (2 * weight * (1 - weight) / pivot).clamp_min(0).sqrt()
    dual, slack = iterate.dual, iterate.slack
    curvature = slack / dual
    basis = PivotBasis(dual)
    hessian = weighted_hessian(problem.F, q1 * bend.unsqueeze(-1), weight, basis, None)
    solve = PivotSolver(basis, add_barrier(hessian, basis, curvature))
    labels = problem.c * problem.Y

    def move(target: Tensor, cone0: Tensor, cone1: Tensor) -> Iterate:
        centre = target / dual
        t_goal, W_goal = cone0 - iterate.t, cone1 + iterate.W
        shift = cross * (t_goal / pivot).unsqueeze(-1) - W_goal
        gradient = labels - problem.F @ (iterate.W + shift) - centre
        dual_move = solve(gradient)
        for _ in range(_REFINEMENTS):
            image = problem.image(dual_move)
            bent = bend.square().unsqueeze(-1) * (q1 * image).sum(-1, keepdim=True) * q1
            answer = problem.F @ (weight.unsqueeze(-1) * image + bent) + curvature * dual_move
            dual_move = dual_move + solve(gradient + answer)
        V_move = -problem.image(dual_move)
        t_move = (t_goal - (cross * V_move).sum(-1)) / pivot
        radial = 2 * (q1 * V_move).sum(-1, keepdim=True) * q1
        W_move = weight.unsqueeze(-1) * (V_move + radial) + cross * t_move.unsqueeze(-1) - W_goal
        return Iterate(dual_move, centre - slack - curvature * dual_move, V_move, W_move, t_move)

    return move


def _length(u0: Tensor, iterate: Iterate, move: Iterate, share: float) -> Tensor:
    """Common step length (b, 1, 1) that stays in all cones."""
    cones = torch.minimum(
        _to_cone_boundary(u0, iterate.V, move.t, move.V),
        _to_cone_boundary(iterate.t, iterate.W, move.t, move.W),
    )
    entries = torch.minimum(
        longest(iterate.dual, move.dual, share), longest(iterate.slack, move.slack, share)
    )
    return torch.minimum(share * cones, entries)


def _to_cone_boundary(x0: Tensor, x1: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """Shortest step (b, 1, 1) at which a cone's point (b, m) and (b, m, k) reaches the boundary."""
    square = d0.square() - d1.square().sum(-1)
    linear = x0 * d0 - (x1 * d1).sum(-1)
    constant = _determinant(x0, x1)
    discriminant = linear.square() - square * constant
    divisor = discriminant.clamp_min(0).sqrt() - linear
    hits = (discriminant >= 0) & (divisor > 0)
    room = torch.where(hits, constant / torch.where(hits, divisor, 1), torch.inf)
    return room.amin(-1)[:, None, None]


def _determinant(x0: Tensor, x1: Tensor) -> Tensor:
    norm = lengths(x1)
    return (x0 - norm) * (x0 + norm)
