"""Which variables least squares needs: backward elimination, judged by a corrected BIC."""

import torch
from torch import Tensor

from sklearn_sparsedis.functional._support import SHIFT, gram_matvec

__all__ = ["least_squares_on", "select_support"]

# steps in which the effect of the shift of the diagonal is removed
_STEPS = 2
# residuals smaller than this share of the target are rounding
_RESIDUAL_FLOOR = 1e-12


@torch.no_grad()
def least_squares_on(
    support: Tensor, gram: Tensor, corr: Tensor, y_sq: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares on the variables of a support.

    min_w y_sq - 2 w'q + w'Gw with w = 0 off the support.

    Parameters
    ----------
    support : Tensor of bool, shape (T, m)
    gram : Tensor of shape (m, m) or (T, m, m)
        G = Z'Z / n, one for all problems or one each.
    corr : Tensor of shape (T, m)
        q = Z'y / n.
    y_sq : Tensor of shape (T,)
        y'y / n.

    Returns
    -------
    coef : Tensor of shape (T, m)
    residual_sq : Tensor of shape (T,)
        ||y - Z w||^2 / n.
    inverse : Tensor of shape (T, m, m)
        G_SS^-1 on the support, the identity off it.

    Notes
    -----
    Each diagonal entry is shifted by 1e-10 (float64) or 1e-5 (float32) of itself, so that collinear
    variables have an inverse too, and a second step removes the effect from `coef`. A feature with
    G_jj = 0 has the coefficient zero.
    """
    m = corr.shape[-1]
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    floor = SHIFT[gram.dtype] * torch.where(diagonal > 0, diagonal, 1.0)
    eye = torch.eye(m, dtype=gram.dtype, device=gram.device)
    both = support[:, :, None] & support[:, None, :]
    system = torch.where(both, gram + floor[..., None] * eye, eye)
    inverse = torch.linalg.inv(system)
    support = support & (diagonal > 0)
    coef = torch.zeros_like(corr)
    for _ in range(_STEPS):
        missing = torch.where(support, corr - gram_matvec(gram, coef), 0.0)
        coef = coef + gram_matvec(inverse, missing)
    fitted = gram_matvec(gram, coef)
    residual_sq = (y_sq + (coef * (fitted - 2 * corr)).sum(-1)).clamp_min(0)
    return coef, residual_sq, inverse


@torch.no_grad()
def select_support(gram: Tensor, corr: Tensor, y_sq: Tensor, n_rows: Tensor) -> Tensor:
    """Variables that each of T least-squares problems needs.

    Starting from all variables, the one whose loss costs least is removed, down to none. Of the
    supports met, the one with the least

    .. math:: n \\log(\\mathrm{RSS}/n) + k \\log(n) \\, n / (n - k - 2)

    is returned: the BIC, with the correction that the AICc has for few rows.

    Parameters
    ----------
    gram, corr, y_sq
        As in `least_squares_on`.
    n_rows : Tensor of shape (T,)
        Rows of each problem.

    Returns
    -------
    support : Tensor of bool, shape (T, m)

    Notes
    -----
    m + 1 batched inverses, O(T m^4). No host synchronisation. Backward elimination finds the best
    subset where rows are many and noise is small; it is a heuristic otherwise.
    """
    T, m = corr.shape
    support = torch.ones(T, m, dtype=torch.bool, device=corr.device)
    best_support = torch.zeros_like(support)
    best = torch.full_like(y_sq, torch.inf)
    least = _RESIDUAL_FLOOR * y_sq + torch.finfo(y_sq.dtype).tiny
    for k in range(m, -1, -1):
        coef, residual_sq, inverse = least_squares_on(support, gram, corr, y_sq)
        dof = n_rows - k - 2
        price = k * n_rows.log() * n_rows / torch.where(dof > 0, dof, 1.0)
        criterion = n_rows * residual_sq.maximum(least).log() + price
        allowed = (dof > 0) | (k == 0)
        better = allowed & (criterion < best)
        best = torch.where(better, criterion, best)
        best_support = torch.where(better[:, None], support, best_support)
        cost = coef.square() / inverse.diagonal(dim1=-2, dim2=-1)
        dropped = torch.where(support, cost, torch.inf).argmin(-1, keepdim=True)
        support = support.scatter(1, dropped, False)
    return best_support
