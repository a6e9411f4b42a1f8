"""Batched least squares under the minimax concave penalty."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_sparsedis.functional import mcp_penalty
from sklearn_sparsedis.functional._mcp import mcp_threshold
from sklearn_sparsedis.functional._support import RegularFactor, factor_regular
from sklearn_sparsedis.solvers._result import SolveResult
from sklearn_sparsedis.solvers._separable import SWEEPS, descend

__all__ = ["GAMMA", "MCPSystem", "mcp_width", "solve_mcp_and_factor", "solve_mcp_gram"]

# width of the penalty, in units of the inverse variance of a feature
GAMMA = 2.0


def mcp_width(gram: Tensor, gamma: float) -> Tensor:
    """Width of the penalty of each coefficient, gamma / G_jj, shape (m,) or (T, m)."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    return gamma / torch.where(diagonal > 0, diagonal, 1.0)


class MCPSystem(NamedTuple):
    """Stationarity equations H w_S = q_S - alpha s of local minima, with H = G_SS - D.

    Attributes
    ----------
    curved : Tensor of shape (T, m)
        One for the coefficients on the curved part of the penalty, where D_jj = G_jj / gamma and
        s_j = sign(w_j); zero elsewhere.
    factor : RegularFactor
        Of H.
    regular : Tensor of bool, shape (T,)
        Which problems it holds for: H is positive definite and well conditioned.
    """

    curved: Tensor
    factor: RegularFactor
    regular: Tensor


def solve_mcp_gram(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    gamma: float = GAMMA,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> SolveResult:
    """Find a local minimum of 1/2 w'Gw - w'q + y_sq/2 + sum_j mcp(w_j; alpha, gamma / G_jj).

    Parameters
    ----------
    gram : Tensor of shape (m, m) or (*batch, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (*batch, m)
        q = Z'y / n.
    y_sq : Tensor of shape (*batch,)
        y'y / n.
    alpha : float or Tensor of shape (*batch,)
        Slope of the penalty at zero, as in `functional.mcp_penalty`.
    gamma : float
        Width of the penalty where a feature has variance one; above one, so that the problem in
        one coefficient is convex.
    tol : float
        Certificate at which a problem is done.
    max_iter : int
        Limit on coordinate sweeps.
    coef_init : Tensor of shape (*batch, m), optional
        Start; the Lasso's solution at the same alpha by default.

    Returns
    -------
    SolveResult
        coef of shape (*batch, m). The problem is not convex, so no duality gap bounds the distance
        to the best objective: `gap` is what the best change of a single coefficient would gain,
        relative to max(objective, objective at zero / 1000) as everywhere. Zero says that no
        coefficient alone can improve, which is stationarity and more.

    Raises
    ------
    ValueError
        If gamma is not above one.

    Notes
    -----
    Cyclic coordinate descent, exact in each coefficient, so that the objective never rises. Before
    the first and after every block of sweeps there is a Newton step, which is exact where it leaves
    each coefficient on its part of the penalty, and not taken elsewhere. The minimum found depends
    on the start: continue from a larger alpha or gamma [1]_. O(m^2) a sweep and O(m^3) a Newton
    step; the host looks at the certificates once in 8 sweeps. Where the certificate is met but does
    not tell the parts, first single coefficients change, then sweeps go on. A feature with G_jj = 0
    has the coefficient zero.

    References
    ----------
    .. [1] Breheny, Huang, "Coordinate descent algorithms for nonconvex penalized regression",
       Annals of Applied Statistics, 2011.
    """
    return solve_mcp_and_factor(
        gram, corr, y_sq, alpha, gamma=gamma, tol=tol, max_iter=max_iter, coef_init=coef_init
    )[0]


@torch.no_grad()
def solve_mcp_and_factor(
    gram: Tensor,
    corr: Tensor,
    y_sq: Tensor,
    alpha: Tensor | float,
    *,
    gamma: float = GAMMA,
    tol: float = 1e-6,
    max_iter: int = 1000,
    coef_init: Tensor | None = None,
) -> tuple[SolveResult, MCPSystem]:
    """`solve_mcp_gram`, and the equations that the solutions satisfy."""
    if not gamma > 1:
        raise ValueError(f"gamma must be above 1, got {gamma!r}.")
    return descend(
        gram,
        corr,
        y_sq,
        alpha,
        sweep=partial(_sweep, gamma),
        newton=partial(_newton_step, gamma),
        value=lambda w, a, c: mcp_penalty(w, a, gamma / c),
        threshold=lambda target, a, c: mcp_threshold(target, a, gamma / c, c),
        tol=tol,
        max_iter=max_iter,
        coef_init=coef_init,
    )


def _newton_step(
    gamma: float, gram: Tensor, corr: Tensor, alpha: Tensor, coef: Tensor
) -> tuple[Tensor, Tensor, MCPSystem]:
    """Stationary points with each coefficient on its part of the penalty, where there are any."""
    width = mcp_width(gram, gamma)
    curved, sign = _curved(coef, alpha, width), coef.sign()
    bent = gram - torch.diag_embed(curved / gamma) * gram
    factor, regular = factor_regular(bent, coef != 0)
    exact = factor.solve(torch.addcmul(corr, alpha * sign, curved, value=-1))
    same = (exact.sign() == sign) & (_curved(exact, alpha, width) == curved)
    kept = same.all(-1) & regular
    moved = torch.where(kept[:, None], exact, coef)
    return moved, regular, MCPSystem(curved, factor, regular)


def _curved(coef: Tensor, alpha: Tensor, width: Tensor) -> Tensor:
    return ((coef != 0) & (coef.abs() < width * alpha)).to(coef.dtype)


def _sweep(gamma: float, gram: Tensor, corr: Tensor, alpha: Tensor, start: Tensor) -> Tensor:
    """Coordinate descent in units in which every feature has variance one."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    root = torch.where(diagonal > 0, diagonal, 1.0).sqrt()
    scaled = gram / root[..., :, None] / root[..., None, :]
    rows = scaled.unbind(-2)
    # the penalty of w root, in these units, has slope alpha / root and width gamma
    slopes = (alpha / root).expand_as(start).unbind(1)
    falls = [-slope for slope in slopes]
    reaches = [gamma * slope for slope in slopes]
    moved = start * root
    gradient = corr / root - (scaled @ moved[..., None])[..., 0]
    columns = gradient.unbind(1)
    coef = list(moved.unbind(1))
    shrink = gamma / (gamma - 1)
    for _ in range(SWEEPS):
        for j, old in enumerate(coef):
            target = columns[j] + old
            inner = (target - target.clamp(falls[j], slopes[j])) * shrink
            coef[j] = torch.where(target.abs() > reaches[j], target, inner)
            gradient.addcmul_(rows[j], (old - coef[j])[:, None])
    return torch.stack(coef, 1) / root
