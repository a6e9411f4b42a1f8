"""Newton systems of the group-Lasso SVM dual, in a basis that stays well conditioned.

Everything here works on the problem scaled to lambda_2 = 1 and unit sample weights::

    min over rows of Lambda in the simplex of
    1/2 sum_j (||V_j|| - tau_j)_+^2 + sum_i c_i Lambda_{i y_i},   V = F^T (Y - Lambda)

A step moves each row of Lambda within the simplex's plane. Its coordinates are the classes other
than the row's largest entry, the pivot, which takes up the difference: the barrier of an entry on
its way to zero then sits alone on the diagonal, where its size does no harm to a Cholesky factor.
"""

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._group_lasso_svm_problem import Point, Problem


class PivotBasis:
    """Coordinates of each row's moves in the plane of the simplex.

    Parameters
    ----------
    dual : Tensor of shape (b, n, k)
        Dual point; the largest entry of each row is its pivot.
    """

    def __init__(self, dual: Tensor):
        k = dual.shape[-1]
        self.pivot = dual.argmax(-1, keepdim=True)
        others = torch.arange(k - 1, device=dual.device)
        self.others = others + (others >= self.pivot)
        eye = torch.eye(k, dtype=dual.dtype, device=dual.device)
        # rows e_l - e_pivot, (b, n, k-1, k)
        self.rows = eye[self.others] - eye[self.pivot]

    def reduce(self, gradient: Tensor) -> Tensor:
        """Gradient (b, n, k) in the coordinates, (b, n, k-1)."""
        return gradient.gather(-1, self.others) - gradient.gather(-1, self.pivot)

    def expand(self, coordinates: Tensor) -> Tensor:
        """Move (b, n, k) from its coordinates (b, n, k-1)."""
        move = torch.zeros_like(self.rows[:, :, 0])
        move.scatter_(-1, self.others, coordinates)
        return move.scatter_(-1, self.pivot, -coordinates.sum(-1, keepdim=True))


def reduced_hessian(problem: Problem, point: Point, basis: PivotBasis) -> Tensor:
    r"""Generalised Hessian of the dual objective in the coordinates of a basis.

    .. math:: \sum_j (F_j \otimes I) [a_j I + \tfrac{\tau_j}{\|V_j\|^3} V_j V_j^T] (F_j \otimes I)^T
        \quad \text{over } \|V_j\| > \tau_j, \qquad a_j = 1 - \tau_j / \|V_j\|

    Parameters
    ----------
    problem : Problem
        The problems.
    point : Point
        Where.
    basis : PivotBasis
        Coordinates.

    Returns
    -------
    Tensor of shape (b, n (k-1), n (k-1))
        The Hessian, in the dtype of the basis.
    """
    F, V, shrink, norm, tau = active_features(problem, point)
    b, n, p = F.shape
    size = n * basis.others.shape[-1]
    rows = basis.rows.reshape(b, size, -1)
    positive = shrink > 0
    safe = torch.where(positive, norm, 1)
    bend = torch.where(positive, (tau / safe).sqrt() / safe, 0)
    # X_{(i, l), j} = F_ij (V_jl - V_jpivot) sqrt(tau_j / ||V_j||^3)
    X = (rows.to(F.dtype) @ (V * bend.unsqueeze(-1)).mT).view(b, n, -1, p)
    X = X.mul_(F.unsqueeze(2)).view(b, size, p)
    hessian = (X @ X.mT).to(rows.dtype)
    gram = ((F * shrink.unsqueeze(1)) @ F.mT).to(rows.dtype)
    overlap = (rows @ rows.mT).view(b, n, -1, n, size // n)
    return hessian.addcmul_(
        overlap.view(b, size, size),
        gram[:, :, None, :, None].expand_as(overlap).reshape(b, size, size),
    )


def active_features(problem: Problem, point: Point) -> tuple[Tensor, ...]:
    """Features, V, shrink, norm and threshold, on a CPU without most of the unused features."""
    b, n, m = problem.F.shape
    tau = problem.tau.expand(b, m)
    arrays = point.V, point.shrink, point.norm
    if problem.F.device.type != "cpu":  # the count would have to come back to the host
        return problem.F, *arrays, tau
    active = point.shrink > 0
    p = max(1, int(active.sum(-1).max()))
    if p > 0.9 * m:
        return problem.F, *arrays, tau
    index = active.to(torch.int8).topk(p, dim=-1, sorted=False).indices
    if b == 1:
        return problem.F[:, :, index[0]], *(x[:, index[0]] for x in (*arrays, tau))
    F = problem.F.gather(2, index.unsqueeze(1).expand(b, n, p))
    V = point.V.gather(1, index.unsqueeze(-1).expand(b, p, point.V.shape[-1]))
    return F, V, *(x.gather(1, index) for x in (point.shrink, point.norm, tau))


class Factor:
    """Cholesky factor of a symmetric positive definite matrix, scaled to unit diagonal.

    Parameters
    ----------
    matrix : Tensor of shape (b, d, d)
        The matrix; singular ones are accepted: `ridge` keeps the factor finite.
    ridge : float
        Added to the unit diagonal.
    """

    def __init__(self, matrix: Tensor, ridge: float):
        diagonal = matrix.diagonal(dim1=-1, dim2=-2)
        tiny = torch.finfo(matrix.dtype).tiny
        self.scale = diagonal.clamp_min(tiny).rsqrt().unsqueeze(-1)
        scaled = matrix * self.scale
        scaled *= self.scale.mT
        scaled.diagonal(dim1=-1, dim2=-2).fill_(1 + ridge)
        self.lower = torch.linalg.cholesky_ex(scaled).L

    def solve(self, right: Tensor) -> Tensor:
        """Solution (b, d) for the right-hand side (b, d)."""
        return (self.scale * torch.cholesky_solve(self.scale * right.unsqueeze(-1), self.lower))[
            ..., 0
        ]


def add_barrier(hessian: Tensor, basis: PivotBasis, curvature: Tensor) -> Tensor:
    """Add, in place, the barrier's diagonal curvature (b, n, k) to a reduced Hessian."""
    b, n, q = basis.others.shape
    blocks = hessian.view(b, n, q, n, q).diagonal(dim1=1, dim2=3)  # (b, q, q, n)
    blocks += curvature.gather(-1, basis.pivot)[:, None, None, :, 0]
    diagonal = hessian.diagonal(dim1=-1, dim2=-2).view(b, n, q)
    diagonal += curvature.gather(-1, basis.others)
    return hessian
