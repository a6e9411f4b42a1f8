"""Which directions count as identified: those of zeros that other heads foretell, no others."""

import pytest
import torch
from torch.nn.functional import normalize

from sklearn_sparsedis.solvers import solve_sparse_basis


def make_heads(seed, n_tasks, m, *, share=0.5, rare=None, noise=0.1, norms=0.0):
    """Heads of latents with correlation 0.5, their errors, and normals of the latents as rows.

    Tasks use a latent with probability `share`, the first with probability `rare`; the logarithms
    of the heads' norms spread by `norms`.
    """
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(n_tasks, m, generator=g, dtype=torch.float64)
    used = torch.rand(n_tasks, m, generator=g) < share
    if rare is not None:
        used[:, 0] = torch.arange(n_tasks) < rare * n_tasks
    idle = ~used.any(1)
    used[idle, torch.randint(1, m, (n_tasks,), generator=g)[idle]] = True
    half = torch.full((m, m), 0.5, dtype=torch.float64)
    mixing = torch.linalg.cholesky(half + half.diag().diag())
    mixing = mixing @ torch.linalg.qr(torch.randn(m, m, generator=g, dtype=torch.float64))[0]
    H = (W * used) @ mixing
    H *= torch.exp(norms * torch.randn(n_tasks, 1, generator=g, dtype=torch.float64))
    stderr = torch.full((n_tasks,), noise * float(H.norm(dim=1).median()), dtype=torch.float64)
    H += stderr[:, None] * torch.randn(n_tasks, m, generator=g, dtype=torch.float64)
    return H, stderr, normalize(torch.linalg.inv(mixing).T, dim=1)


def identified(H, stderr, normals):
    """Which directions are, and which of them are right; of the latent of row 0 first."""
    result = solve_sparse_basis(H, stderr, n_starts=8, generator=torch.Generator().manual_seed(0))
    cosine, row = (normals @ result.directions.T).abs().max(1)
    strong = (result.evidence > result.chance) & (result.stability >= 0.8)
    return strong[row], cosine > 0.95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.5, "rare": 0.05, "noise": 0.2},
        {"share": 0.1},
        {"share": 0.3, "rare": 0.1, "norms": 3.0},
        {"share": 0.5, "norms": 1.5},
    ],
    ids=["one rare", "all rare", "one rare of unequal heads", "unequal heads"],
)
def test_latents_of_few_tasks_and_of_unequal_heads_are_identified(options, seed):
    strong, right = identified(*make_heads(seed, 100, 4, **options))
    assert right[0]
    assert strong[0]
    # with errors of a fifth of a head the weights of half of the tasks are weak evidence
    assert strong[right].double().mean() >= 0.5
    # a direction that the errors blur may be short of the cosine, none is far off
    assert (strong & ~right).sum() <= 1


def test_dense_heads_are_seldom_identified():
    strong = [identified(*make_heads(seed, 60, 4, share=1.0, noise=0.02))[0] for seed in range(6)]
    # two of 24 by three nats, of directions that are the best of very many
    assert torch.cat(strong).double().mean() < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_no_latent_of_hardly_more_tasks_than_latents_is_identified(seed):
    assert not identified(*make_heads(seed, 7, 5, noise=0.02))[0].any()
