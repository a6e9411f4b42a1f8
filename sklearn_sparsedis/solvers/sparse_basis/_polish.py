"""The maximum of the likelihood next to a basis, to rounding."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.sparse_basis._exchange import joint_score
from sklearn_sparsedis.solvers.sparse_basis._model import em_step, fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._search import Heads, replace_rows, weighted_moments

_N_BLOCKS, _BLOCK = 6, 10  # blocks of sweeps, after each of which convergence is looked at
_MEMORY = 8  # sweeps of which a step is made


def polish(heads: Heads, D: Tensor) -> Tensor:
    """The stationary point of the joint likelihood next to a basis D (m, m).

    The search ends some 1e-4 from it, by a distance that rounding of the heads decides. The sweeps
    here differ from those of the search in that the spike of each column is as wide as fits it
    best, and in that the errors of its coefficients, and the width, change with the direction.
    A basis of higher likelihood than what the sweeps lead to stays as it is.
    """
    D = heads.scaled(D.unsqueeze(0))
    c = heads.coefficients(D)
    fit = fit_columns(c, heads.noise)
    fraction = fit["width"] / c.pow(2).mean(-1, keepdim=True)
    size = D.norm(dim=-1, keepdim=True)
    start = torch.cat([D / size, fit["share"].logit(), fit["slab"].log()], -1)
    polished = _accelerated(partial(_sweep, heads, fraction, size), start)
    polished = heads.scaled(polished.narrow(-1, 0, D.shape[-1]) * size)
    return torch.where(joint_score(heads, polished) > joint_score(heads, D), polished, D).squeeze(0)


def _sweep(heads: Heads, fraction: Tensor, size: Tensor, state: Tensor) -> Tensor:
    """One sweep of majorisation; a state holds directions, share (logit) and slab (log)."""
    m = state.shape[-2]
    D, share, slab = state.split([m, 1, 1], -1)
    D, share, slab = D * size, share.sigmoid(), slab.exp()
    c = heads.coefficients(D)
    spike = heads.noise + fraction * c.pow(2).mean(-1, keepdim=True)
    for _ in range(2):
        share, slab = em_step(c, spike, share, slab)
    unused, wide = unused_probability(c, spike, share, slab), spike + slab
    weight = unused / spike + (1 - unused) / wide
    # half the variance that the likelihood asks for less, in units of the noise and of the width
    excess = weight - c**2 * (unused / spike**2 + (1 - unused) / wide**2)
    noise = (heads.noise * excess).mean(-1)[..., None, None] * heads.metric
    width = (fraction * excess).mean(-1)[..., None, None] * torch.eye(m).to(D)
    moments = weighted_moments(heads, weight) + noise + width
    D = heads.scaled(replace_rows(D, torch.linalg.cholesky_ex(moments)[0]))
    return torch.cat([D / size, share.logit(), slab.log()], -1)


def _accelerated(sweep: Callable[[Tensor], Tensor], state: Tensor) -> Tensor:
    """The fixed point of a sweep, by Anderson's acceleration [1]_.

    .. [1] Walker, Ni, "Anderson acceleration for fixed-point iterations", SIAM Journal on
       Numerical Analysis, 2011.
    """
    eps = torch.finfo(state.dtype).eps
    swept: list[Tensor] = []
    residuals: list[Tensor] = []
    for _ in range(_N_BLOCKS):
        for _ in range(_BLOCK):
            after = sweep(state)
            swept = [*swept, after.flatten()][-_MEMORY:]
            residuals = [*residuals, (after - state).flatten()][-_MEMORY:]
            state = after
            if len(swept) > 1:
                R, S = (torch.stack(kept).diff(dim=0) for kept in (residuals, swept))
                gram = R @ R.T
                ridge = gram.diagonal().sum() * eps * torch.eye(len(gram)).to(gram)
                steps = torch.linalg.solve_ex(gram + ridge, R @ residuals[-1])[0]
                state = (swept[-1] - steps @ S).reshape(after.shape)
        if not any_true(residuals[-1].abs() > eps**0.75):
            break
    return swept[-1].reshape(state.shape)
