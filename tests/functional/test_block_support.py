"""Systems of blocks with curved norms."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.functional import _support
from sklearn_sparsedis.functional._block_support import factor_blocks


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_solve_is_the_inverse_of_the_dense_system(monkeypatch, gathered, shared, length):
    monkeypatch.setattr(_support, "GATHER_WORK", 0 if gathered else 10**9)
    g = torch.Generator().manual_seed(0)
    T, m, q = 4, 6, 3
    Z = torch.randn(T, 20, m, generator=g).double()
    gram = Z.mT @ Z / 20
    gram = gram[0] if shared else gram
    support = torch.rand(T, m, generator=g) < 0.6
    U = torch.nn.functional.normalize(torch.randn(T, m, q, generator=g).double(), dim=-1)
    curvature = torch.rand(T, m, generator=g).double() / length
    rhs = torch.randn(T, m, q, generator=g).double()
    found = factor_blocks(gram, support, U, curvature).solve(rhs)
    for t in range(T):
        used = support[t].nonzero()[:, 0]
        G = (gram if shared else gram[t])[used][:, used]
        dense = torch.kron(G, torch.eye(q).double())
        for i, j in enumerate(used):
            bent = curvature[t, j] * (torch.eye(q).double() - U[t, j, :, None] * U[t, j])
            dense[i * q : (i + 1) * q, i * q : (i + 1) * q] += bent
        expected = torch.linalg.solve(dense, rhs[t, used].reshape(-1)).reshape(-1, q)
        np.testing.assert_allclose(found[t, used], expected, rtol=1e-8, atol=1e-9)
        assert (found[t, ~support[t]] == 0).all()
