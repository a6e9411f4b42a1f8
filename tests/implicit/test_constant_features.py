"""Features that do not vary in a problem: coefficients and gradients of exactly zero."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.implicit import (
    group_lasso_svm_result,
    logistic_lasso_fit,
    logistic_ridge_fit,
    multitask_lasso_gram,
)
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.solvers import least_squares_on, select_support

T, N, M, Q = 3, 9, 5, 2
CONSTANT = torch.tensor([[0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
DTYPES = [torch.float32, torch.float64]


def normal(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def statistics(dtype, outputs, *, shared):
    """Gram statistics with rows and columns of zeros, and rounding left in the correlations."""
    Z = torch.where(CONSTANT[:, None], 0.0, normal(T, N, M))
    Z = Z[:1].expand(T, N, M) if shared else Z
    Y = normal(T, N, outputs, seed=1)
    constant = CONSTANT[:1].expand(T, M) if shared else CONSTANT
    noise = torch.where(constant, 1e-16 * normal(T, M, seed=2), 0.0)
    corr = Z.mT @ Y / N + noise[..., None]
    gram = (Z[0].T @ Z[0] if shared else Z.mT @ Z) / N
    return [x.to(dtype).requires_grad_() for x in (gram, corr, Y.square().mean(1))], constant


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.0, 1e-17, 1e-3])
@pytest.mark.parametrize("name", ["elasticnet", "l1", "l2", "mcp", "multitask"])
def test_gram_statistics(name, share, shared, dtype):
    (gram, corr, y_sq), constant = statistics(dtype, Q, shared=shared)
    fit = multitask_lasso_gram
    if name != "multitask":
        corr, y_sq, fit = corr[..., 0], y_sq[:, 0], PENALTIES[name].fit
    for start in (None, torch.ones_like(corr)):
        found = fit(gram, corr, y_sq, corr.new_full((T,), share), coef_init=start)
        assert (found.coef[constant] == 0).all()
        assert found.coef.isfinite().all()
        # no more than least squares on the rows can ask for
        assert found.coef.abs().max() < 10
        value = found.coef.square().sum() + found.coef.sum() + found.loss.sum()
        by_gram, by_corr = torch.autograd.grad(value, [gram, corr], retain_graph=True)
        assert by_gram.isfinite().all()
        assert (by_corr[constant] == 0).all()
        lines = constant[0] if shared else constant
        assert (by_gram[lines] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("alpha", [1e-20, 1e-3])
@pytest.mark.parametrize("fit", [logistic_lasso_fit, logistic_ridge_fit])
def test_logistic(fit, alpha, shared, dtype):
    """Each problem has rows of its own, on which some features are constants."""
    Z = 3 + normal(T, N, M)
    Z = torch.where(CONSTANT[:, None], Z[:, :1], Z)
    y = (torch.arange(N) % 2).expand(T, N)
    weight = None
    if shared:
        Z, y = Z.reshape(T * N, M), y.reshape(1, -1).expand(T, -1)
        weight = torch.eye(T).repeat_interleave(N, 1).to(dtype)
    Z, y = Z.to(dtype).requires_grad_(), y.to(dtype)
    # without overlap of the labels there is no solution at such a small penalty
    strength = torch.where(CONSTANT.all(-1), alpha, 0.05).to(dtype)
    for start in (None, torch.ones(T, M, dtype=dtype)):
        found = fit(Z, y, strength, sample_weight=weight, coef_init=start)
        assert (found.coef[CONSTANT] == 0).all()
        assert found.result.converged.all()
        np.testing.assert_allclose(found.intercept[1].detach(), np.log(4 / 5), rtol=1e-4)
        value = found.coef.square().sum() + found.coef.sum() + found.loss.sum()
        (gradient,) = torch.autograd.grad(value, Z)
        gradient = gradient.reshape(T, N, M)
        assert (gradient.mT[CONSTANT] == 0).all()
        assert gradient.isfinite().all()
        assert (gradient[2] != 0).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group_reg", [0.0, 1e-3, 1.0])
def test_group_lasso_svm(group_reg, dtype):
    F = torch.where(CONSTANT[:, None], 0.0, normal(T, N, M)).to(dtype).requires_grad_()
    found = group_lasso_svm_result(F, (torch.arange(N) % 3).expand(T, N), group_reg, 1e-2)
    assert (found.coef[CONSTANT] == 0).all()
    assert found.converged.all()
    (gradient,) = torch.autograd.grad(found.coef.square().sum(), F)
    assert gradient.isfinite().all()
    assert (gradient.mT[CONSTANT] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_least_squares_on_a_support(dtype):
    (gram, corr, y_sq), constant = statistics(dtype, 1, shared=False)
    args = gram.detach(), corr.detach()[..., 0], y_sq.detach()[:, 0]
    coef, residual_sq, inverse = least_squares_on(torch.ones_like(constant), *args)
    assert (coef[constant] == 0).all()
    assert inverse.isfinite().all()
    chosen = select_support(*args, torch.full((T,), float(N), dtype=dtype))
    assert not chosen[constant].any()
    np.testing.assert_allclose(residual_sq[1], args[2][1], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_least_squares_of_copies_and_features_of_any_scale(dtype):
    Z, y = normal(40, 4), normal(40)
    Z[:, 3] = Z[:, 2]
    scale = torch.tensor([1e-6, 1.0, 1e3, 1e3]).double()
    stats = centred_gram((Z * scale).to(dtype), y[None].to(dtype))
    coef, _, _ = least_squares_on(torch.ones(1, 4).bool(), stats.gram, stats.corr, stats.y_sq)
    centred = Z[:, :3] - Z[:, :3].mean(0)
    expected = torch.linalg.lstsq(centred, y - y.mean()).solution
    found = coef[0].double() * scale
    rtol = 1e-4 if dtype == torch.float32 else 1e-8
    np.testing.assert_allclose(found[:2], expected[:2], rtol=rtol)
    np.testing.assert_allclose(found[2:].sum(), expected[2], rtol=rtol)
