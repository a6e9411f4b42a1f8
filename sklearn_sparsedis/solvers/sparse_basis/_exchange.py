"""Global search: directions of all local searches compete for a place in the basis.

Shapes as in `_search`: directions are rows; D (B, m, m) holds B bases, `pool` (K, m)
single directions.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns
from sklearn_sparsedis.solvers.sparse_basis._search import ANNEALING, Heads, ascend

SAME = 0.9  # cosine, in spherical coordinates, above which two directions count as one
N_BEST = 4  # bases that are polished and perturbed
_REPLACED = 0.4  # share of the rows that a perturbation replaces
_PATIENCE = 2  # rounds without gain before the search ends
_ENOUGH = 2  # starts that lead to the best basis
_AGREEMENT = 0.25  # share of the starts that find the best basis by themselves: no rounds needed


@dataclass(frozen=True)
class Candidates:
    """Bases, the pool of directions they chose from, and the column scores of both.

    Attributes
    ----------
    D : Tensor of shape (B, m, m)
    scores : Tensor of shape (B, m)
    pool : Tensor of shape (K, m)
    pool_scores : Tensor of shape (K,)
    ends : Tensor of shape (A, m, m)
        Basis to which each random start led.
    """

    D: Tensor
    scores: Tensor
    pool: Tensor
    pool_scores: Tensor
    ends: Tensor

    def joint(self, n_tasks: int) -> Tensor:
        """Joint log-likelihood (B,): column scores plus ``T log |det D|``."""
        return self.scores.sum(-1) + n_tasks * torch.linalg.slogdet(self.D)[1]

    def best(self, n: int, n_tasks: int) -> Tensor:
        """The n best bases, best first."""
        return self.D.index_select(0, self.joint(n_tasks).topk(min(n, len(self.D))).indices)


def found_best(ends: Tensor, best: Tensor) -> Tensor:
    """Which starts (A,) led to all directions of a basis (m, m)."""
    return (cosines(best, ends).amax(-1) > SAME).all(-1)


def cosines(A: Tensor, B: Tensor) -> Tensor:
    """Absolute cosines between rows of A (..., p, m) and B (..., q, m)."""
    return (
        torch.nn.functional.normalize(A, dim=-1) @ torch.nn.functional.normalize(B, dim=-1).mT
    ).abs()


def column_scores(heads: Heads, D: Tensor) -> Tensor:
    """Log-likelihood (...,) of the heads along directions (..., m)."""
    return fit_columns(heads.coefficients(D), heads.noise_along(D))["loglik"]


def joint_score(heads: Heads, D: Tensor) -> Tensor:
    """Joint log-likelihood (B, 1, 1) of bases D (B, m, m)."""
    determinant = torch.linalg.slogdet(D)[1]
    joint = column_scores(heads, D).sum(-1) + len(heads.points) * determinant
    return joint[:, None, None]


def exchange_gains(
    D: Tensor, scores: Tensor, pool: Tensor, pool_scores: Tensor, n_tasks: int
) -> Tensor:
    """Gain in the joint score when row i of D gives way to direction k of the pool.

    Parameters
    ----------
    D : Tensor of shape (B, m, m)
    scores : Tensor of shape (B, m)
    pool : Tensor of shape (K, m)
    pool_scores : Tensor of shape (K,) or (B, K)
    n_tasks : int

    Returns
    -------
    Tensor of shape (B, m, K)
    """
    ratio = _determinant_ratios(D, pool).clamp_min_(torch.finfo(D.dtype).tiny)
    return pool_scores.unsqueeze(-2) - scores.unsqueeze(-1) + n_tasks * ratio.log()


def _determinant_ratios(D: Tensor, pool: Tensor) -> Tensor:
    """Factor (B, m, K) by which the determinant changes: one product prices all exchanges."""
    ratios = torch.linalg.inv(D).mT.flatten(0, 1) @ pool.T
    return ratios.abs_().view(*D.shape[:2], len(pool))


def _best_exchange(
    D: Tensor, scores: Tensor, pool: Tensor, pool_scores: Tensor, weight: Tensor, n_tasks: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Largest of the gains of each basis, its row and its direction, shape (B,) each.

    The ratios of determinants are multiplied by the weights ``exp(pool_scores / T)``, so that no
    logarithm of all of them is needed to compare them.
    """
    direction = (_determinant_ratios(D, pool) * weight.unsqueeze(-2)).argmax(2)
    incoming = pool[direction]
    ratio = (torch.linalg.inv(D).mT * incoming).sum(2).abs()
    ratio = ratio.clamp_min(torch.finfo(D.dtype).tiny)
    gain, row = (pool_scores.gather(1, direction) - scores + n_tasks * ratio.log()).max(1)
    return gain, row, direction.gather(1, row.unsqueeze(1)).squeeze(1)


