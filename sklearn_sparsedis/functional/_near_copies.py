"""Features that are nearly copies of one another, whose weights a solver decides last."""

import torch
from torch import Tensor

__all__ = ["near_copies", "rounded_gap"]

# correlation above which two features are near copies
NEAR_COPY = 0.995
# relative duality gaps that rounding may leave, in its units
ROUNDED_GAP = 1e5


def near_copies(gram: Tensor) -> Tensor:
    """Return True for Gram matrices (*batch, m, m) with two features that are near copies.

    Where near copies share a weight, a duality gap closes long before it is known which of them are
    in use and how much each weighs, on which the gradient of a solution rests.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    inverse = diagonal.clamp_min(torch.finfo(gram.dtype).tiny).rsqrt()
    pairs = (gram * inverse[..., None]).mul_(inverse[..., None, :]).triu_(1)
    return pairs.abs_().amax((-2, -1)) > NEAR_COPY


def rounded_gap(dtype: torch.dtype) -> float:
    """Relative duality gap below which a solution is as exact as its dtype makes sure of.

    In single precision it is larger than usual tolerances, which then decide.
    """
    return ROUNDED_GAP * torch.finfo(dtype).eps
