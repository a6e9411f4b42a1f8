"""Likelihood of head coefficients along one direction: a spike of unused tasks and a wide slab.

Shapes: `c` holds coefficients (..., T), the other arguments broadcast against it with a last axis
of one (`share`, `slab`) or T (`spike`).
"""

import math

import torch
from torch import Tensor

# spike widths tried, as fractions of the coefficients' root mean square, beside the standard errors
SPIKE_GRID = (0.12, 0.08, 0.05, 0.03, 0.02, 0.01, 0.005, 0.0)
_EM_STEPS = 15


def mixture_terms(
    c: Tensor, spike: Tensor, share: Tensor, slab: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-density of each coefficient, its probability of being unused, the slab's variance.

    The density is ``(1 - share) N(0, spike) + share N(0, spike + slab)``.
    """
    wide = spike + slab
    off = torch.log1p(-share) - 0.5 * (spike.log() + c**2 / spike)
    on = share.log() - 0.5 * (wide.log() + c**2 / wide)
    log_density = torch.logaddexp(off, on) - 0.5 * math.log(2 * math.pi)
    return log_density, torch.sigmoid(off - on), wide


def em_step(
    c: Tensor, spike: Tensor, share: Tensor, slab: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One EM step for the share of tasks that use the latent and their variance (slab).

    `weight` (broadcast to c) counts each task; None counts each once.
    """
    n_tasks = c.shape[-1]
    _, unused, wide = mixture_terms(c, spike, share, slab)
    used = 1 - unused if weight is None else (1 - unused) * weight
    total = used.sum(-1, keepdim=True)
    share = (total / n_tasks).clamp(1 / n_tasks, 1 - 1 / n_tasks)
    shrink = slab / wide
    second_moment = (shrink * c) ** 2 + shrink * spike
    tiny = torch.finfo(c.dtype).tiny
    slab = (used * second_moment).sum(-1, keepdim=True) / total.clamp_min(tiny)
    # a slab narrower than the spike would only trade names with it
    return share, torch.maximum(slab, spike.mean(-1, keepdim=True))


def fit_columns(c: Tensor, noise: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
    """Fit the mixture along each direction, choosing the spike's width by likelihood.

    Parameters
    ----------
    c : Tensor of shape (..., T)
        Coefficients of T heads along directions.
    noise : Tensor of shape (..., T)
        Their error variances, a lower bound of the spike's.
    weight : Tensor, optional
        Counts of the tasks (a bootstrap sample), broadcast to `c`.

    Returns
    -------
    dict of Tensor
        ``loglik`` (...,), ``share``, ``slab`` (..., 1), ``spike`` (..., T) of the best width.
    """
    square = c.pow(2).mean(-1, keepdim=True)
    best: dict[str, Tensor] = {}
    for fraction in SPIKE_GRID:
        spike = noise + fraction**2 * square
        share, slab = torch.full_like(square, 0.5), 2 * square
        for _ in range(_EM_STEPS):
            share, slab = em_step(c, spike, share, slab, weight)
        terms, _, _ = mixture_terms(c, spike, share, slab)
        loglik = (terms if weight is None else terms * weight).sum(-1)
        fit = {"loglik": loglik, "share": share, "slab": slab, "spike": spike}
        if best:
            better = loglik > best["loglik"]
            fit = {
                name: torch.where(
                    better if name == "loglik" else better[..., None], new, best[name]
                )
                for name, new in fit.items()
            }
        best = fit
    return best


def gaussian_loglik(c: Tensor, noise: Tensor, weight: Tensor | None = None) -> Tensor:
    """Log-likelihood (...,) of the same coefficients without any spike: one Gaussian."""
    variance = (c.pow(2).mean(-1, keepdim=True) - noise.mean(-1, keepdim=True)).clamp_min(0) + noise
    terms = -0.5 * (variance.log() + c**2 / variance + math.log(2 * math.pi))
    return (terms if weight is None else terms * weight).sum(-1)
