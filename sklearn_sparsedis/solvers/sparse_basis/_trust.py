"""How far to trust each direction of a sparsest basis."""

import math

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.sparse_basis._exchange import Candidates, cosines, exchange
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._sample import (
    RIVALS,
    rival_gains,
    sample_size,
    score_terms,
)
from sklearn_sparsedis.solvers.sparse_basis._search import ANNEALING, Heads, ascend

_N_FOLDS, _N_SWEEPS, _EM_STEPS = 10, 1, 10
STRONG = 3.0  # nats: odds of twenty to one
_RIGHT = 0.95  # correlation above which two components count as one
_FREE = 1e4  # variance of a tilt that nothing limits


def evidence(heads: Heads, D: Tensor) -> Tensor:
    """Gain in log-likelihood (m,) of directions D (m, m) over heads without zeros."""
    return _zero_gains(heads, heads, D).sum(-1)


def chance_evidence(heads: Heads, D: Tensor, generator: torch.Generator | None) -> Tensor:
    """Evidence (m,) that each row of D (m, m) owes to its choice, beyond which it is strong.

    Every direction passes through m - 1 heads, whatever the heads: these zeros come for nothing.
    Cross-validation counts them: the basis climbs again without a tenth of the heads, from spikes
    as wide as those of the search, and the heads left out tell what it gains on heads that it has
    not seen. What it loses by that is chance.
    """
    n_tasks, m = heads.points.shape
    # the zeros that come for nothing do not grow with the number of heads
    some = heads.part(slice(0, n_tasks, max(1, n_tasks // sample_size(n_tasks, m))))
    draws = torch.randperm(len(some.points), generator=generator).to(D.device)
    held_out = D.new_zeros(m)
    for fold in range(_N_FOLDS):
        left = draws[fold::_N_FOLDS]
        kept = torch.cat([draws[i::_N_FOLDS] for i in range(_N_FOLDS) if i != fold])
        rest = some.part(kept)
        found = ascend(rest, D.unsqueeze(0), ANNEALING, _N_SWEEPS).squeeze(0)
        same = found.index_select(0, cosines(D, found).argmax(1))
        held_out = held_out + _zero_gains(rest, some.part(left), same).sum(-1)
    return evidence(some, D) - held_out + STRONG


def _zero_gains(fitted: Heads, judged: Heads, D: Tensor) -> Tensor:
    """Gain in log-likelihood (m, T) of each head from zeros, of which others tell the number.

    With and without zeros, a coefficient that is no zero has the same law, so that nothing but
    zeros is evidence: that of heads without a preferred direction, whatever their norms. Given the
    m - 1 coefficients at right angles, of root mean square r, it is r times Student's t of m - 1
    degrees of freedom.
    """
    c = fitted.coefficients(D)
    fit = fit_columns(c, fitted.noise_along(D))
    off, on = _log_densities(fitted, D)
    share, least = fit["share"], 1 / c.shape[-1]
    for _ in range(_EM_STEPS):
        used = torch.sigmoid(share.log() + on - torch.log1p(-share) - off)
        share = used.mean(-1, keepdim=True).clamp(least, 1 - least)
    off, on = _log_densities(judged, D)
    return torch.logaddexp(torch.log1p(-share) + off - on, share.log())


def _log_densities(heads: Heads, D: Tensor) -> tuple[Tensor, Tensor]:
    """Log-densities (m, T) of coefficients that are zero and that are not."""
    c, dof = heads.coefficients(D), max(1, D.shape[-1] - 1)
    spike = heads.noise_along(D)
    off = -0.5 * (spike.log() + c**2 / spike + math.log(2 * math.pi))
    length = D.norm(dim=-1, keepdim=True)
    beside = heads.points.pow(2).sum(-1) - (c / length) ** 2
    square = beside.clamp_min(0) * length**2 / dof + spike
    constant = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)
    constant -= 0.5 * math.log(dof * math.pi)
    tail = (dof + 1) / 2 * torch.log1p(c**2 / (dof * square))
    return off, constant - 0.5 * square.log() - tail


def margins(heads: Heads, D: Tensor, found: Candidates) -> Tensor:
    """Log-likelihood (m,) lost when a row of D (m, m) gives way to its best other direction."""
    return -rival_gains(heads, D, found).amax(dim=1)


def stability(
    heads: Heads,
    D: Tensor,
    found: Candidates,
    to_sphere: Tensor,
    n_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Probability (m,) that the component of each row of D (m, m) stays what it is.

    A component is a row of the inverse: it depends on the directions of all others. So each
    bootstrap sample of the tasks chooses a basis among D and its rivals, which is then tilted at
    random by the errors of its directions; `to_sphere` maps features to the coordinates of heads.
    """
    n_tasks, m = heads.points.shape
    gains = rival_gains(heads, D, found)
    rivals = gains.topk(min(RIVALS, gains.shape[1]), dim=1).indices.flatten()
    pool = torch.cat([D, found.pool.index_select(0, rivals)])
    draws = torch.randint(n_tasks, (n_samples, n_tasks), generator=generator).to(D.device)
    counts = torch.zeros(n_samples, n_tasks, dtype=D.dtype, device=D.device)
    counts.scatter_add_(1, draws, torch.ones_like(counts))
    scores = counts.new_zeros(n_samples, len(pool))
    for tasks, terms in score_terms(heads, pool):
        scores += counts[:, tasks] @ terms.T
    chosen, _ = exchange(D.expand(n_samples, m, m), scores.narrow(1, 0, m), pool, scores, n_tasks)
    drawn = torch.randn(n_samples, m, m, generator=generator, dtype=D.dtype).to(D.device)
    tilts = drawn * tilt_variances(heads, D).sqrt()
    components = torch.linalg.inv((chosen @ to_sphere.T).mT)
    components = components - tilts.mT @ components
    kept = cosines(torch.linalg.inv((D @ to_sphere.T).T), components).amax(dim=-1) > _RIGHT
    return kept.to(D.dtype).mean(dim=0)


def tilt_variances(heads: Heads, D: Tensor) -> Tensor:
    """Variances (m, m) with which each row of D (m, m) is known along each other one.

    Entry (k, j) is that of e in d_k + e d_j. Laplace's approximation for each pair of rows, with
    the curvature of the bound that the search climbs and that of the determinant, which sets the
    tilts of a pair against each other: where no zeros tell the two apart, it leaves them free.
    """
    n_tasks, m = heads.points.shape
    c, noise = heads.coefficients(D), heads.noise_along(D)
    fit = fit_columns(c, noise)
    unused = unused_probability(c, noise, fit["share"], fit["slab"])
    weight = unused / noise + (1 - unused) / (noise + fit["slab"])
    curvature = weight @ c.square().T
    both = curvature * curvature.T - n_tasks**2
    known = both > n_tasks**2 / _FREE
    variance = torch.where(known, curvature.T / both.where(known, 1.0), _FREE).clamp_max(_FREE)
    return variance * (1 - torch.eye(m, dtype=D.dtype, device=D.device))
