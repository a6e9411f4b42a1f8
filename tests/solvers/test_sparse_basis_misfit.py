"""Heads that are nearly sparse: the misfit that evidence chooses, and what it brings."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from sklearn_sparsedis.solvers import solve_sparse_basis
from sklearn_sparsedis.solvers.sparse_basis._exchange import joint_score
from sklearn_sparsedis.solvers.sparse_basis._misfit import basis_evidence
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns, unused_probability
from sklearn_sparsedis.solvers.sparse_basis._search import Heads


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _keyed_heads(seed, leak, n_tasks=25, m=5, stderr=0.01):
    """Heads with one large coefficient each and small ones elsewhere, errors, and the latents."""
    g = _generator(seed)
    W = leak * torch.randn(n_tasks, m, generator=g, dtype=torch.float64)
    W[torch.arange(n_tasks), torch.arange(n_tasks) % m] = 0.5 + 0.5 * torch.rand(
        n_tasks, generator=g, dtype=torch.float64
    )
    latents = torch.linalg.cholesky(torch.full((m, m), 0.5).double() + 0.5 * torch.eye(m))
    H = W @ latents
    error = torch.full((n_tasks,), stderr, dtype=torch.float64)
    noise = torch.randn(n_tasks, m, generator=g, dtype=torch.float64)
    return H + stderr * noise, error, latents


def _worst_cosine(result, latents):
    """Cosine of the latent that is recovered worst with its component."""
    found = normalize(torch.linalg.inv(result.directions.T))
    return (found @ normalize(latents).T).abs().amax(0).min()


def test_evidence_is_laplaces_in_the_tangent_directions():
    g = _generator(0)
    A = torch.randn(3, 3, generator=g, dtype=torch.float64)
    points = torch.randn(40, 3, generator=g, dtype=torch.float64)
    heads = Heads(points, torch.full((40,), 0.01, dtype=torch.float64), A @ A.T)
    D = heads.scaled(torch.randn(2, 3, 3, generator=g, dtype=torch.float64))
    fit = fit_columns(heads.coefficients(D), heads.noise)
    unused = unused_probability(heads.coefficients(D), heads.noise, fit["share"], fit["slab"])
    weight = unused / heads.noise + (1 - unused) / (heads.noise + fit["slab"])
    for b in range(2):
        expected = joint_score(heads, D[b : b + 1]).squeeze()
        for d, w in zip(D[b], weight[b], strict=True):
            # two orthonormal directions beside d, moved as a turn of d moves it
            beside = torch.linalg.svd(d.unsqueeze(0))[2][1:] * d.norm()
            moved = points @ beside.T
            curvature = (moved * w.unsqueeze(1)).T @ moved
            expected = expected - torch.logdet(curvature / (2 * math.pi)) / 2
        torch.testing.assert_close(basis_evidence(heads, D)[b], expected)


@pytest.mark.parametrize("seed", range(3))
def test_exact_zeros_need_no_misfit(seed):
    H, stderr, latents = _keyed_heads(seed, leak=0.0)
    result = solve_sparse_basis(H, stderr, generator=_generator(seed))
    assert result.misfit == 0
    assert _worst_cosine(result, latents) > 0.999
    assert ((result.unused < 0.5).sum(1) == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_small_effects_beside_large_ones_do_not_mislead(seed):
    H, stderr, latents = _keyed_heads(seed, leak=0.1)
    found = solve_sparse_basis(H, stderr, generator=_generator(seed))
    exact = solve_sparse_basis(H, stderr, min_effect=0.0, generator=_generator(seed))
    assert 0.05 < found.misfit < 0.2
    assert exact.misfit == 0
    # lucky zeros name more uses than the one of each head
    assert (found.unused < 0.5).sum() < 40 < (exact.unused < 0.5).sum()
    assert _worst_cosine(found, latents) > _worst_cosine(exact, latents)


def test_a_smallest_effect_that_is_known_is_taken():
    H, stderr, _ = _keyed_heads(0, leak=0.1)
    result = solve_sparse_basis(H, stderr, min_effect=0.15, generator=_generator(0))
    assert result.misfit.item() == pytest.approx(0.15)
    torch.testing.assert_close(result.coef_stderr, torch.full_like(H, 0.01))


@pytest.mark.parametrize("min_effect", [-0.1, 1.0, float("nan")])
def test_refuses_effects_that_are_no_share(min_effect):
    H, stderr, _ = _keyed_heads(0, leak=0.1)
    with pytest.raises(ValueError, match="min_effect"):
        solve_sparse_basis(H, stderr, min_effect=min_effect)
