"""The group-Lasso SVM scaled to lambda_2 = 1 and unit sample weights, and its certificate."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sklearn_sparsedis.functional import any_true, shrinkage


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

    @cached_property
    def Ft(self) -> Tensor:
        """Features transposed and contiguous, (b, m, n)."""
        return self.F.mT.contiguous()

    def select(self, index: slice | Tensor) -> "Problem":
        """Return the problems at `index` of the batch, detached from autograd."""
        return Problem(*(x.detach()[index] for x in (self.F, self.Y, self.c, self.tau)))


@dataclass
class Point:
    """What is known at a dual point.

    Attributes
    ----------
    V : Tensor of shape (b, m, k)
        ``F^T (Y - Lambda)``, in the dtype of the features.
    norm : Tensor of shape (b, m)
        Norms of V's blocks.
    shrink : Tensor of shape (b, m)
        ``(1 - tau / norm)_+``.
    grad : Tensor of shape (b, n, k)
        Gradient of the dual objective in Lambda.
    gap : Tensor of shape (b,)
        Duality gap, a sum of nonnegative terms without cancellation.
    primal : Tensor of shape (b,)
        Primal objective.
    """

    V: Tensor
    norm: Tensor
    shrink: Tensor
    grad: Tensor
    gap: Tensor
    primal: Tensor


def evaluate(problem: Problem, dual: Tensor, V: Tensor | None = None) -> Point:
    """Gradient, gap and primal objective at a dual point (b, n, k)."""
    F = problem.F
    if V is None:
        V = problem.Ft @ (problem.Y - dual).to(F.dtype)
    norm = torch.linalg.vector_norm(V, dim=-1)
    shrink = shrinkage(norm, problem.tau)
    scores = (F @ (V * shrink.unsqueeze(-1))).to(dual.dtype)
    grad = problem.c * problem.Y - scores
    rival = -grad.amin(-1, keepdim=True)
    # the Fenchel-Young gap of each row: its worst rival against its average one
    gap = ((rival + grad) * dual).sum((-1, -2))
    loss = (rival + (problem.Y * grad).sum(-1, keepdim=True)).sum((-1, -2))
    norm_W = norm * shrink
    primal = loss + (norm_W * (problem.tau + norm_W / 2)).sum(-1).to(dual.dtype)
    return Point(V, norm, shrink, grad, gap, primal)


def relative_gap(problem: Problem, point: Point) -> Tensor:
    """Gap over the primal objective, floored at a thousandth of its value at zero."""
    floor = problem.c.sum((-1, -2)) / 1000
    return point.gap / torch.maximum(point.primal, floor).clamp_min(
        torch.finfo(point.primal.dtype).tiny
    )


def scale_problem(
    F: Tensor,
    y: Tensor,
    group_reg: Tensor | float,
    l2_reg: Tensor | float,
    n_classes: int | None,
    feature_weight: Tensor | None,
    sample_weight: Tensor | None,
) -> tuple[Problem, Tensor, torch.Size]:
    """Problem with one batch dimension, unit lambda_2 and unit sample weights.

    Returns
    -------
    problem : Problem
        The problem.
    scale : Tensor of shape (b,)
        Its coefficients times this are those of the original.
    batch : torch.Size
        Batch dimensions.
    """
    if not F.is_floating_point():
        raise TypeError(f"F must be a floating-point tensor, got {F.dtype}")
    if y.is_floating_point() or y.dtype == torch.bool:
        raise TypeError(f"y must be an integer tensor of labels, got {y.dtype}")
    if F.ndim < 2 or y.shape != F.shape[:-1]:
        raise ValueError(
            "F must have shape (*batch, n, m) and y (*batch, n), "
            f"got {tuple(F.shape)} and {tuple(y.shape)}"
        )
    batch, n, m = F.shape[:-2], F.shape[-2], F.shape[-1]
    k = int(y.max()) + 1 if n_classes is None else n_classes
    if k < 2:
        raise ValueError(f"at least two classes are needed, got n_classes={k}")
    dtype, device = F.dtype, F.device
    l1 = torch.as_tensor(group_reg, dtype=dtype, device=device)
    l2 = torch.as_tensor(l2_reg, dtype=dtype, device=device)
    omega = feature_weight if feature_weight is not None else F.new_ones(m)
    c = sample_weight if sample_weight is not None else F.new_ones(n)
    for name, value, shape in (
        ("group_reg", l1, batch),
        ("l2_reg", l2, batch),
        ("feature_weight", omega, (*batch, m)),
        ("sample_weight", c, (*batch, n)),
    ):
        _check_broadcast(name, value, torch.Size(shape))
    _check_domains(y, k, l1, l2, omega, c)

    wide = torch.float64 if device.type != "mps" else dtype
    b = batch.numel()
    scale = l2.expand(batch).reshape(b).rsqrt()
    c = c.to(dtype).expand(*batch, n).reshape(b, n, 1)
    threshold = (l1.unsqueeze(-1) * omega.to(dtype)).expand(*batch, m).reshape(b, m)
    problem = Problem(
        F=F.reshape(b, n, m) * (c * scale[:, None, None]),
        Y=(y.reshape(b, n, 1) == torch.arange(k, device=device)).to(wide),
        c=c.to(wide),
        tau=threshold * scale.unsqueeze(-1),
    )
    return problem, scale, batch


def _check_broadcast(name: str, value: Tensor, shape: torch.Size) -> None:
    try:
        value.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"{name} must be broadcastable to shape {tuple(shape)}, got {tuple(value.shape)}"
        ) from None


def _check_domains(y: Tensor, k: int, l1: Tensor, l2: Tensor, omega: Tensor, c: Tensor) -> None:
    """Raise a ValueError for the first argument outside its domain (one synchronisation)."""
    wrong = {
        f"y must hold labels in [0, {k})": (y < 0) | (y >= k),
        "group_reg must be nonnegative": ~(l1 >= 0),
        "l2_reg must be positive": ~(l2 > 0),
        "feature_weight must be nonnegative": ~(omega >= 0),
        "sample_weight must be nonnegative": ~(c >= 0),
    }
    flags = torch.stack([mask.any() for mask in wrong.values()])
    if not any_true(flags):
        return
    for message, flag in zip(wrong, flags, strict=True):
        if any_true(flag):
            raise ValueError(message)
