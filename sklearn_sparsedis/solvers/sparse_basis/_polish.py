"""The basis that the sweeps of the search lead to, to rounding."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.sparse_basis._exchange import joint_score
from sklearn_sparsedis.solvers.sparse_basis._model import em_step, fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._search import Heads, replace_rows, weighted_moments

_N_BLOCKS, _BLOCK = 6, 10  # blocks of sweeps, after each of which convergence is looked at
NEAR = 1.0  # log-likelihood, in nats, that the fixed point may lack against where the search ends
_MEMORY = 8  # sweeps of which a step is made


def polish(heads: Heads, D: Tensor) -> Tensor:
    """The fixed point of the sweeps of the search next to a basis D (m, m).

    The search ends some 1e-4 from it, by a distance that rounding of the heads decides. As in the
    search, the errors of the coefficients count as they are and not as they change with the
    direction: the maximum of the likelihood would buy small errors with a direction that a few
    tasks alone determine.
    A basis far from where the sweeps lead stays as it is.
    """
    D = heads.scaled(D.unsqueeze(0))
    c = heads.coefficients(D)
    fit = fit_columns(c, heads.noise_along(D))
    size = D.norm(dim=-1, keepdim=True)
    start = torch.cat([D / size, fit["share"].logit(), fit["slab"].log()], -1)
    polished = _accelerated(partial(_sweep, heads, size), start)
    polished = heads.scaled(polished.narrow(-1, 0, D.shape[-1]) * size)
    near = joint_score(heads, polished) > joint_score(heads, D) - NEAR
    return torch.where(near, polished, D).squeeze(0)


def _sweep(heads: Heads, size: Tensor, state: Tensor) -> Tensor:
    """One sweep of majorisation; a state holds directions, share (logit) and slab (log)."""
    m = state.shape[-2]
    D, share, slab = state.split([m, 1, 1], -1)
    D, share, slab = D * size, share.sigmoid(), slab.exp()
    c = heads.coefficients(D)
    spike = heads.noise_along(D)
    for _ in range(2):
        share, slab = em_step(c, spike, share, slab)
    unused, wide = unused_probability(c, spike, share, slab), spike + slab
    weight = unused / spike + (1 - unused) / wide
    moments = weighted_moments(heads, weight)
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