def exchange(
    D: Tensor, scores: Tensor, pool: Tensor, pool_scores: Tensor, n_tasks: int
) -> tuple[Tensor, Tensor]:
    """Replace rows by directions of the pool, best exchange first, until none gains.

    Shapes as in `exchange_gains`. Returns the directions and their scores (B, m).
    """
    D, scores = D.clone(), scores.clone()
    rows = torch.arange(D.shape[1], device=D.device)
    active = torch.arange(len(D), device=D.device)
    weight = ((pool_scores - pool_scores.amax(-1, keepdim=True)) / n_tasks).exp()
    weight, pool_scores = (x.expand(len(D), -1) for x in (weight, pool_scores))
    for _ in range(4):
        some, own, worth, priced = D[active], scores[active], weight[active], pool_scores[active]
        for _ in range(D.shape[1]):
            gain, row, new = _best_exchange(some, own, pool, priced, worth, n_tasks)
            accept = gain > 1e-6
            here = (rows == row.unsqueeze(1)) & accept.unsqueeze(1)
            some = torch.where(here.unsqueeze(2), pool[new].unsqueeze(1), some)
            own = torch.where(here, priced.gather(1, new.unsqueeze(1)), own)
        D[active], scores[active] = some, own
        if not any_true(accept):
            break
        if D.is_cpu:  # elsewhere to know how many are left would cost more than it saves
            active = active[accept.nonzero()[:, 0]]  # the others have nothing more to gain
    return D, scores


def subset_normals(heads: Heads, n: int, generator: torch.Generator | None) -> Tensor:
    """Normals (n, m) of the hyperplanes through m - 1 heads drawn at random."""
    n_tasks, m = heads.points.shape
    draws = torch.rand(n, n_tasks, generator=generator)
    rows = draws.topk(m, dim=1).indices.to(heads.points.device)
    system = heads.points.index_select(0, rows.flatten()).reshape(n, m, m)
    # equal heads make the system singular; the answer is then any normal
    eye = torch.eye(m, dtype=system.dtype, device=system.device)
    system = system + torch.finfo(system.dtype).eps ** 0.6 * eye
    target = eye.narrow(1, m - 1, 1).expand(n, m, 1)
    return heads.scaled(torch.linalg.solve_ex(system, target)[0].squeeze(-1))


def _uniform(n: int, m: int, generator: torch.Generator | None, like: Tensor) -> Tensor:
    return torch.rand(n, m, generator=generator, dtype=like.dtype).to(like.device)


