"""The sparsest basis: pieces against their definitions, recovery, determinism, devices."""

import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.solvers import solve_sparse_basis
from sklearn_sparsedis.solvers.sparse_basis import _exchange as exchange_module
from sklearn_sparsedis.solvers.sparse_basis import _solver as basis_module
from sklearn_sparsedis.solvers.sparse_basis._misfit import MISFITS
from sklearn_sparsedis.solvers.sparse_basis._model import (
    em_step,
    fit_columns,
    log_density,
    unused_probability,
)
from sklearn_sparsedis.solvers.sparse_basis._search import Heads, ascend, replace_rows


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _sparse_heads(seed, n_tasks=80, m=4, stderr=1e-3, dtype=torch.float64):
    """Heads (n_tasks, m), their errors, their coefficients on the latents, and the latents."""
    g = _generator(seed)
    W = torch.randn(n_tasks, m, generator=g, dtype=dtype)
    W *= torch.rand(n_tasks, m, generator=g) < 0.5
    W[:, 0] += (W == 0).all(dim=1)
    latents = torch.randn(m, m, generator=g, dtype=dtype)
    H = W @ latents
    error = stderr * H.norm(dim=1)
    return H + error[:, None] * torch.randn(n_tasks, m, generator=g, dtype=dtype), error, W, latents


def _model(seed, n_tasks=50):
    g = _generator(seed)
    c = torch.randn(3, n_tasks, generator=g, dtype=torch.float64)
    spike = torch.full((3, n_tasks), 0.01, dtype=torch.float64)
    share = torch.full((3, 1), 0.4, dtype=torch.float64)
    slab = torch.full((3, 1), 2.0, dtype=torch.float64)
    return c, spike, share, slab


def test_density_is_that_of_the_mixture():
    c, spike, share, slab = _model(0)
    normal = torch.distributions.Normal
    off = (1 - share) * normal(0.0, spike.sqrt()).log_prob(c).exp()
    on = share * normal(0.0, (spike + slab).sqrt()).log_prob(c).exp()
    torch.testing.assert_close(log_density(c, spike, share, slab), (off + on).log())
    torch.testing.assert_close(unused_probability(c, spike, share, slab), off / (off + on))


def test_em_never_loses_likelihood():
    c, spike, share, slab = _model(1)
    previous = log_density(c, spike, share, slab).sum(-1)
    for _ in range(20):
        share, slab = em_step(c, spike, share, slab)
        current = log_density(c, spike, share, slab).sum(-1)
        assert (current >= previous - 1e-9).all()
        previous = current


def test_column_fit_finds_the_share_of_users():
    g = _generator(2)
    used = torch.rand(20_000, generator=g) < 0.3
    c = torch.randn(20_000, generator=g, dtype=torch.float64) * (0.02 + used)
    fit = fit_columns(c[None], torch.full((1, 20_000), 4e-4, dtype=torch.float64))
    # three standard errors of a share of 0.3 in 20,000 draws, and a slab of variance one
    assert abs(fit["share"].item() - 0.3) < 0.01
    assert abs(fit["slab"].item() - 1.04) < 0.06


def test_row_updates_maximise_their_bound():
    g = _generator(3)
    A = torch.randn(2, 3, 3, 5, generator=g, dtype=torch.float64)
    V = A @ A.mT
    D = torch.randn(2, 3, 3, generator=g, dtype=torch.float64)

    def bound(D):
        quadratic = torch.einsum("bji,bjik,bjk->b", D, V, D)
        return torch.linalg.slogdet(D)[1] - quadratic / 2

    factors = torch.linalg.cholesky(V)
    values = [bound(D)]
    for _ in range(200):
        D = replace_rows(D, factors)
        values.append(bound(D))
    values = torch.stack(values)
    assert (values.diff(dim=0) > -1e-10).all()
    D.requires_grad_()
    (gradient,) = torch.autograd.grad(bound(D).sum(), D)
    # alternating updates converge linearly
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-4, rtol=0)


def test_exchange_gains_are_the_change_of_the_joint_score():
    g = _generator(4)
    D = torch.randn(1, 3, 3, generator=g, dtype=torch.float64)
    pool = torch.randn(5, 3, generator=g, dtype=torch.float64)
    scores, pool_scores = torch.rand(1, 3, generator=g), torch.rand(5, generator=g)
    gains = exchange_module.exchange_gains(D, scores, pool, pool_scores, 7)
    for i in range(3):
        for k in range(5):
            new = D.clone()
            new[0, i] = pool[k]
            change = torch.linalg.slogdet(new)[1] - torch.linalg.slogdet(D)[1]
            expected = pool_scores[k] - scores[0, i] + 7 * change
            torch.testing.assert_close(gains[:, i, k], expected, check_dtype=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(3))
def test_recovers_supports_and_basis(seed, dtype):
    H, stderr, W, latents = _sparse_heads(seed, dtype=dtype)
    result = solve_sparse_basis(H, stderr, generator=_generator(seed))
    assert result.directions.dtype == dtype
    torch.testing.assert_close(
        result.directions.norm(dim=1), torch.ones(4, dtype=dtype), rtol=1e-5, atol=0
    )
    found = torch.linalg.inv(result.directions.T)
    cosine = torch.nn.functional.normalize(found) @ torch.nn.functional.normalize(latents).T
    best, column = cosine.abs().max(dim=1)
    assert sorted(column.tolist()) == [0, 1, 2, 3]
    assert best.min() > 0.999
    # a used coefficient may be smaller than its error
    agree = (result.unused > 0.5) == (W[:, column] == 0)
    assert agree.double().mean() > 0.95
    assert (result.evidence > result.chance).all()
    assert (result.margin > 0).all()


