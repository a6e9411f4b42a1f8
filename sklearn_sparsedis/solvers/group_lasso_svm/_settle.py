"""Which entries of Lambda are nonzero, decided by the optimality conditions themselves.

A closed duality gap bounds products of entries and slacks, so that it leaves open which of the two
is zero where both are small: entries have no unit and slacks that of the features times the
coefficients. Here entries leave the face where Newton's step on it would make them negative, and
enter where their slack is negative beyond what is left on the face, until neither happens.
"""

from dataclasses import dataclass
from functools import partial

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    at_least,
    integers,
    is_finite,
    largest,
    lengths,
    limits,
    maximum,
    minimum,
    on_host,
    put,
    scattered,
    where,
)
from sklearn_sparsedis.solvers.group_lasso_svm._face import ZERO, centred, face_solver, linearised
from sklearn_sparsedis.solvers.group_lasso_svm._interior import gap_of_rows, longest
from sklearn_sparsedis.solvers.group_lasso_svm._problem import (
    TOUCHING,
    Point,
    Problem,
    gap_at_zero,
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
    dual : Array of shape (b, n, k)
        Lambda.
    free : Array of bool, shape (b, n, k)
        Entries that are nonzero.
    coef : Array of shape (b, m, k)
        Coefficients.
    """

    dual: Array
    free: Array
    coef: Array

    def select(self, index: Array) -> "Face":
        """Return those at `index` of the batch."""
        return Face(*(x[index] for x in vars(self).values()))

    def put(self, index: Array, mask: Array, part: "Face") -> "Face":
        """Return a batch with those of `part` in a mask (p,) in place of the ones at `index`."""
        new = (
            put(value, index, where(mask[:, None, None], of_part, value[index]))
            for value, of_part in zip(vars(self).values(), vars(part).values(), strict=True)
        )
        return Face(*new)

    def point(self, problem: Problem) -> Point:
        """Recover V, its norms and their shrinkage from the coefficients of a solution."""
        size = lengths(self.coef)
        norm = where(size > 0, size + problem.tau, 0)
        shrink = where(size > 0, size / where(size > 0, norm, 1), 0)
        factor = where(size > 0, 1 / where(size > 0, shrink, 1), 0)
        V = factor[..., None] * self.coef
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
    on_cpu = on_host(face.dual)
    index = integers(face.dual, len(face.dual))
    result, rest, part = face, problem, face
    systems: list[tuple[Array, Solver]] = []
    for _ in range(_STEPS if on_cpu else _DEVICE_STEPS):
        part, settled, solve = _step(rest, part)
        result = result.put(index, settled, part)
        if on_cpu:
            systems.append((index, solve))
            if bool(settled.all()):
                return result, partial(_answer, systems)
            keep = ~settled
            index, rest, part = index[keep], rest.select(keep), part.select(keep)
    rest, part = problem.select(index), result.select(index)
    free = _with_pivots(part.free, part.dual)
    systems.append((index, face_solver(rest, part.point(rest), part.dual, free)))
    return result, partial(_answer, systems)


def _answer(systems: list[tuple[Array, Solver]], gradient: Array) -> Array:
    """Moves of Lambda (b, n, k), each problem's by the last of the systems that hold it."""
    move = 0 * gradient
    for index, solve in systems:
        move = put(move, index, solve(gradient[index]))
    return move


def _step(problem: Problem, face: Face) -> tuple[Face, Array, Solver]:
    """One Newton step; which problems are settled (b,), and the system that it solved."""
    free = _with_pivots(face.free, face.dual)
    dual = where(free, face.dual, 0)
    dual = dual / dual.sum(-1, keepdims=True)
    point = _evaluate(problem, dual)
    magnitude = abs(problem.F)
    V_noise = _ROUNDINGS * limits(dual).eps * magnitude.sum(1)
    noise = _noise(problem, magnitude, point, V_noise)
    solve = face_solver(problem, point, dual, free)
    residual = centred(point.grad, free)
    residual = where(free & (abs(residual) > noise), residual, 0)
    move = solve(residual)
    move = where(free & is_finite(move), move, 0)
    V_move = -problem.image(move)

    room = longest(dual, move, 1.0)
    allowed = abs((residual * move).sum((-1, -2), keepdims=True)) / 2
    allowed = allowed + (noise * abs(move)).sum((-1, -2), keepdims=True)
    length = room
    for _ in range(_HALVINGS if on_host(dual) else _DEVICE_HALVINGS):
        ahead = _evaluate(problem, dual + length * move, point.V + length * V_move)
        slack = centred(ahead.grad, free)
        too_long = (slack * move).sum((-1, -2), keepdims=True) > allowed
        if on_host(dual) and not any_true(too_long):
            break
        length = where(too_long, length / 2, length)
    new = at_least(dual + length * move, 0)

    full = length == 1
    leaves = (room < 1) & (length == room) & (move < 0) & (new <= ZERO)
    left = largest(where(free, abs(slack), 0), (-1, -2), keepdims=True)
    enters = full & ~free & (slack < -maximum(left, noise))
    used = point.shrink > 0
    near = lengths(V_move) <= _CLOSE * point.norm * point.shrink + V_noise
    stays = (used == (ahead.shrink > 0)) & (near | ~used)
    settled = full[:, 0, 0] & stays.all(-1) & ~enters.any((-1, -2))
    zero = _zero(problem, ahead, new)
    coef = where(zero[:, None, None], 0, linearised(problem, point, V_move))
    return Face(new, (free & ~leaves) | enters, coef), settled | zero, solve


def _zero(problem: Problem, point: Point, dual: Array) -> Array:
    """Where W = 0 is optimal to rounding, and no worse than the W of a point, (b,).

    Rounding of V beyond a threshold must not bring features into use there.
    """
    gap = gap_at_zero(problem, dual, point.norm)
    rounding = limits(gap).eps * problem.c.sum((-1, -2))
    return gap <= minimum(gap_of_rows(point.grad, dual), rounding)


def _with_pivots(free: Array, dual: Array) -> Array:
    """Free entries, the largest of each row of Lambda among them."""
    return scattered(free, dual.argmax(-1)[..., None], True)


def _evaluate(problem: Problem, dual: Array, V: Array | None = None) -> Point:
    """Evaluate with features that touch their threshold out of use."""
    point = problem.evaluate(dual, V)
    point.shrink = where(point.norm > TOUCHING * problem.tau, point.shrink, 0)
    return point


def _noise(problem: Problem, magnitude: Array, point: Point, V_noise: Array) -> Array:
    """Rounding (b, n, 1) of the gradient at a point, that of V and of the scores in it."""
    eps = limits(V_noise).eps
    W = point.norm * point.shrink
    rounding = where(W > 0, V_noise + _ROUNDINGS * eps * W, 0)
    return magnitude @ rounding[..., None] + _ROUNDINGS * eps * problem.c