def _perturb(found: Candidates, n: int, n_tasks: int, generator: torch.Generator | None) -> Tensor:
    """Copies (n, m, m) of the best bases with some rows replaced from the pool."""
    best = found.best(N_BEST, n_tasks)
    n_best, m, _ = best.shape
    copies = best.repeat(-(-n // n_best), 1, 1).narrow(0, 0, n)
    chosen = (_uniform(n, m, generator, best) * len(found.pool)).long()
    replaced = _uniform(n, m, generator, best) < _REPLACED
    incoming = found.pool.index_select(0, chosen.flatten()).reshape(n, m, m)
    D = torch.where(replaced.unsqueeze(-1), incoming, copies)
    # two rows may have become equal
    noise = _uniform(n, m * m, generator, best).reshape(n, m, m) - 0.5
    return D + 1e-3 * noise * D.norm(dim=-1, keepdim=True)


def _compete(heads: Heads, found: Candidates, D: Tensor) -> Candidates:
    """Add bases D to the pool; they exchange rows with it."""
    scores = column_scores(heads, D)
    pool = torch.cat([found.pool, D.flatten(0, 1)])
    pool_scores = torch.cat([found.pool_scores, scores.flatten()])
    D, scores = exchange(D, scores, pool, pool_scores, len(heads.points))
    return Candidates(D, scores, pool, pool_scores, found.ends)


def search_again(heads: Heads, *, n_starts: int, n_searches: int, **options: Any) -> Candidates:
    """Searches from new starts until two starts have led to the best basis of all.

    After the first search the others have half of its starts; there are `n_searches` at most.
    """
    found, n_tasks = search(heads, n_starts=n_starts, **options), len(heads.points)
    for _ in range(1, n_searches):
        n_found = found_best(found.ends, found.best(1, n_tasks).squeeze(0)).sum()
        if not any_true(n_found < _ENOUGH):
            break
        more = search(heads, n_starts=max(1, n_starts // 2), **options)
        both = ((getattr(found, f.name), getattr(more, f.name)) for f in fields(found))
        found = Candidates(*map(torch.cat, both))
    return found


def search(
    heads: Heads,
    *,
    n_starts: int,
    n_normals: int,
    max_rounds: int,
    n_sweeps: int,
    generator: torch.Generator | None,
    known: Tensor | None = None,
) -> Candidates:
    """Bases found from random starts, best first.

    Every start climbs on its own; then all exchange rows with one pool, to which normals of
    random hyperplanes are added; the best bases are polished, copies of them perturbed, climbed
    and exchanged again, in rounds that end when two of them bring nothing. Where a quarter of the
    starts find the best basis on their own there are no rounds.
    """
    n_tasks, m = heads.points.shape
    noise = torch.randn(n_starts, m, m, generator=generator, dtype=heads.points.dtype)
    D = torch.linalg.qr(noise.to(heads.points.device))[0]
    normals = subset_normals(heads, n_normals, generator)
    D = ascend(heads, D, ANNEALING, n_sweeps)
    found = Candidates(D, column_scores(heads, D), normals, column_scores(heads, normals), D)
    alone = found.joint(n_tasks)
    if known is not None:
        D = torch.cat([D, ascend(heads, known, ANNEALING[-4:], n_sweeps)])
    found = _compete(heads, found, D)
    polished = ascend(heads, found.best(N_BEST, n_tasks), ANNEALING[-4:], n_sweeps)
    found = _compete(heads, found, polished)
    # polishing gains a little everywhere: compare within about one nat a direction
    agree = (alone > found.joint(n_tasks).max() - m).to(D.dtype).mean() >= _AGREEMENT
    idle = torch.where(agree, _PATIENCE, 0)
    for _ in range(max_rounds):
        if not any_true(idle < _PATIENCE):
            break
        before = found.joint(n_tasks).max()
        copies = _perturb(found, max(8, n_starts // 2), n_tasks, generator)
        climbed = ascend(heads, copies, ANNEALING[3:], 2)
        best = found.best(N_BEST, n_tasks)
        found = _compete(heads, found, torch.cat([best, climbed]))
        polished = ascend(heads, found.best(N_BEST, n_tasks), ANNEALING[-4:], n_sweeps)
        found = _compete(heads, found, torch.cat([found.best(1, n_tasks), polished]))
        gained = found.joint(n_tasks).max() > before + 1e-3 * n_tasks**0.5
        idle = torch.where(gained, torch.zeros_like(idle), idle + 1)
    best = found.best(1, n_tasks)
    # a search that finds its best basis by exchange alone has found it from one start
    missed = ~found_best(found.ends, best.squeeze(0)).any()
    ends = torch.cat([torch.where(missed, best, found.ends[:1]), found.ends[1:]])
    return replace(found, ends=ends)