def test_does_not_depend_on_the_mixing_nor_on_units():
    H, stderr, _, latents = _sparse_heads(5, stderr=1e-6)
    stretch = torch.diag(torch.tensor([1.0, 3.0, 0.2, 1.0], dtype=H.dtype))
    units = torch.logspace(-3, 3, len(H), dtype=H.dtype)
    result = solve_sparse_basis(
        (H @ stretch) * units[:, None], stderr * units, generator=_generator(0)
    )
    found = torch.nn.functional.normalize(torch.linalg.inv(result.directions.T))
    cosine = found @ torch.nn.functional.normalize(latents @ stretch).T
    # heads known to 1e-4 of their norm at best (the solver's floor), stretched by up to 15
    assert cosine.abs().max(dim=1).values.min() > 1 - 1e-5
    assert sorted(cosine.abs().argmax(dim=1).tolist()) == [0, 1, 2, 3]


def test_same_generator_same_answer():
    H, stderr, _, _ = _sparse_heads(6)
    state = torch.get_rng_state()
    first = solve_sparse_basis(H, stderr, generator=_generator(1))
    second = solve_sparse_basis(H, stderr, generator=_generator(1))
    torch.testing.assert_close(first.directions, second.directions, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)


@pytest.mark.parametrize("stderr", [1e-3, 0.05])
def test_all_searches_end_in_the_same_basis_to_rounding(stderr):
    H, error, _, _ = _sparse_heads(1, n_tasks=60, stderr=stderr)
    one, other = (
        solve_sparse_basis(H, error, n_starts=8, generator=_generator(seed)).directions
        for seed in range(2)
    )
    cosine = one @ other.T  # they may differ in order and signs
    same = cosine.abs().argmax(1, keepdim=True)
    other = cosine.gather(1, same).sign() * other[same[:, 0]]
    torch.testing.assert_close(one, other, rtol=0, atol=1e-8)


def test_the_search_goes_on_until_two_starts_lead_to_the_best_basis(monkeypatch):
    H, stderr, _, _ = _sparse_heads(0, n_tasks=30, m=6)
    best = solve_sparse_basis(H, stderr, n_starts=64, generator=_generator(0))
    once = solve_sparse_basis(H, stderr, n_starts=1, generator=_generator(1))
    assert (once.n_found, once.n_starts) == (1, 1)
    monkeypatch.setattr(basis_module, "default_n_starts", lambda *_: 1)
    found = solve_sparse_basis(H, stderr, generator=_generator(1))
    assert found.n_found == 2
    assert 2 <= found.n_starts <= 5
    # nearly equal optima of a spike's width differ by less than a nat
    assert found.score > best.score - 1


def test_wrong_directions_are_unstable_or_within_chance():
    g = _generator(7)
    H = torch.randn(60, 4, generator=g, dtype=torch.float64)
    result = solve_sparse_basis(H, torch.full((60,), 0.01), generator=g)
    assert ((result.stability < 0.8) | (result.evidence < result.chance)).any()


@pytest.mark.parametrize(
    ("H", "stderr", "message"),
    [
        (torch.ones(3, 3), torch.ones(3), "needs more than 3 heads, got 3"),
        (torch.ones(5), torch.ones(5), "must have shape"),
        (torch.ones(5, 2), torch.ones(4), "must have shape"),
    ],
)
def test_bad_input(H, stderr, message):
    with pytest.raises(ValueError, match=message):
        solve_sparse_basis(H, stderr)


def test_ascent_stays_on_an_accelerator_without_reading_values():
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        heads = Heads(fake_cuda(30, 4), fake_cuda(30), fake_cuda(4, 4))
        D = ascend(heads, fake_cuda(5, 4, 4), (0.5, 0.1), 2)
        assert D.device.type == ACCELERATOR
    assert counter.count == 0


@pytest.mark.slow  # fake tensors make every operation cost milliseconds
@pytest.mark.parametrize("answer", [False, True])
def test_search_on_an_accelerator_reads_once_a_block(answer):
    def count_reads(min_effect):
        with FakeTensorMode(), SyncCounter(answer=answer) as counter:
            result = solve_sparse_basis(
                fake_cuda(30, 4), fake_cuda(30), min_effect=min_effect, n_starts=8, max_rounds=2
            )
            assert result.directions.device.type == ACCELERATOR
            assert result.stability.device.type == ACCELERATOR
        return counter.count

    # one read a block of m exchanges (four blocks at most), one a round of the search
    n_exchanges = 2 + (4 if answer else 0) + 2 + 1
    n_reads = count_reads(min_effect=0.0)
    assert n_reads <= n_exchanges * (4 if answer else 1) + 4
    # either no misfit is wide enough to be tried, one read each, or the first is hopeless and yet
    # the best: a short search, a whole one again and three reads
    assert count_reads(min_effect=None) <= (2 * n_reads + 3 if answer else n_reads + len(MISFITS))
