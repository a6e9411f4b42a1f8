"""How far unused heads miss zero: a misfit that all columns share, chosen by its evidence."""

import math
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.sparse_basis._exchange import (
    N_BEST,
    Candidates,
    joint_score,
    search_again,
)
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._search import Heads, weighted_moments

# standard deviations of the misfit that are tried, in units of a head's norm
MISFITS = (0.02, 0.03, 0.042, 0.06, 0.085, 0.12, 0.17, 0.24)
# The evidence hardly tells misfits of a factor of two apart, and of these wider ones give the
# steadier bases: small errors of single heads turn them less. So the basis is searched for with a
# misfit this much wider than the one of most evidence, and what a head uses is judged by the one
# half-way.
STEADY = 2**0.5
_HOPELESS = 10.0  # nats of evidence that no wider misfit makes good
_WIDER = 1.2  # least gain in variance for which a misfit is tried beside the errors


def basis_evidence(heads: Heads, D: Tensor) -> Tensor:
    """Log of the evidence (B,) of bases D (B, m, m): Laplace's approximation around directions.

    The joint log-likelihood minus ``sum_j log det(K_j / 2 pi) / 2``, where K_j is the curvature in
    the m - 1 directions in which d_j can turn. Of m - 1 exact zeros a direction, which come for
    nothing, each gains the more likelihood the smaller its error is, and as much curvature.
    """
    D = heads.scaled(D)
    n_tasks, m = heads.points.shape
    c = heads.coefficients(D)
    noise = heads.noise_along(D)
    fit = fit_columns(c, noise)
    unused = unused_probability(c, noise, fit["share"], fit["slab"])
    weight = unused / noise + (1 - unused) / (noise + fit["slab"])
    factor = torch.linalg.cholesky_ex(weighted_moments(heads, weight) * n_tasks)[0]
    length = D.norm(dim=2)
    # the determinant on the complement of a direction u of unit length is det K * (u' K^-1 u)
    unit = (D / length.unsqueeze(2)).unsqueeze(3)
    inverse = (unit * torch.cholesky_solve(unit, factor)).sum((2, 3))
    log_det = 2 * factor.diagonal(dim1=2, dim2=3).log().sum(2) + inverse.log()
    log_det = log_det + (m - 1) * (2 * length.log() - math.log(2 * math.pi))
    evidence = joint_score(heads, D).flatten() - log_det.sum(1) / 2
    return evidence.nan_to_num(nan=-torch.inf)


def search_misfits(
    heads: Heads,
    misfits: tuple[float, ...],
    *,
    n_starts: int,
    generator: torch.Generator | None,
    **options: Any,
) -> tuple[float, Candidates]:
    """The misfit of most evidence times `STEADY`, and the bases that `search_again` finds with it.

    The heads are searched without a misfit first, or with the one that they have. Then misfits are
    tried from narrow to wide, each with few starts beside the best bases of the one before, until
    one has hopelessly little evidence; the best one, widened, is then searched from all starts.
    """
    found = search_again(heads, n_starts=n_starts, generator=generator, **options)
    basis, best = most_evident(heads, found)
    known, kept, before = basis.unsqueeze(0), heads.misfit, found
    for misfit in misfits:
        wide = heads.with_misfit(misfit)
        if not any_true(wide.noise.median() > _WIDER * heads.noise.median()):
            continue
        few = {**options, "n_starts": max(1, n_starts // 2), "max_rounds": 0, "n_searches": 1}
        starts = before.best(N_BEST, len(heads.points))
        before = search_again(wide, generator=generator, known=starts, **few)
        basis, evidence = most_evident(wide, before)
        if any_true(evidence > best):
            best, kept, known = evidence, misfit, basis.unsqueeze(0)
        if any_true(evidence < best - _HOPELESS):
            break
    if kept and misfits:
        kept *= STEADY
        wide = heads.with_misfit(kept)
        found = search_again(wide, n_starts=n_starts, generator=generator, known=known, **options)
    return kept, found


def most_evident(heads: Heads, found: Candidates) -> tuple[Tensor, Tensor]:
    """The basis (m, m) of most evidence among the likeliest ones and those of the starts."""
    D = torch.cat([found.best(N_BEST, len(heads.points)), found.ends])
    evidence = basis_evidence(heads, D)
    best = evidence.argmax()
    return D[best], evidence[best]
