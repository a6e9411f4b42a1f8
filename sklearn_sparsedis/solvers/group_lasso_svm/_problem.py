"""The group-Lasso SVM's dual, scaled to lambda_2 = 1 and unit sample weights.

::

    min over rows of Lambda in the simplex of
    1/2 sum_j (||V_j|| - tau_j)_+^2 + sum_i c_i Lambda_{i y_i},   V = F^T (Y - Lambda)
"""

from collections.abc import Callable
from dataclasses import dataclass

from sklearn_sparsedis.solvers.group_lasso_svm._arrays import (
    Array,
    as_type,
    at_least,
    columns_at,
    full,
    gather,
    is_numpy,
    largest,
    leading,
    lengths,
    limits,
    maximum,
    on_host,
    shrinkage,
    single,
    smallest,
    sqrt,
    where,
)
from sklearn_sparsedis.solvers.group_lasso_svm._gradients import GradientSolver
from sklearn_sparsedis.solvers.group_lasso_svm._system import (
    ClassSolver,
    PivotBasis,
    PivotSolver,
    Solver,
    add_barrier,
    gram_hessian,
    weighted_hessian,
)

# A feature whose norm exceeds its threshold by no more than rounding touches it: it is not in use
TOUCHING = 1 + 2.0**-44


# Order of the barrier's systems above which they are solved by conjugate gradients
FACTORED_ORDER = 1000
# Elements of a problem's largest table up to which NumPy's cheaper calls decide
SMALL = 2**20
# Share of the features in use above which products with all are as fast; of a small problem
_WORTH_COPYING = {False: 0.9, True: 0.5}


@dataclass
class Point:
    """What is known at a dual point of a batch of problems.

    Attributes
    ----------
    V : Array
        Linear image of ``Y - Lambda`` that the objective is made of: (b, m, k), or (b, n, k) where
        only the Gram matrix matters.
    norm, shrink : Array of shape (b, m)
        Norms of V's blocks and ``(1 - tau / norm)_+``; empty for a Gram matrix.
    grad : Array of shape (b, n, k)
        Gradient of the dual objective in Lambda.
    gap : Array of shape (b,)
        Relative duality gap, from a sum of nonnegative terms without cancellation.
    """

    V: Array
    norm: Array
    shrink: Array
    grad: Array
    gap: Array


@dataclass
class Problem:
    """A batch of problems scaled to lambda_2 = 1 and unit sample weights.

    Attributes
    ----------
    F : Array of shape (b, n, m)
        Scaled features.
    Y : Array of shape (b, n, k)
        One-hot labels.
    c : Array of shape (b, n, 1)
        Weight of each sample in the linear term.
    tau : Array of shape (b, m)
        Threshold of each feature.
    """

    F: Array
    Y: Array
    c: Array
    tau: Array

    @property
    def order(self) -> int:
        """Order n (k-1) of the systems."""
        return self.F.shape[-2] * (self.Y.shape[-1] - 1)

    @property
    def small(self) -> bool:
        """Whether calls cost more than arithmetic."""
        order = self.order
        return order * max(order, self.F.shape[-1]) <= SMALL and self.F.device.type == "cpu"

    @property
    def large(self) -> bool:
        """Whether the barrier's systems are solved by conjugate gradients."""
        return self.order > FACTORED_ORDER

    def select(self, index: Array) -> "Problem":
        """Return the problems at `index` of the batch."""
        return Problem(*(x[index] for x in vars(self).values()))

    def block_norms(self, move: Array) -> tuple[Array, Array]:
        """Norms of the blocks of the image of `move` (b, n, k), and their thresholds, (b, m)."""
        return lengths(self.image(move)), self.tau

    def image(self, move: Array) -> Array:
        """V's move when ``Y - Lambda`` moves by `move` (b, n, k)."""
        # laid out class by class, which products with F and sums over classes are fastest in
        return (move.mT @ self.F).mT

    def evaluate(self, dual: Array, V: Array | None = None) -> Point:
        """Gradient and gap at a dual point (b, n, k); V saves its computation."""
        V = self.image(self.Y - dual) if V is None else V
        norm = lengths(V)
        shrink = shrinkage(norm, self.tau)
        scores = self.F @ (V * shrink[..., None])
        norm_W = norm * shrink
        regulariser = (norm_W * (self.tau + norm_W / 2)).sum(-1)
        return _point(self, dual, (V, norm, shrink), scores, regulariser)

    def hessian(
        self,
        point: Point,
        basis: PivotBasis,
        index: Array | None = None,
        *,
        coarse: bool = False,
    ) -> Array:
        r"""Generalised Hessian of the dual objective in (some) coordinates of a basis.

        .. math:: \sum_j (F_j \otimes I) [a_j I + \tfrac{\tau_j}{\|V_j\|^3} V_j V_j^T]
            (F_j \otimes I)^T \text{ over } \|V_j\| > \tau_j, \quad a_j = 1 - \tau_j / \|V_j\|

        A `coarse` one is summed in single precision.
        """
        parts = self._curvature(point)
        F_part, bent, weight = map(single, parts) if coarse else parts
        return as_type(weighted_hessian(F_part, bent, weight, basis, index), self.F)

    def barrier_solver(
        self, point: Point, dual: Array, curvature: Array, *, coarse: bool
    ) -> Solver:
        """Newton system with the barrier's `curvature` (b, n, k) on its diagonal."""
        if self.large:
            return GradientSolver(*self._curvature(point), dual, curvature)
        basis = PivotBasis(dual)
        hessian = self.hessian(point, basis, coarse=coarse)
        return PivotSolver(basis, add_barrier(hessian, basis, curvature))

    def slope(self, point: Point, V_move: Array) -> Callable[[Array], Array]:
        """Derivative of the nonlinear part along a line, as a function of the length (b, 1, 1).

        Each ``||V_j||^2`` is a parabola along a line, so that a call costs O(m).
        """
        constant = point.norm**2
        linear = (point.V * V_move).sum(-1)
        square = (V_move * V_move).sum(-1)

        def derivative(length: Array) -> Array:
            t = length[..., 0]
            norm = sqrt(at_least(constant + t * (2 * linear + t * square), 0))
            steep = shrinkage(norm, self.tau) * (linear + t * square)
            return steep.sum(-1)[:, None, None]

        return derivative

    def _curvature(self, point: Point) -> tuple[Array, Array, Array]:
        """Features in use, the direction of their extra curvature times its root, and the rest."""
        F, V, shrink, norm, tau = self._used(point)
        used = shrink > 0
        bend = where(used, sqrt(tau) / where(used, norm, 1) ** 1.5, 0)
        return F, V * bend[..., None], shrink

    def _used(self, point: Point) -> tuple[Array, ...]:
        """Features, V, shrink, norm and threshold, on a CPU without most unused features."""
        m = self.F.shape[-1]
        arrays = point.shrink, point.norm, self.tau
        if not on_host(self.F):  # the count would have to come back to the host
            return self.F, point.V, *arrays
        p = max(1, int((point.shrink > 0).sum(-1).max()))
        if p > _WORTH_COPYING[is_numpy(self.F)] * m:
            return self.F, point.V, *arrays
        index = leading(point.shrink, p)
        V = columns_at(point.V.mT, index).mT
        return columns_at(self.F, index), V, *(gather(x, index) for x in arrays)


