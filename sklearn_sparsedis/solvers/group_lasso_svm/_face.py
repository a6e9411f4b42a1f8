"""Newton's method on the face of the group-Lasso SVM's dual where Lambda is nonzero."""

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    at_least,
    diagonal,
    gather,
    is_finite,
    largest,
    on_host,
    scattered,
    where,
)
from sklearn_sparsedis.solvers.group_lasso_svm._interior import State
from sklearn_sparsedis.solvers.group_lasso_svm._problem import GramProblem, Point, Problem
from sklearn_sparsedis.solvers.group_lasso_svm._system import (
    Factor,
    PivotBasis,
    Solver,
    chosen_coordinates,
)

# The latter for systems that are summed in single precision
_RIDGE, _COARSE_RIDGE = 1e-12, 1e-6
# Steps end this far below the gap asked for, or where one more would only move rounding errors
BEYOND = 1e-3
EXACT = 1e-13
# Faces of a higher dimension are left to the interior method, whose systems are not factored
_LARGEST_ORDER = 3000
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
    free : Array of bool, shape (b, n, k)
        Free entries.
    coarse : bool
        Whether the system is summed in single precision.

    Notes
    -----
    Where the face leaves Lambda undetermined the matrix is singular, and a relative ridge of 1e-12
    picks the smallest move.
    """

    def __init__(
        self,
        problem: Problem | GramProblem,
        point: Point,
        basis: PivotBasis,
        free: Array,
        *,
        coarse: bool = False,
    ):
        self.basis = basis
        self.mask = gather(free, basis.others).reshape(len(free), -1)
        self.index = chosen_coordinates(self.mask)
        mask = self.mask if self.index is None else gather(self.mask, self.index)
        matrix = problem.hessian(point, basis, self.index, coarse=coarse)
        matrix = where(mask[:, None] & mask[:, :, None], matrix, 0)
        entries = diagonal(matrix)
        entries[...] = where(mask & (entries > 0), entries, 1)
        self.factor = Factor(matrix, _COARSE_RIDGE if coarse else _RIDGE)

    def __call__(self, gradient: Array) -> Array:
        """Return the move of Lambda (b, n, k) that answers a gradient (b, n, k)."""
        right = where(self.mask, -self.basis.reduce(gradient), 0)
        if self.index is None:
            return self.basis.expand(self.factor.solve(right))
        part = self.factor.solve(gather(right, self.index))
        return self.basis.expand(scattered(0 * right, self.index, part))


def face_solver(problem: Problem, point: Point, dual: Array, free: Array) -> Solver:
    """Newton system on a face without the samples at a vertex, which do not move.

    Parameters
    ----------
    problem, point
        Where.
    dual, free : Array of shape (b, n, k)
        Dual point and its free entries, the largest of each row among them.
    """
    moving = (free.sum(-1) > 1).any(0)
    if not on_host(free) or bool(moving.all()):
        return FaceSolver(problem, point, PivotBasis(dual), free)
    inner = None
    if bool(moving.any()):
        F, Y, c, dual, free = (x[:, moving] for x in (problem.F, problem.Y, problem.c, dual, free))
        inner = FaceSolver(Problem(F, Y, c, problem.tau), point, PivotBasis(dual), free)

    def solve(gradient: Array) -> Array:
        move = 0 * gradient
        if inner is not None:
            move[:, moving] = inner(gradient[:, moving])
        return move

    return solve


def finish_on_face(
    problem: Problem | GramProblem,
    state: State,
    enough: float,
    n_steps: int,
    *,
    coarse: bool = False,
) -> None:
    """Newton steps on the face of entries whose Lambda exceeds its slack, until all gaps are low.

    After a step all entries that it made negative leave the face, and all whose slack it made
    negative enter. The exact zeros that this gives to Lambda are what the derivative of the
    solution rests on. `coarse` systems are summed in single precision: residuals are exact, so that
    a step or two more get as far.
    """
    dual, free = state.best, state.free
    n, k = dual.shape[1:]
    if n * (k - 1) > _LARGEST_ORDER and any_true(free.sum((-1, -2)) > _LARGEST_ORDER + n):
        return
    for _ in range(n_steps):
        basis = PivotBasis(dual)
        free = scattered(free, basis.pivot, True)
        dual = where(free, dual, 0)
        dual = dual / dual.sum(-1, keepdims=True)
        point = problem.evaluate(dual)
        state.record(dual, point.gap, free)
        if on_host(dual) and not any_true(state.gap > enough):
            return
        move = FaceSolver(problem, point, basis, free, coarse=coarse)(point.grad)
        move = where(free & is_finite(move), move, 0)
        slack = centred(problem.evaluate(dual + move).grad, free)
        left = largest(where(free, abs(slack), 0), (-1, -2), keepdims=True)
        free = (free & (dual + move > ZERO)) | (~free & (slack < -left))
        dual = at_least(dual + move, 0)
    dual = dual / dual.sum(-1, keepdims=True)
    state.record(dual, problem.evaluate(dual).gap, dual > 0)


def centred(grad: Array, free: Array) -> Array:
    """Gradient (b, n, k) less its mean over the free entries of each row."""
    return grad - where(free, grad, 0).sum(-1, keepdims=True) / free.sum(-1, keepdims=True)


def coefficients_on_face(problem: Problem, state: State) -> Array:
    """Coefficients (b, m, k) after one more Newton step, by their linearisation.

    Where the threshold is stiff, W changes by more than its tolerance when V is rounded: a step
    can be too small to be added to Lambda and still correct W.
    """
    dual = state.best
    point = problem.evaluate(dual)
    basis = PivotBasis(dual)
    free = scattered(state.free, basis.pivot, True)
    V_move = -problem.image(FaceSolver(problem, point, basis, free)(point.grad))
    return linearised(problem, point, V_move)


def linearised(problem: Problem, point: Point, V_move: Array) -> Array:
    """Coefficients (b, m, k) of a point after a small move of V (b, m, k)."""
    used = point.shrink > 0
    norm = where(used, point.norm, 1)
    radial = problem.tau * (point.V * V_move).sum(-1) / norm**3
    coef = point.shrink[..., None] * (point.V + V_move) + radial[..., None] * point.V
    return where(used[..., None], coef, 0)
