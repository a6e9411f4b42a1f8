"""Which entries of Lambda are nonzero, decided by the optimality conditions themselves.

A closed duality gap bounds products of entries and slacks, so that it leaves open which of the two
is zero where both are small: entries have no unit and slacks that of the features times the
coefficients. Here entries leave the face where Newton's step on it would make them negative, and
enter where their slack is negative beyond what is left on the face, until neither happens.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._face import ZERO, face_solver, linearised
from sklearn_sparsedis.solvers.group_lasso_svm._interior import gap_of_rows, longest
from sklearn_sparsedis.solvers.group_lasso_svm._problem import (
    TOUCHING,
    Point,
    Problem,
    gap_at_zero,
    lengths,
)
from sklearn_sparsedis.solvers.group_lasso_svm._system import Solver

# Steps that a problem may take, on an accelerator without asking whether it needs them
_STEPS, _DEVICE_STEPS = 50, 3
_HALVINGS, _DEVICE_HALVINGS = 20, 3
# The curvature at a point serves the solution where V is as close as this share of each W
_CLOSE = 1e-6
# Roundings that a sum of products may hold
_ROUNDINGS = 8


@dataclass
class Face:
    """A batch of solutions and the faces they lie on.

    Attributes
    ----------
    dual : Tensor of shape (b, n, k)
        Lambda.
    free : Tensor of bool, shape (b, n, k)
        Entries that are nonzero.
    coef : Tensor of shape (b, m, k)
        Coefficients.
    """

    dual: Tensor
    free: Tensor
    coef: Tensor

    def select(self, index: Tensor) -> "Face":
        """Return those at `index` of the batch."""
        return Face(*(x[index] for x in vars(self).values()))

    def put(self, index: Tensor, mask: Tensor, part: "Face") -> "Face":
        """Return a batch with those of `part` in a mask (p,) in place of the ones at `index`."""
        new = (
            value.index_copy(0, index, torch.where(mask[:, None, None], of_part, value[index]))
            for value, of_part in zip(vars(self).values(), vars(part).values(), strict=True)
        )
        return Face(*new)

    def point(self, problem: Problem) -> Point:
        """Recover V, its norms and their shrinkage from the coefficients of a solution."""
        size = lengths(self.coef)
        norm = torch.where(size > 0, size + problem.tau, 0)
        shrink = torch.where(size > 0, size / torch.where(size > 0, norm, 1), 0)
        factor = torch.where(size > 0, 1 / torch.where(size > 0, shrink, 1), 0)
        V = factor.unsqueeze(-1) * self.coef
        return Point(V, norm, shrink, grad=V, gap=norm)


def settle(problem: Problem, face: Face) -> tuple[Face, Solver]:
    """Solutions on the faces that the optimality conditions select.

    Parameters
    ----------
    problem : Problem
        The problems.
    face : Face
        Their solutions to a tolerance, and a guess of the faces.

    Returns
    -------
    face : Face
        Exact solutions; those given, where rounding leaves the face undecided.
    solve : Solver
        Newton system at them, on their faces.

    Notes
    -----
    Where the guess is right this costs three products with F and no system but the one returned.
    """
    on_cpu = face.dual.device.type == "cpu"
    index = torch.arange(len(face.dual), device=face.dual.device)
    result, rest, part = face, problem, face
    systems: list[tuple[Tensor, Solver]] = []
    for _ in range(_STEPS if on_cpu else _DEVICE_STEPS):
        part, settled, solve = _step(rest, part)
        result = result.put(index, settled, part)
        if on_cpu:
            systems.append((index, solve))
            if bool(settled.all()):
                return result, partial(_answer, systems)
            keep = (~settled).nonzero()[:, 0]
            index, rest, part = index[keep], rest.select(keep), part.select(keep)
    rest, part = problem.select(index), result.select(index)
    free = _with_pivots(part.free, part.dual)
    systems.append((index, face_solver(rest, part.point(rest), part.dual, free)))
    return result, partial(_answer, systems)


def _answer(systems: list[tuple[Tensor, Solver]], gradient: Tensor) -> Tensor:
    """Moves of Lambda (b, n, k), each problem's by the last of the systems that hold it."""
    move = torch.zeros_like(gradient)
    for index, solve in systems:
        move = move.index_copy(0, index, solve(gradient[index]))
    return move


