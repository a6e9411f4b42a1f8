"""The basis in which task heads are sparsest."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_sparsedis.solvers.sparse_basis._exchange import (
    Candidates,
    found_best,
    joint_score,
)
from sklearn_sparsedis.solvers.sparse_basis._misfit import MISFITS, STEADY, most_evident
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._polish import polish
from sklearn_sparsedis.solvers.sparse_basis._sample import sample_size, search_many
from sklearn_sparsedis.solvers.sparse_basis._search import Heads
from sklearn_sparsedis.solvers.sparse_basis._trust import (
    chance_evidence,
    evidence,
    margins,
    stability,
)

# heads known better than this fraction of their norm are treated as known to this fraction
_RELATIVE_NOISE_FLOOR = 1e-4
# hyperplanes through m - 1 random heads that join the search: this many at most, fewer where many
# tasks make each one dear and the starts sufficient
_N_NORMALS = 1000
_NORMALS_TIMES_TASKS = 200_000
_N_BOOTSTRAP = 100
_N_SEARCHES = 5


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
    misfit : Tensor of shape ()
        Standard deviation by which unused heads miss zero, beside their errors, in units of a
        head's norm; zero where the zeros are exact as far as the errors can tell.
    score : Tensor of shape ()
        Joint log-likelihood, up to a constant of the heads.
    evidence : Tensor of shape (m,)
        Gain in log-likelihood (nats) of each column over heads without zeros or any other preferred
        direction, whatever their norms.
    chance : Tensor of shape (m,)
        Evidence that the column owes to the choice of its direction, by cross-validation over the
        heads, and three nats: evidence below it is not strong.
    margin : Tensor of shape (m,)
        Log-likelihood (nats) lost when the direction gives way to its best rival, which is more
        than 25 degrees away in coordinates that make the heads spherical.
    stability : Tensor of shape (m,)
        Probability that the component, row j of the inverse of `directions.T`, keeps a correlation
        of more than .95 with itself, on features of unit covariance: over bootstrap samples of the
        tasks, which choose each direction among its rivals, and over the errors of the directions.
    n_found : Tensor of shape ()
        Random starts that led to this basis.
    n_starts : Tensor of shape ()
        Random starts of all searches.
    """

    directions: Tensor
    coef: Tensor
    coef_stderr: Tensor
    unused: Tensor
    misfit: Tensor
    score: Tensor
    evidence: Tensor
    chance: Tensor
    margin: Tensor
    stability: Tensor
    n_found: Tensor
    n_starts: Tensor


def _spherical(H: Tensor, stderr: Tensor, errors: Tensor | None) -> tuple[Heads, Tensor]:
    """Heads of unit norm in spherical coordinates, and the map R with points = heads @ R."""
    norm = H.norm(dim=1, keepdim=True).clamp_min(torch.finfo(H.dtype).tiny)
    unit = H / norm
    noise = (stderr / norm.squeeze(1)).clamp(_RELATIVE_NOISE_FLOOR, 1.0) ** 2
    values, vectors = torch.linalg.eigh(unit.T @ unit / len(H))
    values = torch.maximum(values, values.amax() * torch.finfo(H.dtype).eps)
    to_sphere = vectors / values.sqrt()
    if errors is not None:
        errors = to_sphere.T @ (errors / norm.square().unsqueeze(-1)) @ to_sphere
    points, metric = unit @ to_sphere, to_sphere.T @ to_sphere
    return Heads(points, noise, metric, errors, _RELATIVE_NOISE_FLOOR**2), to_sphere


def _with_matrices(stderr: Tensor) -> tuple[Tensor, Tensor | None]:
    """Standard errors (T,) of heads, and the matrices that they were given as."""
    if stderr.ndim == 1:
        return stderr, None
    return stderr.diagonal(dim1=1, dim2=2).mean(1).sqrt(), stderr


