"""The basis in which task heads are sparsest."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.solvers._sparse_basis_model import (
    fit_columns,
    gaussian_loglik,
    mixture_terms,
)
from sklearn_sparsedis.solvers._sparse_basis_search import (
    ANNEALING,
    Heads,
    ascend,
    column_scores,
    exchange,
    joint_score,
)

# heads known better than this fraction of their norm are treated as known to this fraction
_RELATIVE_NOISE_FLOOR = 1e-4


@dataclass(frozen=True)
class SparseBasisResult:
    """The sparsest basis of a set of heads, and how far to trust it.

    Attributes
    ----------
    directions : Tensor of shape (m, m)
        Row j is the unit normal of the hyperplane that holds the heads which do not use latent j.
    coef : Tensor of shape (T, m)
        Heads in the new basis, ``H @ directions.T``.
    coef_stderr : Tensor of shape (T, m)
        Their standard errors.
    unused : Tensor of shape (T, m)
        Posterior probability that task t does not use latent j.
    score : Tensor of shape ()
        Joint log-likelihood, up to a constant of the heads.
    evidence : Tensor of shape (m,)
        Gain in log-likelihood (nats) of each column over a column without zeros (one Gaussian).
    """

    directions: Tensor
    coef: Tensor
    coef_stderr: Tensor
    unused: Tensor
    score: Tensor
    evidence: Tensor


def _spherical(H: Tensor, stderr: Tensor) -> tuple[Heads, Tensor]:
    """Heads of unit norm in spherical coordinates, and the map R with points = heads @ R."""
    norm = H.norm(dim=1).clamp_min(torch.finfo(H.dtype).tiny)
    unit = H / norm[:, None]
    noise = (stderr / norm).clamp(_RELATIVE_NOISE_FLOOR, 1.0) ** 2
    values, vectors = torch.linalg.eigh(unit.T @ unit / len(H))
    values = values.clamp_min(values[-1] * torch.finfo(H.dtype).eps)
    to_sphere = vectors / values.sqrt()
    return Heads(unit @ to_sphere, noise, to_sphere.T @ to_sphere), to_sphere


def default_n_starts(n_tasks: int, m: int) -> int:
    """Starts that about 2e8 multiply-adds a sweep allow, between 16 and 128."""
    return max(16, min(128, int(2e8 / (n_tasks * m**3))))


def solve_sparse_basis(
    H: Tensor,
    stderr: Tensor,
    *,
    n_starts: int | None = None,
    n_sweeps: int = 3,
    generator: torch.Generator | None = None,
) -> SparseBasisResult:
    """Find the basis in which the heads of many tasks are sparsest.

    The heads are ``H = W A^-1`` with sparse rows in W and an unknown invertible A. Latent j is
    unused by task t when ``<h_t, d_j> = 0``. With coefficients ``c_tj = <h_t, d_j>`` whose errors
    have variance ``v_tj = stderr_t^2 ||d_j||^2``, this maximises over D, and over each column's
    share p_j of users, their variance s_j and a misfit k_j,

        sum_tj log[(1 - p_j) N(c_tj; 0, v_tj + k_j) + p_j N(c_tj; 0, v_tj + k_j + s_j)]
        + T log |det D|.

    As the errors shrink, each unused head gains about ``log(s_j / v_tj) / 2``: the objective counts
    the zeros of the heads, the L0 of [1]_, with each head weighted by its own precision. The
    determinant is what chooses the directions jointly: a near copy of a direction costs T times
    the logarithm of its angle.

    Parameters
    ----------
    H : Tensor of shape (T, m), floating point
        Heads, one task a row, on features of unit covariance; T > m and full column rank.
    stderr : Tensor of shape (T,)
        Standard error of a head's coefficients.
    n_starts : int, optional
        Random starts, all searched at once; by default what a fixed budget of arithmetic allows.
    n_sweeps : int, default=3
        Sweeps over all directions at each of the spike widths.
    generator : torch.Generator, optional
        Draws the starts, on the CPU so that they are the same on every device.

    Returns
    -------
    SparseBasisResult

    Raises
    ------
    ValueError
        If the shapes do not fit, or there are not more tasks than directions.

    Notes
    -----
    The heads are first made spherical, so that the search is equivariant to every linear mixing
    of the features. Each start climbs by majorisation (for Gaussian scale mixtures the bound is
    quadratic in each direction, and its maximum over one direction given the others is closed
    form: the iterative projection of [2]_), while the spike narrows. Then the directions of all
    starts form one pool, from which every start exchanges its directions for better ones; the best
    ones are polished. Cost of a sweep: ``n_starts T m^3``. Nothing is recorded for autograd.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.
    .. [2] Ono, "Stable and fast update rules for independent vector analysis based on auxiliary
       function technique", WASPAA 2011.
    """
    if H.ndim != 2 or stderr.shape != H.shape[:1]:
        raise ValueError(
            "H must have shape (T, m) and stderr shape (T,); "
            f"got {tuple(H.shape)} and {tuple(stderr.shape)}."
        )
    n_tasks, m = H.shape
    if n_tasks <= m:
        raise ValueError(
            f"A basis of {m} directions needs more than {m} heads, got {n_tasks}: "
            "with as many heads as directions, each head is its own axis and nothing is found."
        )
    with torch.no_grad():
        heads, to_sphere = _spherical(H, stderr)
        starts = torch.randn(
            n_starts or default_n_starts(n_tasks, m), m, m, generator=generator, dtype=H.dtype
        )
        D = ascend(heads, torch.linalg.qr(starts.to(H.device))[0], ANNEALING, n_sweeps)
        D, score = _recombine(heads, D)
        return _result(H, heads, D @ to_sphere.T, D, score)


def _recombine(heads: Heads, D: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange directions between starts, polish the best ones, return the winner."""
    n_tasks, m = heads.points.shape
    pool, scores = D.flatten(0, 1), column_scores(heads, D)
    pool_scores = scores.flatten()
    D, scores = exchange(D, scores, pool, pool_scores, n_tasks)
    best = joint_score(D, scores, n_tasks).topk(min(4, len(D))).indices
    D = ascend(heads, D[best], ANNEALING[-4:], 3)
    scores = column_scores(heads, D)
    pool = torch.cat([pool, D.flatten(0, 1)])
    D, scores = exchange(D, scores, pool, torch.cat([pool_scores, scores.flatten()]), n_tasks)
    joint = joint_score(D, scores, n_tasks)
    winner = joint.argmax().reshape(1)
    return D.index_select(0, winner)[0], joint.max()


def _result(
    H: Tensor, heads: Heads, directions: Tensor, D: Tensor, score: Tensor
) -> SparseBasisResult:
    c = heads.coefficients(D)
    fit = fit_columns(c, heads.noise)
    _, unused, _ = mixture_terms(c, fit["spike"], fit["share"], fit["slab"])
    directions = directions / directions.norm(dim=1, keepdim=True)
    norm = H.norm(dim=1, keepdim=True)
    return SparseBasisResult(
        directions=directions,
        coef=H @ directions.T,
        coef_stderr=(heads.noise.sqrt()[:, None] * norm).expand_as(H),
        unused=unused.T,
        score=score,
        evidence=fit["loglik"] - gaussian_loglik(c, heads.noise),
    )
