"""Which components count as identified: those that zeros fix which other heads foretell."""

import pytest
import torch
from torch.nn.functional import normalize

from sklearn_sparsedis.solvers import solve_sparse_basis
from sklearn_sparsedis.solvers.sparse_basis import STRONG
from sklearn_sparsedis.solvers.sparse_basis._search import Heads
from sklearn_sparsedis.solvers.sparse_basis._trust import tilt_variances


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


def judged(H, stderr, normals):
    """The result in the order of the latents, which components are strong, and which are right."""
    result = solve_sparse_basis(H, stderr, n_starts=8, generator=torch.Generator().manual_seed(0))
    true, found = (normalize(torch.linalg.inv(D.T), dim=1) for D in (normals, result.directions))
    cosine, row = (true @ found.T).abs().max(1)
    beyond_chance = (result.evidence - result.chance + STRONG).sum()
    strong = (result.stability[row] >= 0.8) & (beyond_chance > STRONG)
    return result, strong, cosine > 0.95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [{"share": 0.1}, {"share": 0.3, "rare": 0.1, "norms": 3.0}, {"share": 0.5, "norms": 1.5}],
    ids=["all rare", "one rare of unequal heads", "unequal heads"],
)
def test_latents_of_few_tasks_and_of_unequal_heads_are_identified(options, seed):
    _, strong, right = judged(*make_heads(seed, 100, 4, **options))
    assert right.all()
    assert strong.all()


@pytest.mark.parametrize("seed", range(3))
def test_zeros_of_a_rare_latent_are_evidence(seed):
    H, stderr, normals = make_heads(seed, 100, 4, share=0.5, rare=0.05, noise=0.2)
    result, *_ = judged(H, stderr, normals)
    cosine, row = (normals[0] @ result.directions.T).abs().max(0)
    assert cosine > 0.95
    assert result.evidence[row] > result.chance[row]


def test_dense_heads_are_seldom_identified():
    strong = [judged(*make_heads(seed, 60, 4, share=1.0, noise=0.02))[1] for seed in range(6)]
    assert torch.cat(strong).double().mean() < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_no_latent_of_hardly_more_tasks_than_latents_is_identified(seed):
    assert not judged(*make_heads(seed, 7, 5, noise=0.02))[1].any()


def test_what_zeros_do_not_tell_apart_is_free_to_tilt():
    """Of latents that occur together, none limits the tilts; of others, the tasks with one do."""
    g = torch.Generator().manual_seed(0)
    used = torch.rand(400, 3, generator=g) < 0.5
    used[:, 1] = used[:, 0]
    # none is zero by luck, which would fix a tilt
    C = torch.randn(400, 3, generator=g, dtype=torch.float64)
    C = (C + 0.5 * C.sign()) * used
    C = C[used.any(1)]
    C /= C.square().mean(0).sqrt()
    n_tasks = len(C)
    C += 0.01 * torch.randn(C.shape, generator=g, dtype=torch.float64)
    heads = Heads(C, torch.full((n_tasks,), 1e-4, dtype=C.dtype), torch.eye(3, dtype=C.dtype))
    variance = tilt_variances(heads, torch.eye(3, dtype=C.dtype))
    assert variance[0, 1].minimum(variance[1, 0]) > 5 / n_tasks
    for k, j in ((0, 2), (2, 0), (1, 2), (2, 1)):
        alone = C[C[:, k].abs() < 0.05, j].square().sum() / 1e-4
        assert float(variance[k, j]) == pytest.approx(float(1 / alone), rel=0.1)
