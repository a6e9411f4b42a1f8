"""The group-Lasso SVM's dual, scaled to lambda_2 = 1 and unit sample weights.

::

    min over rows of Lambda in the simplex of
    1/2 sum_j (||V_j|| - tau_j)_+^2 + sum_i c_i Lambda_{i y_i},   V = F^T (Y - Lambda)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.functional._block_threshold import shrinkage
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


@dataclass
class Point:
    """What is known at a dual point of a batch of problems.

    Attributes
    ----------
    V : Tensor
        Linear image of ``Y - Lambda`` that the objective is made of: (b, m, k), or (b, n, k) where
        only the Gram matrix matters.
    norm, shrink : Tensor of shape (b, m)
        Norms of V's blocks and ``(1 - tau / norm)_+``; empty for a Gram matrix.
    grad : Tensor of shape (b, n, k)
        Gradient of the dual objective in Lambda.
    gap : Tensor of shape (b,)
        Relative duality gap, from a sum of nonnegative terms without cancellation.
    """

    V: Tensor
    norm: Tensor
    shrink: Tensor
    grad: Tensor
    gap: Tensor


@dataclass
class Problem:
    """A batch of problems scaled to lambda_2 = 1 and unit sample weights.

    Attributes
    ----------
    F : Tensor of shape (b, n, m)
        Scaled features.
    Y : Tensor of shape (b, n, k)
        One-hot labels.
    c : Tensor of shape (b, n, 1)
        Weight of each sample in the linear term.
    tau : Tensor of shape (b, m)
        Threshold of each feature.
    """

    F: Tensor
    Y: Tensor
    c: Tensor
    tau: Tensor

    def select(self, index: Tensor) -> "Problem":
        """Return the problems at `index` of the batch."""
        return Problem(*(x[index] for x in vars(self).values()))

    def block_norms(self, move: Tensor) -> tuple[Tensor, Tensor]:
        """Norms of the blocks of the image of `move` (b, n, k), and their thresholds, (b, m)."""
        return lengths(self.image(move)), self.tau

    def image(self, move: Tensor) -> Tensor:
        """V's move when ``Y - Lambda`` moves by `move` (b, n, k)."""
        # laid out class by class, which products with F and sums over classes are fastest in
        return (move.mT @ self.F).mT

    def evaluate(self, dual: Tensor, V: Tensor | None = None) -> Point:
        """Gradient and gap at a dual point (b, n, k); V saves its computation."""
        V = self.image(self.Y - dual) if V is None else V
        norm = lengths(V)
        shrink = shrinkage(norm, self.tau)
        scores = self.F @ (V * shrink.unsqueeze(-1))
        norm_W = norm * shrink
        regulariser = (norm_W * (self.tau + norm_W / 2)).sum(-1)
        return _point(self, dual, (V, norm, shrink), scores, regulariser)

    def hessian(
        self,
        point: Point,
        basis: PivotBasis,
        index: Tensor | None = None,
        *,
        coarse: bool = False,
    ) -> Tensor:
        r"""Generalised Hessian of the dual objective in (some) coordinates of a basis.

        .. math:: \sum_j (F_j \otimes I) [a_j I + \tfrac{\tau_j}{\|V_j\|^3} V_j V_j^T]
            (F_j \otimes I)^T \text{ over } \|V_j\| > \tau_j, \quad a_j = 1 - \tau_j / \|V_j\|

        A `coarse` one is summed in single precision.
        """
        F, V, shrink, norm, tau = self._used(point)
        used = shrink > 0
        norm = torch.where(used, norm, 1)
        bend = torch.where(used, tau.sqrt() / norm**1.5, 0)
        dtype = torch.float32 if coarse else F.dtype
        F_part, bent, weight = (x.to(dtype) for x in (F, V * bend.unsqueeze(-1), shrink))
        return weighted_hessian(F_part, bent, weight, basis, index).to(F.dtype)

    def barrier_solver(
        self, point: Point, dual: Tensor, curvature: Tensor, *, coarse: bool
    ) -> Solver:
        """Newton system with the barrier's `curvature` (b, n, k) on its diagonal."""
        basis = PivotBasis(dual)
        hessian = self.hessian(point, basis, coarse=coarse)
        return PivotSolver(basis, add_barrier(hessian, basis, curvature))

    def slope(self, point: Point, V_move: Tensor) -> Callable[[Tensor], Tensor]:
        """Derivative of the nonlinear part along a line, as a function of the length (b, 1, 1).

        Each ``||V_j||^2`` is a parabola along a line, so that a call costs O(m).
        """
        constant = point.norm.square()
        linear = (point.V * V_move).sum(-1)
        square = V_move.square().sum(-1)

        def derivative(length: Tensor) -> Tensor:
            t = length[..., 0]
            norm = (constant + t * (2 * linear + t * square)).clamp_min(0).sqrt()
            steep = shrinkage(norm, self.tau) * (linear + t * square)
            return steep.sum(-1)[:, None, None]

        return derivative

    def _used(self, point: Point) -> tuple[Tensor, ...]:
        """Features, V, shrink, norm and threshold, on a CPU without most unused features."""
        b, n, m = self.F.shape
        arrays = point.shrink, point.norm, self.tau
        if self.F.device.type != "cpu":  # the count would have to come back to the host
            return self.F, point.V, *arrays
        p = max(1, int((point.shrink > 0).sum(-1).max()))
        if p > 0.9 * m:
            return self.F, point.V, *arrays
        index = point.shrink.topk(p, dim=-1, sorted=False).indices
        F = self.F.gather(2, index.unsqueeze(1).expand(b, n, p))
        V = point.V.mT.gather(2, index.unsqueeze(1).expand(b, point.V.shape[-1], p)).mT
        return F, V, *(x.gather(1, index) for x in arrays)


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

    def image(self, move: Tensor) -> Tensor:
        """V's move when ``Y - Lambda`` moves by `move` (b, n, k)."""
        return self.gram @ move

    def block_norms(self, move: Tensor) -> tuple[Tensor, Tensor]:
        """Norm of the image of `move` (b, n, k) as one block, and no threshold, (b, 1)."""
        norm = (move * self.image(move)).sum((-1, -2)).clamp_min(0).sqrt().unsqueeze(-1)
        return norm, torch.zeros_like(norm)

    def evaluate(self, dual: Tensor, V: Tensor | None = None) -> Point:
        """Gradient and gap at a dual point (b, n, k); V saves its computation."""
        difference = self.Y - dual
        V = self.image(difference) if V is None else V
        regulariser = (difference * V).sum((-1, -2)) / 2
        empty = V.new_empty(V.shape[0], 0)
        return _point(self, dual, (V, empty, empty), V, regulariser)

    def hessian(self, point: Point, basis: PivotBasis, index: Tensor | None = None) -> Tensor:
        """Hessian of the dual objective in (some) coordinates of a basis."""
        return gram_hessian(self.gram, basis, index)

    def barrier_solver(
        self, point: Point, dual: Tensor, curvature: Tensor, *, coarse: bool
    ) -> Solver:
        """Newton system with the barrier's `curvature` (b, n, k) on its diagonal."""
        return ClassSolver(self.gram, dual, curvature)

    def slope(self, point: Point, V_move: Tensor) -> None:
        """No kinks, nothing to guard against."""
        return