def judge_directions(
    H: Tensor, stderr: Tensor, directions: Tensor, misfit: float
) -> tuple[Tensor, Tensor]:
    """Joint log-likelihood of heads along given directions (m, m), and which ones are unused.

    Parameters
    ----------
    H, stderr : Tensor
        As in `solve_sparse_basis`.
    directions : Tensor of shape (m, m)
        Rows are directions, of any length.
    misfit : float
        As in its result.

    Returns
    -------
    score : Tensor of shape ()
    unused : Tensor of shape (T, m)
        As in its result.
    """
    heads, to_sphere = _spherical(H, *_with_matrices(stderr))
    heads = heads.with_misfit(misfit)
    D = heads.scaled(torch.linalg.solve(to_sphere, directions.T).T)
    c, noise = heads.coefficients(D), heads.noise_along(D)
    fit = fit_columns(c, noise)
    unused = unused_probability(c, noise, fit["share"], fit["slab"])
    return joint_score(heads, D.unsqueeze(0)).squeeze(), unused.T


def default_n_starts(n_tasks: int, m: int) -> int:
    """Starts that a fixed budget of arithmetic a sweep allows, between 8 and 64."""
    # m^2 for the moments of a direction, 300 for its likelihood, which needs exponentials
    return max(8, min(64, int(3e8 / (n_tasks * m * (m**2 + 300)))))


