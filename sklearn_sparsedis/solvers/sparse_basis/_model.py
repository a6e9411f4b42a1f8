"""Likelihood of head coefficients along one direction: a spike of unused tasks and a wide slab.

Shapes: `c` holds coefficients (..., T), the other arguments broadcast against it with a last axis
of one (`share`, `slab`) or T (`spike`).
"""

import math

import torch
from torch import Tensor

# widths of the spike beside the errors while a mixture is fitted, in units of the coefficients'
# root mean square
WIDTHS = (0.12, 0.03, 0.01, 0.0)
_EM_STEPS = 5
# coefficients treated together on the CPU: their temporaries stay in its cache
_CACHED = 65_536


def unused_probability(c: Tensor, spike: Tensor, share: Tensor, slab: Tensor) -> Tensor:
    """Posterior probability that a coefficient belongs to the spike."""
    precision_lost = slab / (spike * (spike + slab))
    log_odds = torch.log1p(-share) - share.log() + 0.5 * torch.log1p(slab / spike)
    return torch.sigmoid(log_odds - 0.5 * c**2 * precision_lost)


def log_density(c: Tensor, spike: Tensor, share: Tensor, slab: Tensor) -> Tensor:
    """Log-density of each coefficient: ``(1 - share) N(0, spike) + share N(0, spike + slab)``."""
    wide = spike + slab
    off = torch.log1p(-share) - 0.5 * (spike.log() + c**2 / spike)
    on = share.log() - 0.5 * (wide.log() + c**2 / wide)
    return torch.logaddexp(off, on) - 0.5 * math.log(2 * math.pi)


def em_step(c: Tensor, spike: Tensor, share: Tensor, slab: Tensor) -> tuple[Tensor, Tensor]:
    """One EM step for the share of tasks that use the latent and their variance (slab)."""
    n_tasks = c.shape[-1]
    used = 1 - unused_probability(c, spike, share, slab)
    total = used.sum(-1, keepdim=True)
    share = (total / n_tasks).clamp(1 / n_tasks, 1 - 1 / n_tasks)
    shrink = slab / (spike + slab)
    second_moment = (shrink * c) ** 2 + shrink * spike
    tiny = torch.finfo(c.dtype).tiny
    slab = (used * second_moment).sum(-1, keepdim=True) / total.clamp_min(tiny)
    # a slab narrower than the spike would only trade names with it
    return share, torch.maximum(slab, spike.mean(-1, keepdim=True))


def cached_rows(n_rows: int, row: int, device: torch.device) -> int:
    """Rows of so many coefficients to treat together: on the CPU, what its cache holds."""
    return max(1, _CACHED // row) if device.type == "cpu" else max(1, n_rows)


def fit_columns(c: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Fit the mixture along each direction.

    Parameters
    ----------
    c : Tensor of shape (..., T)
        Coefficients of T heads along directions.
    noise : Tensor of shape (T,) or (..., T)
        Their error variances, which are those of the spike.

    Returns
    -------
    dict of Tensor
        ``loglik`` (...,), ``share`` and ``slab`` (..., 1).
    """
    n_tasks = c.shape[-1]
    rows = c.reshape(-1, n_tasks)
    size = cached_rows(len(rows), n_tasks, c.device)
    parts = rows.split(size)
    noises = [noise] * len(parts) if noise.ndim == 1 else noise.reshape(-1, n_tasks).split(size)
    fits = [_fit_columns(*some) for some in zip(parts, noises, strict=True)]
    lead = c.shape[:-1]
    fit = {name: torch.cat([fit[name] for fit in fits]) for name in fits[0]}
    return {name: value.reshape(*lead, *value.shape[1:]) for name, value in fit.items()}


def _fit_columns(c: Tensor, noise: Tensor) -> dict[str, Tensor]:
    square = c.pow(2).mean(-1, keepdim=True)
    share, slab = torch.full_like(square, 0.5), 2 * square
    # the fit at the wider spike is where the next one starts
    for width in WIDTHS:
        spike = noise + width**2 * square
        for _ in range(_EM_STEPS):
            share, slab = em_step(c, spike, share, slab)
    return {
        "loglik": log_density(c, noise, share, slab).sum(-1),
        "share": share,
        "slab": slab,
    }
