"""Search with many heads: on a sample of them, refined and judged on all."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.sparse_basis._exchange import (
    N_BEST,
    SAME,
    Candidates,
    column_scores,
    cosines,
    exchange,
    exchange_gains,
)
from sklearn_sparsedis.solvers.sparse_basis._misfit import search_misfits
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns, log_density
from sklearn_sparsedis.solvers.sparse_basis._search import ANNEALING, Heads, ascend

__all__ = [
    "RIVALS",
    "rival_gains",
    "sample_size",
    "score_terms",
    "search_many",
]

RIVALS = 20  # directions of a pool that compete for the place of each row of a basis
# heads that the search sees: with half of these, correlated and noisy heads of 10 latents misled
# two searches of three
_SAMPLE, _SAMPLE_PER_DIRECTION = 2000, 200
# log-densities held at a time: 16 MB
_TERMS = 2_097_152


def sample_size(n_tasks: int, m: int) -> int:
    """Heads that the search sees."""
    return min(n_tasks, max(_SAMPLE, _SAMPLE_PER_DIRECTION * m))


def search_many(
    heads: Heads,
    misfits: tuple[float, ...],
    generator: torch.Generator | None,
    **options: Any,
) -> tuple[float, Candidates]:
    """`search_misfits` on a sample of the heads, its best bases refined on all.

    Where there are no more heads than the sample has, this is `search_misfits`.

    Parameters
    ----------
    heads : Heads
    misfits : tuple of float
        Tried beside none.
    generator : torch.Generator, optional
    **options
        Of `search_again`.

    Returns
    -------
    float
        The misfit of the bases.
    Candidates
        Scores are those of all heads; the pool is what competes with the best basis.

    Notes
    -----
    The sample is drawn at random. Its best bases climb on all heads, from spikes wide enough for
    what the sample left open, and exchange directions again. Heads with most leverage in place of
    random ones were worse: they are those that consist of noise.
    """
    n_tasks, m = heads.points.shape
    size = sample_size(n_tasks, m)
    if size == n_tasks:
        return search_misfits(heads, misfits, generator=generator, **options)
    drawn = torch.randperm(n_tasks, generator=generator)[:size]
    sample = heads.part(drawn.to(heads.points.device))
    misfit, found = search_misfits(sample, misfits, generator=generator, **options)
    sample, heads = sample.with_misfit(misfit), heads.with_misfit(misfit)
    best = found.best(1, size).squeeze(0)
    gains = rival_gains(sample, best, found)
    chosen = gains.topk(min(RIVALS, gains.shape[1]), dim=1).indices.flatten()
    pool = found.pool.index_select(0, chosen)
    D = ascend(heads, found.best(N_BEST, size), ANNEALING[3:], 2)
    scores = column_scores(heads, D)
    pool_scores = pool.new_zeros(len(pool))
    for _, terms in score_terms(heads, pool):
        pool_scores += terms.sum(-1)
    pool = torch.cat([pool, D.flatten(0, 1)])
    pool_scores = torch.cat([pool_scores, scores.flatten()])
    D, scores = exchange(D, scores, pool, pool_scores, n_tasks)
    return misfit, Candidates(D, scores, pool, pool_scores, found.ends)


def score_terms(heads: Heads, D: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Log-densities of all heads along directions (K, m), as pairs of tasks and terms (K, some).

    The mixture of each direction is fitted to as many heads as a sample has, evenly spread.
    """
    n_tasks, m = heads.points.shape
    some = heads.part(slice(0, n_tasks, n_tasks // sample_size(n_tasks, m)))
    fit = fit_columns(some.coefficients(D), some.noise_along(D))
    step = max(1, _TERMS // len(D))
    for start in range(0, n_tasks, step):
        tasks = slice(start, min(start + step, n_tasks))
        part = heads.part(tasks)
        noise = part.noise_along(D)
        yield tasks, log_density(part.coefficients(D), noise, fit["share"], fit["slab"])


def rival_gains(heads: Heads, D: Tensor, found: Candidates) -> Tensor:
    """Gains (m, K) of exchanging rows of D for directions of the pool; -inf for near copies."""
    scores = column_scores(heads, D).unsqueeze(0)
    n_tasks = len(heads.points)
    gains = exchange_gains(D.unsqueeze(0), scores, found.pool, found.pool_scores, n_tasks)
    return torch.where(cosines(D, found.pool) < SAME, gains.squeeze(0), -torch.inf)