def solve_sparse_basis(
    H: Tensor,
    stderr: Tensor,
    *,
    min_effect: float | None = None,
    least_effect: float = 0.0,
    n_starts: int | None = None,
    max_rounds: int = 12,
    trust: bool = True,
    generator: torch.Generator | None = None,
) -> SparseBasisResult:
    """Find the basis in which the heads of many tasks are sparsest.

    The heads are ``H = W A^-1`` with sparse rows in W and an unknown invertible A. Latent j is
    unused by task t when ``<h_t, d_j> = 0``. With coefficients ``c_tj = <h_t, d_j>`` whose errors
    have variance ``v_tj = max(stderr_t, k ||h_t||)^2 ||d_j||^2``, this maximises over D, and over
    each column's share p_j of users and their variance s_j,

        sum_tj log[(1 - p_j) N(c_tj; 0, v_tj) + p_j N(c_tj; 0, v_tj + s_j)] + T log |det D|.

    As the errors shrink, each unused head gains about ``log(s_j / v_tj) / 2``: the objective counts
    the zeros of the heads, the L0 of [1]_, with each head weighted by its own precision. The
    determinant is what chooses the directions jointly: a near copy of a direction costs T times
    the logarithm of its angle.

    Parameters
    ----------
    H : Tensor of shape (T, m), floating point
        Heads, one task a row, on features of unit covariance; T > m and full column rank.
    stderr : Tensor of shape (T,) or (T, m, m)
        Standard error of a head's coefficients, or the covariance matrix of their errors, which
        must be positive definite. One number a head is quicker: a matrix takes ``T m^2`` more
        operations for each direction that is looked at.
    min_effect : float, optional
        The misfit k: coefficients below this share of a head's norm count as zero beside what the
        errors explain. By default one chosen by evidence, between none and two sevenths.
    least_effect : float, default=0
        Where the misfit is chosen, the least one, for heads of which no zero is believed exact.
    n_starts : int, optional
        Random starts, all searched at once; by default what a fixed budget of arithmetic allows,
        and up to four further searches of half as many until two starts have led to the best basis.
    max_rounds : int, default=12
        Most rounds of perturbation and renewed search; they end after two without gain.
    trust : bool, default=True
        Whether to find out how far the basis can be trusted, which can take as long as the search.
        Otherwise `chance`, `margin` and `stability` of the result are NaN.
    generator : torch.Generator, optional
        Draws the starts, on the CPU so that they are the same on every device.

    Returns
    -------
    SparseBasisResult

    Raises
    ------
    ValueError
        If the shapes do not fit, there are not more tasks than directions, or `min_effect` is not
        between 0 and 1.

    Notes
    -----
    The heads are first made spherical, so that the search is equivariant to every linear mixing
    of the features. Each start climbs by majorisation (for Gaussian scale mixtures the bound is
    quadratic in each direction, and its maximum over one direction given the others is closed
    form: the iterative projection of [2]_), while the spike narrows. Then the directions of all
    starts, and the normals of hyperplanes through m - 1 random heads, form one pool, from which
    every basis exchanges its directions for better ones; the best bases are polished, perturbed
    and exchanged again. Sweeps with Anderson's acceleration take the best one to the maximum next
    to it, to rounding. Real heads are nearly sparse: m - 1 exact zeros a direction come for
    nothing, and each gains the more likelihood the smaller its error is, so that likelihood alone
    prefers lucky zeros to small effects. The misfit k is therefore chosen, and bases are compared,
    by their evidence: Laplace's approximation, which takes from the log-likelihood
    ``log det(K_j / 2 pi) / 2`` for the curvature K_j in the m - 1 directions in which d_j can turn
    [3]_. Where it is not zero, the basis is that of a misfit wider by the root of two, which small
    errors turn less, and k is half-way between the two. Cost of a sweep: ``n_starts T m^3``. Of
    more than 2000 heads (200 m, if that is more) the search sees a sample; the best bases are
    refined and judged on all. Nothing is recorded for autograd.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.
    .. [2] Ono, "Stable and fast update rules for independent vector analysis based on auxiliary
       function technique", WASPAA 2011.
    .. [3] MacKay, "Bayesian interpolation", Neural Computation, 1992.
    """
    if H.ndim != 2 or stderr.shape not in (H.shape[:1], (*H.shape, H.shape[1])):
        raise ValueError(
            "H must have shape (T, m) and stderr shape (T,) or (T, m, m); "
            f"got {tuple(H.shape)} and {tuple(stderr.shape)}."
        )
    n_tasks, m = H.shape
    stderr, errors = _with_matrices(stderr)
    if n_tasks <= m:
        raise ValueError(
            f"A basis of {m} directions needs more than {m} heads, got {n_tasks}: "
            "with as many heads as directions, each head is its own axis and nothing is found."
        )
    least = least_effect if min_effect is None else min_effect
    if not 0 <= least < 1:
        raise ValueError(
            "min_effect is a share of a head's norm, at least 0 and below 1, or None for the one "
            f"of most evidence, and least_effect such a share; got {least!r}."
        )
    with torch.no_grad():
        heads, to_sphere = _spherical(H, stderr, errors)
        heads = heads.with_misfit(least)
        n_seen = sample_size(n_tasks, m)
        misfit, found = search_many(
            heads,
            MISFITS if min_effect is None else (),
            generator,
            n_starts=n_starts or default_n_starts(n_tasks, m),
            n_searches=1 if n_starts else _N_SEARCHES,
            n_normals=max(64, min(_N_NORMALS, _NORMALS_TIMES_TASKS // n_seen)),
            max_rounds=max_rounds,
            n_sweeps=3,
        )
        widened = STEADY if min_effect is None else 1.0
        likeliest = heads.with_misfit(misfit / widened)
        judged = heads.with_misfit(misfit / widened**0.5)
        heads = heads.with_misfit(misfit)
        all_heads = (heads, judged, likeliest)
        D = polish(heads, most_evident(heads, found)[0])
        result = _result(H, errors, stderr, all_heads, to_sphere, found, D)
        if not trust:
            return result
        return replace(
            result,
            chance=chance_evidence(likeliest, D, generator),
            margin=margins(heads, D, found),
            stability=stability(heads, D, found, to_sphere, _N_BOOTSTRAP, generator),
        )


def _result(
    H: Tensor,
    errors: Tensor | None,
    stderr: Tensor,
    all_heads: tuple[Heads, Heads, Heads],
    to_sphere: Tensor,
    found: Candidates,
    D: Tensor,
) -> SparseBasisResult:
    """A basis D of the first heads; supports are of the second, evidence of the third."""
    heads, judged, likeliest = all_heads
    c = judged.coefficients(D)
    noise = judged.noise_along(D)
    fit = fit_columns(c, noise)
    n_found = found_best(found.ends, D).sum()
    unused = unused_probability(c, noise, fit["share"], fit["slab"])
    directions = torch.nn.functional.normalize(D @ to_sphere.T, dim=1)
    coef_stderr = stderr.unsqueeze(1).expand_as(H)
    unknown = H.new_full((H.shape[1],), torch.nan)
    if errors is not None:
        coef_stderr = ((directions @ errors) * directions).sum(2).sqrt()
    return SparseBasisResult(
        directions=directions,
        coef=H @ directions.T,
        coef_stderr=coef_stderr,
        unused=unused.T,
        misfit=H.new_tensor(judged.misfit),
        score=joint_score(heads, D.unsqueeze(0)).squeeze(),
        evidence=evidence(likeliest, D),
        chance=unknown,
        margin=unknown,
        stability=unknown,
        n_found=n_found,
        n_starts=torch.full_like(n_found, len(found.ends)),
    )
