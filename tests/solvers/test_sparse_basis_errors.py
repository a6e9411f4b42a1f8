"""Heads whose errors have covariance matrices of their own."""

import pytest
import torch
from torch.nn.functional import normalize

from sklearn_sparsedis.solvers import solve_sparse_basis
from sklearn_sparsedis.solvers.sparse_basis._model import fit_columns
from sklearn_sparsedis.solvers.sparse_basis._search import Heads
from sklearn_sparsedis.solvers.sparse_basis._solver import _spherical


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _heads(seed, n_tasks=60, m=4):
    """Sparse heads on correlated latents, these, and covariance matrices of errors."""
    g = _generator(seed)
    W = torch.randn(n_tasks, m, generator=g, dtype=torch.float64)
    W *= torch.rand(n_tasks, m, generator=g) < 0.4
    W[torch.arange(n_tasks), torch.arange(n_tasks) % m] = 1.0
    latents = torch.linalg.cholesky(0.5 * torch.eye(m).double() + 0.5)
    # one direction of each head is known thirty times worse than the others
    size = torch.full((n_tasks, m), 0.01, dtype=torch.float64)
    size[torch.arange(n_tasks), torch.randint(m, (n_tasks,), generator=g)] = 0.3
    turn = torch.linalg.qr(torch.randn(n_tasks, m, m, generator=g, dtype=torch.float64))[0]
    H = W @ latents
    root = H.norm(dim=1)[:, None, None] * turn * size.unsqueeze(1)
    noise = torch.randn(n_tasks, m, 1, generator=g, dtype=torch.float64)
    return H + (root @ noise).squeeze(2), latents, root @ root.mT


def _worst_cosine(result, latents):
    found = normalize(torch.linalg.inv(result.directions.T))
    return (found @ normalize(latents).T).abs().amax(0).min()


def test_variances_along_directions_are_quadratic_forms():
    H, _, errors = _heads(0)
    heads, to_sphere = _spherical(H, torch.ones(len(H), dtype=torch.float64), errors)
    D = torch.randn(2, 4, 4, generator=_generator(1), dtype=torch.float64)
    D = heads.scaled(D)
    direction = D[1, 2] @ to_sphere.T
    expected = torch.einsum("i,tij,j->t", direction, errors, direction) / H.square().sum(1)
    torch.testing.assert_close(heads.noise_along(D)[1, 2], expected.clamp(1e-8, 1.0))
    assert (heads.with_misfit(0.2).noise_along(D) >= 0.04).all()
    part = heads.part(slice(3, 9))
    torch.testing.assert_close(part.noise_along(D), heads.noise_along(D)[..., 3:9])


def test_columns_of_their_own_errors_are_fitted_each():
    g = _generator(2)
    c = torch.randn(70, 2000, generator=g, dtype=torch.float64)
    noise = torch.rand(70, 2000, generator=g, dtype=torch.float64)
    fit = fit_columns(c, noise)
    torch.testing.assert_close(fit["loglik"][41], fit_columns(c[41:42], noise[41])["loglik"][0])


def test_multiples_of_the_identity_are_one_number_each():
    H, _, _ = _heads(3)
    stderr = 0.02 * H.norm(dim=1)
    errors = stderr.square()[:, None, None] * torch.eye(4, dtype=torch.float64)
    one = solve_sparse_basis(H, stderr, n_starts=4, min_effect=0.0, generator=_generator(0))
    same = solve_sparse_basis(H, errors, n_starts=4, min_effect=0.0, generator=_generator(0))
    for name in ("directions", "unused", "misfit", "score", "evidence"):
        # two orders of summation, through a search that converges to rounding
        torch.testing.assert_close(getattr(same, name), getattr(one, name), rtol=1e-7, atol=1e-7)


def test_directions_that_are_known_badly_do_not_mislead():
    missed = []
    for seed in range(3):
        H, latents, errors = _heads(seed)
        stderr = errors.diagonal(dim1=1, dim2=2).mean(1).sqrt()
        options = {"n_starts": 8, "max_rounds": 0, "min_effect": 0.0}
        known = solve_sparse_basis(H, errors, **options, generator=_generator(seed))
        mean = solve_sparse_basis(H, stderr, **options, generator=_generator(seed))
        missed.append([1 - _worst_cosine(found, latents).item() for found in (known, mean)])
        expected = torch.einsum("ji,tik,jk->tj", known.directions, errors, known.directions)
        torch.testing.assert_close(known.coef_stderr, expected.sqrt())
    of_matrices, of_numbers = (sum(one) for one in zip(*missed, strict=True))
    assert of_matrices < 0.02
    assert of_matrices < 0.3 * of_numbers


def test_numbers_and_matrices_alone_are_errors():
    with pytest.raises(ValueError, match=r"stderr shape \(T,\) or \(T, m, m\); .* \(9, 3\)"):
        solve_sparse_basis(torch.ones(9, 3), torch.ones(9, 3))


def test_heads_without_matrices_have_one_number_a_head():
    points = torch.ones(5, 2)
    heads = Heads(points, torch.arange(5.0), torch.eye(2))
    assert heads.noise_along(torch.ones(3, 2, 2)) is heads.noise
