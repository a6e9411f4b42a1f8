"""Linear systems restricted to a support that differs from problem to problem."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SupportFactor", "factor_support", "gram_matvec", "solve_support"]

# on the CPU, supports smaller than this share of the variables are gathered before factoring
GATHER_SHARE = 0.8
GATHER_SIZE = 24


class SupportFactor(NamedTuple):
    """Cholesky factors of the systems on the supports.

    Attributes
    ----------
    cholesky : Tensor of shape (T, k, k)
        Lower factors.
    support : Tensor of bool, shape (T, m)
    gathered : Tensor of int64, shape (T, k), or None
        Variables that were gathered, the support first; None when all m are kept.
    """

    cholesky: Tensor
    support: Tensor
    gathered: Tensor | None


def gram_matvec(gram: Tensor, x: Tensor) -> Tensor:
    """Product of Gram matrices, shared (m, m) or one each (T, m, m), with vectors (T, m)."""
    return x @ gram if gram.ndim == 2 else torch.bmm(gram, x[:, :, None])[:, :, 0]


def factor_support(gram: Tensor, support: Tensor) -> SupportFactor:
    """Factor G_SS + delta I for each problem; the identity stands in outside the support.

    delta is 1e-10 (float64) or 1e-5 (float32) of the largest diagonal entry: a singular system,
    with collinear features or more of them than rows, gets close to its least-norm solution, and
    `solve_support` removes the effect of delta on all others.

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (T, m, m)
    support : Tensor of bool, shape (T, m)
    """
    m = gram.shape[-1]
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    jitter = (1e-10 if gram.dtype == torch.float64 else 1e-5) * diagonal.amax(-1, keepdim=True)
    jitter = jitter.expand(len(support), 1) + torch.finfo(gram.dtype).tiny
    index = _gathered(support) if support.device.type == "cpu" and m >= GATHER_SIZE else None
    inside = support
    if index is not None:
        inside = support.gather(1, index)
        if gram.ndim == 2:
            gram = gram[index[:, :, None], index[:, None, :]]
        else:
            rows = gram.gather(1, index[:, :, None].expand(-1, -1, m))
            gram = rows.gather(2, index[:, None, :].expand(-1, index.shape[1], -1))
    both = inside[:, :, None] & inside[:, None, :]
    system = torch.where(both, gram, torch.zeros((), dtype=gram.dtype, device=gram.device))
    system.diagonal(dim1=-2, dim2=-1).add_(torch.where(inside, jitter, torch.ones_like(jitter)))
    cholesky, _ = torch.linalg.cholesky_ex(system)
    return SupportFactor(cholesky, support, index)


def _gathered(support: Tensor) -> Tensor | None:
    largest = max(1, int(support.sum(1).max()))
    if largest > GATHER_SHARE * support.shape[1]:
        return None
    return torch.argsort(support.to(torch.int8), dim=1, descending=True, stable=True)[:, :largest]


def solve_support(gram: Tensor, factor: SupportFactor, rhs: Tensor) -> Tensor:
    """Solve G_SS x_S = rhs_S, with x = 0 outside the support, shape (T, m).

    One step of iterative refinement against the system without delta.
    """
    rhs = rhs * factor.support
    x = _back_substitute(factor, rhs)
    residual = (rhs - gram_matvec(gram, x)) * factor.support
    return x + _back_substitute(factor, residual)


def _back_substitute(factor: SupportFactor, rhs: Tensor) -> Tensor:
    if factor.gathered is None:
        return torch.cholesky_solve(rhs[:, :, None], factor.cholesky)[:, :, 0]
    small = rhs.gather(1, factor.gathered)
    x = torch.cholesky_solve(small[:, :, None], factor.cholesky)[:, :, 0]
    return torch.zeros_like(rhs).scatter_(1, factor.gathered, x)
