"""Directions along which classes differ: a known law, other bases, few classes, degenerate rows."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.nn._episode_heads import FewShotHead
from sklearn_sparsedis.training._discriminants import discriminants

D, USED = 12, 3


def draw(n_classes, seed, rows=15):
    """Rows whose classes differ along three directions of twelve, with correlated noise."""
    law, random = np.random.default_rng(0), np.random.default_rng(seed)
    U, _, V = np.linalg.svd(law.normal(size=(D, D)))
    mixing = U * np.linspace(1, 3, D) @ V
    Z = random.normal(size=(n_classes * rows, D))
    y = np.arange(n_classes).repeat(rows)
    Z[:, :USED] += 2.5 * random.normal(size=(n_classes, USED))[y]
    return torch.from_numpy(Z @ mixing), y, mixing


def accuracy(Z, y, rows=15):
    """Of the nearest of five classes' first rows."""
    Z = Z.reshape(-1, 5, rows, Z.shape[-1])
    labels = torch.arange(5)
    heads = FewShotHead("prototype").fit(Z[:, :, 0], labels, 5)
    found = heads.scores(Z[:, :, 1:].flatten(1, 2)).argmax(-1)
    return float((found == labels.repeat_interleave(rows - 1)).double().mean())


def test_directions_of_a_known_law_are_found():
    X, y, mixing = draw(60, 1)
    matrix = discriminants(X, y, USED, np.random.RandomState(0))
    assert matrix.shape == (USED, D)
    # rows of the inverse of the mixing give the latents along which classes differ
    wanted = torch.linalg.inv(torch.from_numpy(mixing))[:, :USED]
    orthonormal = [torch.linalg.qr(x)[0] for x in (matrix.T, wanted)]
    cosines = torch.linalg.svdvals(orthonormal[0].T @ orthonormal[1])
    assert cosines.min() > 0.97


def test_one_row_of_new_classes_says_more():
    X, y, _ = draw(60, 1)
    new, labels, _ = draw(50, 2)
    matrix = discriminants(X, y, D, np.random.RandomState(0))
    assert accuracy(new @ matrix.T, labels) > accuracy(new, labels) + 0.05


def test_offset_and_basis_of_the_rows_do_not_matter():
    X, y, _ = draw(20, 1)
    turn = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(0)).double())[
        0
    ]
    first = discriminants(X, y, 4, np.random.RandomState(0))
    second = discriminants(X @ turn + 5, y, 4, np.random.RandomState(0))
    torch.testing.assert_close((second @ turn.T).abs(), first.abs(), rtol=1e-6, atol=1e-8)


def test_more_columns_than_rows_and_than_principal_components():
    X, y, _ = draw(6, 1, rows=3)
    wide = torch.cat([X, torch.zeros(len(X), 300, dtype=X.dtype)], 1)
    matrix = discriminants(wide, y, 64, np.random.RandomState(0))
    assert matrix.isfinite().all()
    assert len(matrix) <= len(X)


def test_too_few_classes():
    X, y, _ = draw(3, 1)
    with pytest.raises(ValueError, match="need 4 classes of at least two rows.*; 3 have"):
        discriminants(X, y, 2, np.random.RandomState(0))


@pytest.mark.parametrize("kind", ["equal rows", "equal within classes", "constant columns"])
def test_degenerate_rows(kind):
    X, y, _ = draw(8, 1)
    if kind == "equal rows":
        X = X[:1].expand(len(X), D)
    elif kind == "equal within classes":
        X = X[::15].repeat_interleave(15, 0)
    else:
        X[:, 4:] = 1.0
    matrix = discriminants(X, y, 5, np.random.RandomState(0))
    assert matrix.isfinite().all()
    assert 1 <= len(matrix) <= 5