def _point(
    problem: Problem | GramProblem,
    dual: Tensor,
    image: tuple[Tensor, Tensor, Tensor],
    scores: Tensor,
    regulariser: Tensor,
) -> Point:
    weighted = problem.c * problem.Y
    grad = weighted - scores
    rival = -grad.amin(-1, keepdim=True)
    # Fenchel and Young: each row's worst rival against its average one
    gap = ((rival + grad) * dual).sum((-1, -2))
    loss = (rival + (problem.Y * grad).sum(-1, keepdim=True)).sum((-1, -2))
    return Point(*image, grad, relative(gap, loss + regulariser, problem.c))


def lengths(blocks: Tensor) -> Tensor:
    """Norms over the last dimension, fast where that is not the contiguous one."""
    return blocks.square().sum(-1).sqrt()


def relative(gap: Tensor, primal: Tensor, c: Tensor) -> Tensor:
    """Gap (b,) over the primal objective, floored at a thousandth of its value at zero."""
    floor = c.sum((-1, -2)) / 1000
    return gap / torch.maximum(primal, floor).clamp_min(torch.finfo(primal.dtype).tiny)


def certify(problem: Problem, coef: Tensor, dual: Tensor, norm_V: Tensor) -> tuple[Tensor, Tensor]:
    """Primal objective and relative gap, both (b,), of any pair of primal and dual points.

    `norm_V` (b, m) holds the norms of the blocks of V at the dual point.
    """
    scores = problem.F @ coef
    margin = problem.c * (1 - problem.Y)
    loss = (margin + scores - (problem.Y * scores).sum(-1, keepdim=True)).amax(-1).sum(-1)
    norm = lengths(coef)
    primal = loss + (norm * (problem.tau + norm / 2)).sum(-1)
    value = (margin * dual).sum((-1, -2))
    value = value - (norm_V - problem.tau).clamp_min(0).square().sum(-1) / 2
    return primal, relative((primal - value).clamp_min(0), primal, problem.c)


def gap_at_zero(problem: Problem, dual: Tensor, norm_V: Tensor) -> Tensor:
    """Duality gap (b,) of W = 0, not divided by the objective, without cancellation."""
    excess = (norm_V - problem.tau).clamp_min(0)
    return (problem.c * problem.Y * dual).sum((-1, -2)) + excess.square().sum(-1) / 2
