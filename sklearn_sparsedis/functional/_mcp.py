"""The minimax concave penalty: value, curvature, thresholding."""

import torch
from torch import Tensor

__all__ = ["mcp_penalty", "mcp_threshold"]


def mcp_penalty(coef: Tensor, alpha: Tensor, width: Tensor) -> Tensor:
    """Penalty of each coefficient [1]_, of the shape of `coef`.

    .. math:: \\alpha |w| - \\frac{w^2}{2 \\gamma} \\;\\text{ for } |w| \\le \\gamma \\alpha,
              \\qquad \\gamma \\alpha^2 / 2 \\;\\text{ beyond.}

    Parameters
    ----------
    coef : Tensor of shape (*batch, m)
        w.
    alpha : Tensor, broadcasting against `coef`
        Slope at zero, not negative.
    width : Tensor, broadcasting against `coef`
        gamma > 0; the Lasso in the limit of a large one.

    References
    ----------
    .. [1] Zhang, "Nearly unbiased variable selection under minimax concave penalty", Annals of
       Statistics, 2010.
    """
    size = coef.abs().minimum(width * alpha)
    return alpha * size - size.square() / (2 * width)


def mcp_threshold(target: Tensor, alpha: Tensor, width: Tensor, curvature: Tensor) -> Tensor:
    """Minimiser of c/2 (w - target)^2 + mcp_penalty(w), the curvature c being positive.

    Where the penalty bends less than the parabola (c gamma > 1) it is the soft threshold,
    stretched so that it meets the identity at gamma alpha; elsewhere it jumps from zero to the
    identity where both cost the same, |target| = sqrt(gamma / c) alpha.
    """
    stretch = curvature * width - 1
    convex = stretch > 0
    shrunk = (curvature * target.abs() - alpha).clamp_min(0) * width
    inner = torch.where(convex, shrunk / torch.where(convex, stretch, 1.0), 0.0)
    edge = torch.where(convex, width * alpha, (width / curvature).sqrt() * alpha)
    return torch.where(target.abs() > edge, target, target.sign() * inner)
