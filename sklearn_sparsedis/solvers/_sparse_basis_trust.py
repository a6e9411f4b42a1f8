"""How far to trust each direction of a sparsest basis."""

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._sparse_basis_exchange import (
    Candidates,
    column_scores,
    exchange,
    exchange_gains,
    search,
)
from sklearn_sparsedis.solvers._sparse_basis_model import (
    fit_columns,
    gaussian_loglik,
    log_density,
)
from sklearn_sparsedis.solvers._sparse_basis_search import Heads

_SAME = 0.9  # cosine, in spherical coordinates, above which two directions count as one
_RIVALS = 20  # rivals of each direction that a bootstrap sample may choose


def _cosines(A: Tensor, B: Tensor) -> Tensor:
    """Absolute cosines between rows of A (..., p, m) and B (..., q, m)."""
    return (
        torch.nn.functional.normalize(A, dim=-1) @ torch.nn.functional.normalize(B, dim=-1).mT
    ).abs()


def evidence(heads: Heads, D: Tensor) -> Tensor:
    """Gain in log-likelihood (...,) of directions (..., m) over a fit without zeros."""
    c = heads.coefficients(D)
    return fit_columns(c, heads.noise)["loglik"] - gaussian_loglik(c, heads.noise)


def _rival_gains(heads: Heads, D: Tensor, found: Candidates) -> Tensor:
    """Gains (m, K) of exchanging rows of D for directions of the pool; -inf for near copies."""
    scores = column_scores(heads, D).unsqueeze(0)
    n_tasks = len(heads.points)
    gains = exchange_gains(D.unsqueeze(0), scores, found.pool, found.pool_scores, n_tasks)
    return torch.where(_cosines(D, found.pool) < _SAME, gains.squeeze(0), -torch.inf)


def margins(heads: Heads, D: Tensor, found: Candidates) -> Tensor:
    """Log-likelihood (m,) lost when a row of D (m, m) gives way to its best other direction."""
    return -_rival_gains(heads, D, found).amax(dim=1)


def stability(
    heads: Heads, D: Tensor, found: Candidates, n_samples: int, generator: torch.Generator | None
) -> Tensor:
    """Share (m,) of bootstrap samples of the tasks that keep each row of D (m, m)."""
    n_tasks, m = heads.points.shape
    gains = _rival_gains(heads, D, found)
    rivals = gains.topk(min(_RIVALS, gains.shape[1]), dim=1).indices.flatten()
    pool = torch.cat([D, found.pool.index_select(0, rivals)])
    c = heads.coefficients(pool)
    fit = fit_columns(c, heads.noise)
    terms = log_density(c, fit["spike"], fit["share"], fit["slab"])
    draws = torch.randint(n_tasks, (n_samples, n_tasks), generator=generator).to(D.device)
    counts = torch.zeros(n_samples, n_tasks, dtype=D.dtype, device=D.device)
    counts.scatter_add_(1, draws, torch.ones_like(counts))
    scores = counts @ terms.T
    chosen, _ = exchange(D.expand(n_samples, m, m), scores.narrow(1, 0, m), pool, scores, n_tasks)
    kept = _cosines(chosen, D.expand(n_samples, m, m)).amax(dim=1) > _SAME
    return kept.to(D.dtype).mean(dim=0)


def chance_evidence(heads: Heads, n_starts: int, generator: torch.Generator | None) -> Tensor:
    """Evidence (m,), decreasing, that the search finds in Gaussian heads, which have no zeros."""
    n_tasks, m = heads.points.shape
    draws = torch.randn(n_tasks, m, generator=generator, dtype=heads.points.dtype)
    draws = draws.to(heads.points.device)
    values, vectors = torch.linalg.eigh(draws.T @ draws / n_tasks)
    dense = Heads(draws @ (vectors / values.sqrt()) @ vectors.T, heads.noise, heads.metric)
    found = search(
        dense, n_starts=n_starts, n_normals=256, max_rounds=0, n_sweeps=2, generator=generator
    )
    return evidence(dense, found.best(1, n_tasks).squeeze(0)).sort(descending=True).values
