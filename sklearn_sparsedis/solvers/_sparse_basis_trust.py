"""How far to trust each direction of a sparsest basis."""

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._sparse_basis_exchange import Candidates, exchange
from sklearn_sparsedis.solvers._sparse_basis_model import fit_columns, gaussian_loglik
from sklearn_sparsedis.solvers._sparse_basis_sample import (
    RIVALS,
    SAME,
    cosines,
    rival_gains,
    score_terms,
    search_many,
)
from sklearn_sparsedis.solvers._sparse_basis_search import Heads


def evidence(heads: Heads, D: Tensor) -> Tensor:
    """Gain in log-likelihood (...,) of directions (..., m) over a fit without zeros."""
    c = heads.coefficients(D)
    return fit_columns(c, heads.noise)["loglik"] - gaussian_loglik(c, heads.noise)


def margins(heads: Heads, D: Tensor, found: Candidates) -> Tensor:
    """Log-likelihood (m,) lost when a row of D (m, m) gives way to its best other direction."""
    return -rival_gains(heads, D, found).amax(dim=1)


def stability(
    heads: Heads, D: Tensor, found: Candidates, n_samples: int, generator: torch.Generator | None
) -> Tensor:
    """Share (m,) of bootstrap samples of the tasks that keep each row of D (m, m)."""
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
    kept = cosines(chosen, D.expand(n_samples, m, m)).amax(dim=1) > SAME
    return kept.to(D.dtype).mean(dim=0)


def chance_evidence(heads: Heads, n_starts: int, generator: torch.Generator | None) -> Tensor:
    """Evidence (m,), decreasing, that the search finds in Gaussian heads, which have no zeros."""
    n_tasks, m = heads.points.shape
    draws = torch.randn(n_tasks, m, generator=generator, dtype=heads.points.dtype)
    draws = draws.to(heads.points.device)
    values, vectors = torch.linalg.eigh(draws.T @ draws / n_tasks)
    dense = Heads(draws @ (vectors / values.sqrt()) @ vectors.T, heads.noise, heads.metric)
    found = search_many(
        dense, generator, n_starts=n_starts, n_normals=256, max_rounds=0, n_sweeps=2
    )
    return evidence(dense, found.best(1, n_tasks).squeeze(0)).sort(descending=True).values