def _step(problem: Problem, face: Face) -> tuple[Face, Tensor, Solver]:
    """One Newton step; which problems are settled (b,), and the system that it solved."""
    free = _with_pivots(face.free, face.dual)
    dual = torch.where(free, face.dual, 0)
    dual = dual / dual.sum(-1, keepdim=True)
    point = _evaluate(problem, dual)
    magnitude = problem.F.abs()
    V_noise = _ROUNDINGS * torch.finfo(dual.dtype).eps * magnitude.sum(1)
    noise = _noise(problem, magnitude, point, V_noise)
    solve = face_solver(problem, point, dual, free)
    residual = _centred(point.grad, free)
    residual = torch.where(free & (residual.abs() > noise), residual, 0)
    move = solve(residual)
    move = torch.where(free & torch.isfinite(move), move, 0)
    V_move = -problem.image(move)

    room = longest(dual, move, 1.0)
    allowed = (residual * move).sum((-1, -2), keepdim=True).abs() / 2
    allowed = allowed + (noise * move.abs()).sum((-1, -2), keepdim=True)
    length = room
    for _ in range(_HALVINGS if dual.device.type == "cpu" else _DEVICE_HALVINGS):
        ahead = _evaluate(problem, dual + length * move, point.V + length * V_move)
        slack = _centred(ahead.grad, free)
        too_long = (slack * move).sum((-1, -2), keepdim=True) > allowed
        if dual.device.type == "cpu" and not any_true(too_long):
            break
        length = torch.where(too_long, length / 2, length)
    new = (dual + length * move).clamp_min(0)

    full = length == 1
    leaves = (room < 1) & (length == room) & (move < 0) & (new <= ZERO)
    left = torch.where(free, slack.abs(), 0).amax((-1, -2), keepdim=True)
    enters = full & ~free & (slack < -torch.maximum(left, noise))
    used = point.shrink > 0
    near = lengths(V_move) <= _CLOSE * point.norm * point.shrink + V_noise
    stays = (used == (ahead.shrink > 0)) & (near | ~used)
    settled = full[:, 0, 0] & stays.all(-1) & ~enters.flatten(1).any(-1)
    zero = _zero(problem, ahead, new)
    coef = torch.where(zero[:, None, None], 0, linearised(problem, point, V_move))
    return Face(new, (free & ~leaves) | enters, coef), settled | zero, solve


def _zero(problem: Problem, point: Point, dual: Tensor) -> Tensor:
    """Where W = 0 is optimal to rounding, and no worse than the W of a point, (b,).

    Rounding of V beyond a threshold must not bring features into use there.
    """
    gap = gap_at_zero(problem, dual, point.norm)
    rounding = torch.finfo(gap.dtype).eps * problem.c.sum((-1, -2))
    return gap <= torch.minimum(gap_of_rows(point.grad, dual), rounding)


def _with_pivots(free: Tensor, dual: Tensor) -> Tensor:
    """Free entries, the largest of each row of Lambda among them."""
    return free.scatter(-1, dual.argmax(-1, keepdim=True), True)


def _evaluate(problem: Problem, dual: Tensor, V: Tensor | None = None) -> Point:
    """Evaluate with features that touch their threshold out of use."""
    point = problem.evaluate(dual, V)
    point.shrink = torch.where(point.norm > TOUCHING * problem.tau, point.shrink, 0)
    return point


def _centred(grad: Tensor, free: Tensor) -> Tensor:
    """Gradient (b, n, k) less its mean over the free entries of each row."""
    return grad - torch.where(free, grad, 0).sum(-1, keepdim=True) / free.sum(-1, keepdim=True)


def _noise(problem: Problem, magnitude: Tensor, point: Point, V_noise: Tensor) -> Tensor:
    """Rounding (b, n, 1) of the gradient at a point, that of V and of the scores in it."""
    eps = torch.finfo(V_noise.dtype).eps
    W = point.norm * point.shrink
    rounding = torch.where(W > 0, V_noise + _ROUNDINGS * eps * W, 0)
    return magnitude @ rounding.unsqueeze(-1) + _ROUNDINGS * eps * problem.c
