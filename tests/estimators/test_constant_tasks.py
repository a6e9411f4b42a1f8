"""Tasks whose rows are all equal: their heads are constants, whatever the penalty and the loss."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.nn._component_statistics import component_statistics
from sklearn_sparsedis.nn._episode_heads import FewShotHead

EQUAL = 3  # the task of equal rows


def long_table(dtype=np.float64, *, labels=False):
    """Four tasks of ten rows in the long layout; the last has one row ten times."""
    random = np.random.default_rng(0)
    X, task = random.normal(size=(40, 6)), np.repeat(np.arange(4), 10)
    X[task == EQUAL] = X[task == EQUAL][:1]
    y = X[:, 0] + 0.3 * random.normal(size=40)
    if labels:
        y = (y > np.median(y)).astype(float)
        y[task == EQUAL] = np.arange(10) % 2
    return X.astype(dtype), y.astype(dtype), task


def model(**parameters):
    fixed = {"encoder": "linear", "max_iter": 20, "random_state": 0}
    return SparseDisentangledRepresentation(3, **{**fixed, **parameters})


def assert_constant(fitted, X, y, task):
    """The head of equal rows predicts their mean everywhere, and no head more than its data."""
    assert (fitted.coef_[EQUAL] == 0).all()
    np.testing.assert_allclose(fitted.predict(X)[:, EQUAL], y[task == EQUAL].mean(), atol=1e-5)
    assert np.abs(fitted.predict(X)).max() < 2 * np.abs(y).max()
    assert np.isfinite(fitted.loss_curve_).all()


SETTINGS = [
    {"penalty": "l1"},
    {"penalty": "l1", "alpha": 1e-4},
    {"penalty": "l1", "alpha": 0.01, "alpha_mode": "absolute"},
    {"penalty": "l2"},
    {"penalty": "l2", "alpha": 0.0, "alpha_mode": "absolute"},
    {"penalty": "mcp"},
    {"encoder": "mlp", "hidden_layer_sizes": (8,)},
    {"penalty": "l2", "encoder": "mlp", "hidden_layer_sizes": (8,)},
    {"query_fraction": 0.3},
    {"penalty": "mcp", "query_fraction": 0.3},
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tasks_per_batch", [None, 2])
@pytest.mark.parametrize("parameters", SETTINGS, ids=str)
def test_a_head_of_equal_rows_is_constant(parameters, tasks_per_batch, dtype):
    X, y, task = long_table(dtype)
    fitted = model(tasks_per_batch=tasks_per_batch, **parameters).fit(X, y, task_id=task)
    assert_constant(fitted, X, y, task)
    assert_constant(fitted.adapt(X, y, task_id=task, prior=None), X, y, task)
    # a prior says how a task depends on X of which the labels say nothing but the level
    adapted = fitted.adapt(X, y, task_id=task).predict(X)
    np.testing.assert_allclose(adapted[task == EQUAL, EQUAL], y[task == EQUAL].mean(), atol=1e-2)
    assert np.abs(adapted).max() < 2 * np.abs(y).max()


@pytest.mark.filterwarnings("ignore:Not every component is determined")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_the_sparsest_basis(dtype):
    X, y, task = long_table(dtype)
    assert_constant(model(penalty="l0").fit(X, y, task_id=task), X, y, task)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tasks_per_batch", [None, 2])
@pytest.mark.parametrize("parameters", [{}, {"penalty": "l2"}, {"class_weight": "balanced"}])
def test_with_labels(parameters, tasks_per_batch, dtype):
    X, y, task = long_table(dtype, labels=True)
    fitted = model(loss="logistic", tasks_per_batch=tasks_per_batch, **parameters)
    fitted.fit(X, y, task_id=task)
    np.testing.assert_allclose(fitted.coef_[EQUAL], 0, atol=1e-4)
    np.testing.assert_allclose(fitted.predict(X)[:, EQUAL], 0.5, atol=1e-4)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_beside_a_common_head(penalty, dtype):
    X, y, task = long_table(dtype)
    fitted = model(penalty=penalty, common_head=True).fit(X, y, task_id=task)
    for some in (fitted, fitted.adapt(X, y, task_id=task)):
        assert np.abs(some.predict(X)).max() < 2 * np.abs(y).max()


def test_outputs_of_one_task():
    X, y, task = long_table()
    Y = np.full((40, 8), np.nan)
    for t in range(4):
        Y[task == t, 2 * t], Y[task == t, 2 * t + 1] = y[task == t], X[task == t, 1]
    fitted = model(task_of_output=np.arange(8) // 2).fit(X, Y)
    assert (fitted.coef_[6:] == 0).all()


def test_partial_fit_and_tables_of_equal_rows():
    X, y, task = long_table()
    fitted = model(batch_size=20).partial_fit(X, y, task_id=task).partial_fit(X, y, task_id=task)
    assert_constant(fitted, X, y, task)
    with pytest.warns(UserWarning, match="exceeds the rank of X, 0"):
        equal = model(penalty="l2").fit(np.repeat(X[:1], 10, 0), y[:10])
    np.testing.assert_allclose(equal.predict(X), y[:10].mean())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_moments_of_a_constant_are_exactly_zero(shared, weighted):
    generator = torch.Generator().manual_seed(0)
    Z = 3 + torch.randn(12, 3, generator=generator).double()
    y = torch.randn(2, 12, generator=generator).double()
    Z[:, 1] = 0.1
    Z[6:, 2] = 0.7
    weights = torch.zeros(2, 12).double()
    weights[0, :6], weights[1, 6:] = 0.3, 0.1
    if not shared:
        Z = Z.expand(2, 12, 3)
    if not weighted:
        Z, y, weights = Z[..., 6:, :], y[..., 6:], None
    stats = centred_gram(Z, y, weights)
    gram = stats.gram if stats.gram.ndim == 3 else stats.gram.expand(2, 3, 3)
    zero = torch.tensor([[0, 1, 0], [0, 1, 1]]) if weighted else torch.tensor([[0, 1, 1]] * 2)
    torch.testing.assert_close(stats.corr == 0, zero > 0)
    torch.testing.assert_close(gram.diagonal(dim1=1, dim2=2) == 0, zero > 0)
    torch.testing.assert_close((gram == 0).any(1), (zero.sum(1, keepdim=True) > 0).expand(2, 3))


@pytest.mark.parametrize("calibrate", [False, True])
def test_statistics_know_what_an_encoder_rounds(calibrate):
    encoder = Encoder(LinearNetwork(2, 2), torch.zeros(2), torch.ones(2), 2)
    raw = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double() + 3
    # equal up to the last places of single precision
    raw[:5] = 2.5 + 1e-7 * raw[:5]
    weights = torch.zeros(2, 20).double()
    weights[0, :5], weights[1, 5:] = 1, 1
    y = raw[:, 0].expand(2, 20)
    stats = component_statistics(
        encoder, raw, y, weights, calibrate=calibrate, rounding=100 * torch.finfo(torch.float32).eps
    )
    assert (stats.gram[0] == 0).all()
    assert (stats.corr[0] == 0).all()
    assert (stats.gram[1].diagonal() > 0.1).all()


HEADS = ["group_lasso_svm", "logistic", "prototype", "ridge", "sparse_prototype", "svm"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", HEADS)
def test_support_rows_that_are_all_equal(kind, dtype):
    row = torch.randn(1, 7, generator=torch.Generator().manual_seed(0), dtype=dtype)
    # as a product of matrices rounds them
    F = row.expand(9, 7) * (1 + torch.finfo(dtype).eps * torch.tensor([0, 1, 2] * 3)[:, None])
    F = F.to(dtype).requires_grad_()
    heads = FewShotHead(kind).fit(F, torch.arange(9) % 3, 3)
    scores = heads.scores(10 * torch.eye(7, dtype=dtype))
    np.testing.assert_allclose(scores.softmax(-1).detach(), 1 / 3, atol=1e-4)
    (gradient,) = torch.autograd.grad(heads.scores(F).square().sum(), F)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("head", HEADS)
def test_few_shot_classifier_on_equal_rows(head):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(24, 5)), np.arange(24) % 4
    X[y == 0] = X[0]
    X[y == 1] = X[0]  # an episode of these two classes has one row
    model = GroupLassoSVMMetaClassifier(
        4, encoder="linear", head=head, n_way=2, n_shot=2, n_query=1, max_iter=6, random_state=0
    ).fit(X, y)
    assert np.isfinite(model.loss_curve_).all()
    with pytest.warns(UserWarning, match="their support rows are all equal"):
        adapted = model.adapt(X[y < 2], y[y < 2])
    np.testing.assert_allclose(adapted.predict_proba(X), 0.5, atol=1e-6)
