"""Heads that are deviations from one head that all tasks share."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.base import clone
from sklearn.linear_model import Lasso
from sklearn.metrics import r2_score

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.nn._common_head import count_labels, fit_common_head, task_shares
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES


def draw(n_tasks, n_rows, *, spread=0.3, level=0.5, noise=1.0, seed=0, m=6, used=0.3):
    """Long table whose heads deviate sparsely from a common one; and the deviations."""
    random = np.random.default_rng(seed)
    common = random.normal(size=m)
    deviation = spread * random.normal(size=(n_tasks, m)) * (random.random((n_tasks, m)) < used)
    offset = level * random.normal(size=n_tasks)
    task = np.repeat(np.arange(n_tasks), n_rows)
    X = random.normal(size=(len(task), m))
    signal = (X * (common + deviation[task])).sum(1) + 2 + offset[task]
    return X, signal + noise * random.normal(size=len(X)), task, common, deviation


def statistics(X, y, task):
    labelled = torch.tensor(task[None] == np.unique(task)[:, None]).double()
    Y = torch.tensor(y) * labelled
    return centred_gram(torch.tensor(X), Y, labelled), labelled


def model(**parameters):
    defaults = {"encoder": "linear", "max_iter": 30, "random_state": 0, "common_head": True}
    return SparseDisentangledRepresentation(6, **{**defaults, **parameters})


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("max_iter", [0, 5])
def test_constant_targets(max_iter, penalty):
    X, y, task, _, _ = draw(8, 10)
    wide = model(max_iter=max_iter, penalty=penalty).fit(X, np.full((80, 3), 2.0))
    long = model(max_iter=max_iter, penalty=penalty).fit(X, np.full(80, 2.0), task_id=task)
    for fitted in (wide, long):
        np.testing.assert_allclose(fitted.predict(X), 2.0)
        assert all(np.isfinite(part).all() for part in fitted.common_head_.values())
        new = fitted.adapt(X, y, task_id=task)
        # ten rows a task, whose own least-squares heads go twice as far on the others' rows
        assert np.abs(new.predict(X)).max() < 4 * np.abs(y).max()


def test_moments_recover_head_and_variances():
    # of single draws, whose errors are those of 300 tasks
    X, y, task, common, _ = draw(300, 12, spread=0.6, level=1.5, used=1.0, noise=0.8)
    stats, labelled = statistics(X, y, task)
    n = count_labels(labelled, len(X), 300, stats.corr)
    found = fit_common_head(stats, n, task_shares(labelled, stats.corr))
    np.testing.assert_allclose(found.coef, common, atol=0.15)
    assert float(found.noise) ** 0.5 == pytest.approx(0.8, rel=0.05)
    assert float(found.spread) ** 0.5 == pytest.approx(0.6, rel=0.1)
    assert float(found.intercept_spread) ** 0.5 == pytest.approx(1.5, rel=0.15)


def test_the_common_head_is_ridge_on_all_rows_and_differentiable():
    X, y, task, *_ = draw(4, 15)
    _, labelled = statistics(X, y, task)

    def fitted(Z, values):
        stats = centred_gram(Z, values * labelled, labelled)
        n = count_labels(labelled, len(Z), 4, stats.corr)
        found = fit_common_head(stats, n, task_shares(labelled, stats.corr))
        return found.coef, found.intercept

    Z, values = torch.tensor(X, requires_grad=True), torch.tensor(y, requires_grad=True)
    coef, intercept = fitted(Z, values)
    X_c, y_c = X - X.mean(0), y - y.mean()
    gram = X_c.T @ X_c / len(X)
    ridge = gram.diagonal().mean() * 6 / len(X)
    expected = np.linalg.solve(gram + ridge * np.eye(6), X_c.T @ y_c / len(X))
    np.testing.assert_allclose(coef.detach(), expected, rtol=1e-9)
    assert float(intercept.detach()) == pytest.approx(y.mean() - X.mean(0) @ expected)
    # the ridge is a number, not a function of Z: shifts of y change nothing in it
    assert torch.autograd.gradcheck(lambda v: fitted(Z.detach(), v), (values,))


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradient_of_deviations_through_the_loss(penalty, shared):
    X, y, task, *_ = draw(3, 20, seed=1)
    if shared:
        X, weights = X[:20], None
        values = torch.tensor(y.reshape(3, 20).T)
    else:
        weights = torch.tensor(task[:, None] == np.arange(3)).double()
        values = torch.tensor(y)[:, None] * weights
    Z = torch.tensor(X, requires_grad=True)
    problem = HeadProblem(PENALTIES[penalty], 0.2, False, 1e-12, common=True)
    common = problem.solve(Z, values, weights).common
    problem = HeadProblem(PENALTIES[penalty], 0.2, False, 1e-12, common=common_of(common))
    heads = problem.solve(Z, values, weights)
    assert (heads.result.coef == 0).any() or penalty == "l2"
    judged = problem.judge(heads, Z, values, weights)
    torch.testing.assert_close(heads.loss, judged, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda z: problem.solve(z, values, weights).loss, (Z,))
    assert torch.autograd.gradcheck(lambda z: problem.solve(z, values, weights).coef, (Z,))


def common_of(common):
    """The same head as a constant."""
    return type(common)(*(value.detach() for value in vars(common).values()))


def test_deviations_are_scikit_learns_on_residuals():
    X, y, task, *_ = draw(5, 40, spread=1.0, level=0.0)
    fitted = model(alpha=0.1, alpha_mode="absolute", tol=1e-12).fit(X, y, task_id=task)
    common, Z = fitted.common_head_, fitted.transform(X)
    assert common.intercept_spread >= 0
    for t in range(5):
        rows = task == t
        left = y[rows] - Z[rows] @ common.coef - common.intercept
        n = rows.sum()
        free = n * common.intercept_spread / (n * common.intercept_spread + common.noise)
        centre, level = Z[rows].mean(0), left.mean()
        more = np.sqrt(n * (1 - free))
        design = np.vstack([Z[rows] - centre, more * centre])
        target = np.append(left - level, more * level)
        # scikit-learn divides by the rows that it is given
        peer = Lasso(alpha=0.1 * n / (n + 1), fit_intercept=False, tol=1e-14, max_iter=10**6)
        peer.fit(design, target)
        expected = common.coef + peer.coef_
        np.testing.assert_allclose(fitted.coef_[t], expected, atol=1e-7)
        np.testing.assert_array_equal(fitted.support_[t], peer.coef_ != 0)
        shrunk = common.intercept + free * (level - centre @ peer.coef_)
        assert fitted.intercept_[t] == pytest.approx(shrunk, abs=1e-7)


def test_small_new_tasks_gain_from_what_they_have_in_common():
    X, y, task, *_ = draw(40, 60, spread=1.0)
    X_new, y_new, task_new, *_ = draw(20, 6, spread=1.0)
    more = draw(20, 200, spread=1.0)  # of other tasks: only its rows serve
    random = np.random.default_rng(5)
    common = draw(1, 1)[3]
    deviation = random.normal(size=(20, 6)) * (random.random((20, 6)) < 0.3)
    y_new = (X_new * (common + deviation[task_new])).sum(1) + 2 + random.normal(size=len(X_new))
    X_test, test = more[0], more[2]
    truth = (X_test * (common + deviation[test])).sum(1) + 2
    scores = {}
    for name, estimator in {"common": model(), "own": model(common_head=False)}.items():
        new = estimator.fit(X, y, task_id=task).adapt(X_new, y_new, task_id=task_new)
        scores[name] = r2_score(truth, new.predict(X_test, task_id=test))
    fitted = model().fit(X, y, task_id=task)
    head = fitted.common_head_
    scores["pooled"] = r2_score(truth, fitted.transform(X_test) @ head.coef + head.intercept)
    assert scores["common"] > max(scores["pooled"], scores["own"])
    # heads under the distribution that they were drawn from, if it were normal
    spread = np.diag([0.5**2] + [0.3] * 6)
    heads = []
    for t in range(20):
        own, mean = task_new == t, np.r_[2, common]
        U = np.c_[np.ones(6), X_new[own]]
        gain = spread @ U.T @ np.linalg.inv(U @ spread @ U.T + np.eye(6))
        heads.append(mean + gain @ (y_new[own] - U @ mean))
    known = (np.c_[np.ones(len(X_test)), X_test] * np.array(heads)[test]).sum(1)
    assert scores["common"] > r2_score(truth, known) - 0.03


def test_equal_tasks_do_not_deviate():
    X, y, task, *_ = draw(30, 10, spread=0.0, level=0.0, seed=3)
    fitted = model(early_stopping=False).fit(X, y, task_id=task)
    assert fitted.support_.mean() < 0.1
    # heads of their own have errors of 1 / sqrt(10) a coefficient
    assert np.sqrt(((fitted.coef_ - fitted.common_head_.coef) ** 2).mean()) < 0.1


def test_adapt_keeps_the_common_head_and_nothing_changes():
    X, y, task, *_ = draw(10, 20)
    fitted = model().fit(X, y, task_id=task)
    before = fitted.coef_.copy()
    new = fitted.adapt(X[:7], y[:7])
    assert new.common_head_ is fitted.common_head_
    np.testing.assert_array_equal(fitted.coef_, before)
    again = fitted.adapt(X[:7], y[:7], sample_weight=np.full(7, 3.0)).adapt(X[:7], y[:7])
    np.testing.assert_allclose(again.coef_, new.coef_)


@pytest.mark.parametrize(("shift", "factor"), [(1e4, 1e-3), (-50.0, 1e3)])
def test_units_of_the_targets_change_nothing(shift, factor):
    X, y, task, *_ = draw(10, 20)
    plain = model().fit(X, y, task_id=task).adapt(X, y, task_id=task)
    other = model().fit(X, shift + factor * y, task_id=task)
    other = other.adapt(X, shift + factor * y, task_id=task)
    np.testing.assert_allclose(other.coef_ / factor, plain.coef_, rtol=1e-4, atol=1e-6)


def test_a_file_keeps_it(tmp_path):
    X, y, task, *_ = draw(10, 20)
    fitted = model().fit(X, y, task_id=task)
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    for new in (clone(fitted).fit(X, y, task_id=task), loaded):
        np.testing.assert_array_equal(
            new.adapt(X[:9], y[:9]).predict(X), fitted.adapt(X[:9], y[:9]).predict(X)
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": "l0"}, "common_head=True is not available with penalty='l0'"),
        ({"penalty": "mcp"}, "common_head=True is not available with penalty='mcp'"),
        ({"common_head": "yes"}, "common_head must be True or False"),
        ({"loss": "logistic"}, "common_head=True is not available with the loss 'logistic'"),
    ],
)
def test_bad_parameters(parameters, message):
    X, y, task, *_ = draw(3, 20)
    with pytest.raises((ValueError, TypeError), match=message):
        model().set_params(**parameters).fit(X, (y > 0).astype(float), task_id=task)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_stays_on_the_device(penalty):
    counts = {}
    for common in (False, True):
        with FakeTensorMode(), SyncCounter(answer=False) as counter:
            Z, Y, weights = fake_cuda(40, 6, requires_grad=True), fake_cuda(40, 8), fake_cuda(40, 8)
            for given in (None, weights):
                problem = HeadProblem(PENALTIES[penalty], 0.1, True, 1e-6, common=common)
                heads = problem.solve(Z, Y, given)
                assert heads.coef.device.type == ACCELERATOR
                heads.loss.sum().backward()
        counts[common] = counter.count
    assert counts[True] == counts[False]