class GramProblem:
    """The scaled problems without thresholds, which need the features' Gram matrix only.

    Parameters
    ----------
    problem : Problem
        Problems whose `tau` is zero.
    """

    def __init__(self, problem: Problem):
        self.F = problem.F
        self.Y = problem.Y
        self.c = problem.c
        self.gram = problem.F @ problem.F.mT

    def image(self, move: Array) -> Array:
        """V's move when ``Y - Lambda`` moves by `move` (b, n, k)."""
        return self.gram @ move

    def block_norms(self, move: Array) -> tuple[Array, Array]:
        """Norm of the image of `move` (b, n, k) as one block, and no threshold, (b, 1)."""
        norm = sqrt(at_least((move * self.image(move)).sum((-1, -2)), 0))[..., None]
        return norm, 0 * norm

    def evaluate(self, dual: Array, V: Array | None = None) -> Point:
        """Gradient and gap at a dual point (b, n, k); V saves its computation."""
        difference = self.Y - dual
        V = self.image(difference) if V is None else V
        regulariser = (difference * V).sum((-1, -2)) / 2
        empty = full(V, (len(V), 0), 0)
        return _point(self, dual, (V, empty, empty), V, regulariser)

    def hessian(
        self,
        point: Point,
        basis: PivotBasis,
        index: Array | None = None,
        *,
        coarse: bool = False,
    ) -> Array:
        """Hessian of the dual objective in (some) coordinates of a basis."""
        return gram_hessian(self.gram, basis, index)

    def barrier_solver(
        self, point: Point, dual: Array, curvature: Array, *, coarse: bool
    ) -> Solver:
        """Newton system with the barrier's `curvature` (b, n, k) on its diagonal."""
        return ClassSolver(self.gram, dual, curvature)

    def slope(self, point: Point, V_move: Array) -> None:
        """No kinks, nothing to guard against."""
        return


def _point(
    problem: Problem | GramProblem,
    dual: Array,
    image: tuple[Array, Array, Array],
    scores: Array,
    regulariser: Array,
) -> Point:
    weighted = problem.c * problem.Y
    grad = weighted - scores
    rival = -smallest(grad, -1, keepdims=True)
    # Fenchel and Young: each row's worst rival against its average one
    gap = ((rival + grad) * dual).sum((-1, -2))
    loss = (rival + (problem.Y * grad).sum(-1, keepdims=True)).sum((-1, -2))
    return Point(*image, grad, relative(gap, loss + regulariser, problem.c))


def relative(gap: Array, primal: Array, c: Array) -> Array:
    """Gap (b,) over the primal objective, floored at a thousandth of its value at zero."""
    floor = c.sum((-1, -2)) / 1000
    return gap / at_least(maximum(primal, floor), limits(primal).tiny)


def certify(
    problem: Problem, coef: Array, scores: Array, dual: Array, norm_V: Array
) -> tuple[Array, Array]:
    """Primal objective and relative gap, both (b,), of any pair of primal and dual points.

    `scores` (b, n, k) are those of the coefficients, and `norm_V` (b, m) holds the norms of the
    blocks of V at the dual point.
    """
    margin = problem.c * (1 - problem.Y)
    loss = margin + scores - (problem.Y * scores).sum(-1, keepdims=True)
    loss = largest(loss, -1).sum(-1)
    norm = lengths(coef)
    primal = loss + (norm * (problem.tau + norm / 2)).sum(-1)
    value = (margin * dual).sum((-1, -2))
    value = value - (at_least(norm_V - problem.tau, 0) ** 2).sum(-1) / 2
    return primal, relative(at_least(primal - value, 0), primal, problem.c)


def gap_at_zero(problem: Problem, dual: Array, norm_V: Array) -> Array:
    """Duality gap (b,) of W = 0, not divided by the objective, without cancellation."""
    excess = at_least(norm_V - problem.tau, 0)
    return (problem.c * problem.Y * dual).sum((-1, -2)) + (excess**2).sum(-1) / 2
