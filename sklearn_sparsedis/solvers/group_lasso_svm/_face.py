"""Newton's method on the face of the group-Lasso SVM's dual where Lambda is nonzero."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._interior import State, longest
from sklearn_sparsedis.solvers.group_lasso_svm._problem import GramProblem, Point, Problem
from sklearn_sparsedis.solvers.group_lasso_svm._system import (
    Factor,
    PivotBasis,
    Solver,
    chosen_coordinates,
)

_RIDGE = 1e-12
# Steps end this far below the gap asked for, or where one more would only move rounding errors
_BEYOND = 1e-3
_EXACT = 1e-13
# Where a step ends at the boundary, rounding leaves this much of the blocking entry
ZERO = 1e-14


class FaceSolver:
    """Newton system restricted to the free entries of Lambda.

    Parameters
    ----------
    problem, point
        Where.
    basis : PivotBasis
        Coordinates; pivots are free.
    free : Tensor of bool, shape (b, n, k)
        Free entries.

    Notes
    -----
    Where the face leaves Lambda undetermined the matrix is singular, and a relative ridge of 1e-12
    picks the smallest move.
    """

    def __init__(
        self, problem: Problem | GramProblem, point: Point, basis: PivotBasis, free: Tensor
    ):
        self.basis = basis
        self.mask = free.gather(-1, basis.others).flatten(1)
        self.index = chosen_coordinates(self.mask)
        mask = self.mask if self.index is None else self.mask.gather(1, self.index)
        matrix = problem.hessian(point, basis, self.index)
        matrix = torch.where(mask.unsqueeze(1) & mask.unsqueeze(2), matrix, 0)
        diagonal = matrix.diagonal(dim1=-1, dim2=-2)
        diagonal.copy_(torch.where(mask & (diagonal > 0), diagonal, 1))
        self.factor = Factor(matrix, _RIDGE)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        right = torch.where(self.mask, -self.basis.reduce(gradient), 0)
        if self.index is None:
            return self.basis.expand(self.factor.solve(right))
        part = self.factor.solve(right.gather(1, self.index))
        return self.basis.expand(torch.zeros_like(right).scatter_(1, self.index, part))


def face_solver(problem: Problem, point: Point, dual: Tensor, free: Tensor) -> Solver:
    """Newton system on a face without the samples at a vertex, which do not move.

    Parameters
    ----------
    problem, point
        Where.
    dual, free : Tensor of shape (b, n, k)
        Dual point and its free entries, the largest of each row among them.
    """
    moving = (free.sum(-1) > 1).any(0)
    if free.device.type != "cpu" or bool(moving.all()):
        return FaceSolver(problem, point, PivotBasis(dual), free)
    inner = None
    if bool(moving.any()):
        F, Y, c, dual, free = (x[:, moving] for x in (problem.F, problem.Y, problem.c, dual, free))
        inner = FaceSolver(Problem(F, Y, c, problem.tau), point, PivotBasis(dual), free)

    def solve(gradient: Tensor) -> Tensor:
        move = torch.zeros_like(gradient)
        if inner is not None:
            move[:, moving] = inner(gradient[:, moving])
        return move

    return solve


def finish_on_face(problem: Problem | GramProblem, state: State, tol: float, n_steps: int) -> None:
    """Newton steps on the face of entries whose Lambda exceeds its slack, kept where they help.

    The exact zeros that this gives to Lambda are what the derivative of the solution rests on.
    """
    dual, free = state.best, state.free
    last = torch.full_like(state.gap, torch.inf)
    for _ in range(n_steps):
        basis = PivotBasis(dual)
        free = free.scatter(-1, basis.pivot, True)
        dual = torch.where(free, dual, 0)
        dual = dual / dual.sum(-1, keepdim=True)
        point = problem.evaluate(dual)
        state.record(dual, point.gap, free)
        falls = (point.gap < last) & (state.gap > max(_EXACT, _BEYOND * tol))
        last = point.gap
        if dual.device.type == "cpu" and not any_true(falls):
            return
        move = FaceSolver(problem, point, basis, free)(point.grad)
        move = torch.where(free & torch.isfinite(move), move, 0)
        dual = (dual + longest(dual, move, 1.0) * move).clamp_min(0)
        free = free & (dual > ZERO)
    dual = dual / dual.sum(-1, keepdim=True)
    state.record(dual, problem.evaluate(dual).gap, dual > 0)


def coefficients_on_face(problem: Problem, state: State) -> Tensor:
    """Coefficients (b, m, k) after one more Newton step, by their linearisation.

    Where the threshold is stiff, W changes by more than its tolerance when V is rounded: a step
    can be too small to be added to Lambda and still correct W.
    """
    dual = state.best
    point = problem.evaluate(dual)
    basis = PivotBasis(dual)
    free = state.free.scatter(-1, basis.pivot, True)
    V_move = -problem.image(FaceSolver(problem, point, basis, free)(point.grad))
    return linearised(problem, point, V_move)


def linearised(problem: Problem, point: Point, V_move: Tensor) -> Tensor:
    """Coefficients (b, m, k) of a point after a small move of V (b, m, k)."""
    used = point.shrink > 0
    norm = torch.where(used, point.norm, 1)
    radial = problem.tau * (point.V * V_move).sum(-1) / norm**3
    coef = point.shrink.unsqueeze(-1) * (point.V + V_move) + radial.unsqueeze(-1) * point.V
    return torch.where(used.unsqueeze(-1), coef, 0)
