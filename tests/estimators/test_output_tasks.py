"""SparseDisentangledRepresentation with tasks that have several outputs."""

import pickle

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.base import clone
from sklearn.linear_model import MultiTaskLasso
from sklearn.model_selection import GridSearchCV
from torch.autograd import gradcheck

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.metrics import mean_corrcoef_score
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES

# four tasks of three, one, two and three outputs, their columns mixed
NAMES = ["a", "b", "c", "a", "d", "d", "c", "a", "d"]
TASKS = [[0, 3, 7], [1], [2, 6], [4, 5, 8]]


def draw(n=200, seed=0, names=NAMES, noise=0.1, m=4):
    """Features, outputs and latents; the outputs of a task use the same latents."""
    random = np.random.default_rng(seed)
    Z = random.normal(size=(n, m))
    tasks, number = np.unique(names, return_inverse=True)
    used = random.random((len(tasks), m)) < 0.5
    used[np.arange(len(tasks)), np.arange(len(tasks)) % m] = True
    W = random.normal(size=(len(names), m)) * used[number]
    Y = Z @ W.T + noise * random.normal(size=(n, len(names)))
    return Z @ random.normal(size=(m, 2 * m)), Y * np.logspace(-1, 1, len(names)) + 5, Z


def model(**parameters):
    defaults = {"encoder": "linear", "max_iter": 20, "random_state": 0, "task_of_output": NAMES}
    return SparseDisentangledRepresentation(4, **{**defaults, "alpha": 0.1, **parameters})


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_heads_are_scikit_learns_on_the_components(mode):
    X, Y, _ = draw()
    alpha = {"relative": 0.2, "absolute": 0.5}[mode]
    fitted = model(alpha=alpha, alpha_mode=mode, tol=1e-12, max_iter=5).fit(X, Y)
    assert (fitted.dual_gap_ <= 1e-12).all()
    Z, scale = fitted.transform(X), Y.std(0)
    for columns in TASKS:
        unit = np.sqrt((scale[columns] ** 2).mean())  # of the task
        strength = alpha / unit
        if mode == "relative":
            strength = alpha * fitted.alpha_max_[columns[0]] / unit
        peer = MultiTaskLasso(alpha=strength, tol=1e-14, max_iter=100_000)
        peer.fit(Z, Y[:, columns] / scale[columns])
        found = fitted.coef_[columns] / scale[columns, None]
        np.testing.assert_allclose(found, peer.coef_, atol=1e-7)
        expected = peer.intercept_ * scale[columns]
        np.testing.assert_allclose(fitted.intercept_[columns], expected, atol=1e-6)


def test_outputs_in_one_unit_are_the_group_lasso_of_what_was_given():
    X, Y, _ = draw()
    Y = 3 * (Y - Y.mean(0)) / Y.std(0)
    fitted = model(alpha=0.7, alpha_mode="absolute", tol=1e-12, max_iter=5).fit(X, Y)
    for columns in TASKS:
        peer = MultiTaskLasso(alpha=0.7, tol=1e-14, max_iter=100_000)
        peer.fit(fitted.transform(X), Y[:, columns])
        np.testing.assert_allclose(fitted.coef_[columns], peer.coef_, atol=1e-7)
        assert fitted.alpha_max_[columns[0]] > 0.7


def test_outputs_of_a_task_share_support_strength_and_certificate():
    X, Y, _ = draw()
    fitted = model().fit(X, Y)
    assert 0 < fitted.support_.mean() < 1
    np.testing.assert_array_equal(fitted.support_, fitted.coef_ != 0)
    assert fitted.coef_.shape == (9, 4)
    for columns in TASKS:
        for values in (fitted.support_, fitted.alpha_max_, fitted.dual_gap_):
            assert (values[columns] == values[columns[0]]).all()
    lone = model(task_of_output=None).fit(X, Y)
    assert any((lone.support_[columns] != lone.support_[columns[0]]).any() for columns in TASKS)
    assert fitted.score(X, Y) > 0.9


def test_a_task_with_one_output_is_what_it_was():
    X, Y, _ = draw()
    fitted = model(max_iter=0).fit(X, Y)
    before = model(max_iter=0, task_of_output=None).fit(X, Y)
    np.testing.assert_allclose(fitted.coef_[1], before.coef_[1], rtol=1e-10)
    assert fitted.alpha_max_[1] == pytest.approx(before.alpha_max_[1], rel=1e-12)
    for names in (range(9), list("abcdefghi")):
        same = model(task_of_output=names).fit(X, Y)
        expected = model(task_of_output=None).fit(X, Y)
        np.testing.assert_array_equal(same.coef_, expected.coef_)
        np.testing.assert_array_equal(same.transform(X), expected.transform(X))


def test_alpha_max_is_where_the_heads_of_a_task_vanish():
    X, Y, _ = draw()
    fitted = model(max_iter=0).fit(X, Y)
    for columns in TASKS:
        for factor, used in ((1 + 1e-9, 0), (0.999, 1)):
            alpha = factor * fitted.alpha_max_[columns[0]]
            again = model(max_iter=0, alpha=alpha, alpha_mode="absolute", tol=1e-10).fit(X, Y)
            assert (again.support_[columns].sum(1) == used).all()


@pytest.mark.slow
def test_outputs_that_share_their_latents_tell_what_these_are():
    names = np.repeat(np.arange(30), 3)
    X, Y, Z = draw(1000, names=names)
    fitted = model(task_of_output=names, max_iter=400, alpha=0.3).fit(X, Y)
    assert mean_corrcoef_score(Z, fitted.transform(X)) > 0.99


def test_rows_count_where_all_outputs_of_a_task_are_observed():
    X, Y, _ = draw()
    gaps = Y.copy()
    gaps[:60, 0] = np.nan
    gaps[150:, 3] = np.nan
    fitted = model(max_iter=0, tol=1e-10).fit(X, gaps)
    other = gaps.copy()
    other[:60, 7] = np.nan
    other[:60, 3] = np.nan
    other[150:, 0] = np.nan
    other[150:, 7] = np.nan
    expected = model(max_iter=0, tol=1e-10).fit(X, other)
    # the encoder's outputs are scaled on all rows, each with the weight of its labels
    np.testing.assert_allclose(fitted.predict(X), expected.predict(X), atol=1e-7)
    assert np.isfinite(fitted.score(X, gaps))
    trained = model().fit(X, gaps)
    for columns in TASKS:
        assert (trained.support_[columns] == trained.support_[columns[0]]).all()
    gaps[60:, 7] = np.nan
    with pytest.raises(ValueError, match="each task needs at least one row"):
        model().fit(X, gaps)


def test_weights_are_numbers_of_rows():
    X, Y, _ = draw(60)
    times = np.arange(60) % 3
    adapted = model(max_iter=3).fit(X, Y)
    rows, tol = np.repeat(np.arange(60), times), 1e-7
    for weights in (times.astype(float), np.repeat(times[:, None], 9, 1).astype(float)):
        weights = weights.copy()
        if weights.ndim == 2:
            weights[0, 1] = 1  # of the task with one output: weights differ between tasks
        found = adapted.adapt(X, Y, sample_weight=weights)
        expected = adapted.adapt(X[rows], Y[rows])
        np.testing.assert_allclose(found.coef_[TASKS[0]], expected.coef_[TASKS[0]], atol=tol)
        np.testing.assert_allclose(found.coef_[TASKS[3]], expected.coef_[TASKS[3]], atol=tol)
    weights[5, 0] = 7
    with pytest.raises(ValueError, match="must be the same for all outputs of a task"):
        adapted.adapt(X, Y, sample_weight=weights)


def test_adapt_takes_the_parameter_or_names_of_its_own():
    X, Y, _ = draw()
    fitted = model().fit(X, Y)
    same = fitted.adapt(X, Y)
    np.testing.assert_allclose(same.coef_, fitted.coef_, atol=1e-9)
    new = fitted.adapt(X, Y[:, [0, 3, 1]], task_of_output=["x", "x", "y"])
    assert (new.support_[0] == new.support_[1]).all()
    np.testing.assert_array_equal(fitted.support_, same.support_)
    with pytest.raises(ValueError, match="In adapt, pass those of the new columns"):
        fitted.adapt(X, Y[:, :2])


def test_tasks_are_drawn_with_all_their_outputs(monkeypatch):
    X, Y, _ = draw()
    drawn = []
    solve = HeadProblem.solve

    def spy(self, *args, **options):
        drawn.append(options["task_of_output"])
        return solve(self, *args, **options)

    monkeypatch.setattr(HeadProblem, "solve", spy)
    fitted = model(tasks_per_batch=2, early_stopping=False, max_iter=30, query_fraction=0.3)
    fitted.fit(X, Y)
    sizes = {0: 3, 1: 1, 2: 2, 3: 3}
    assert len({tuple(sorted(set(names))) for names in drawn if len(set(names)) == 2}) == 6
    assert all(names.count(task) == sizes[task] for names in drawn for task in names)


def test_other_tasks_may_have_labels():
    X, Y, _ = draw()
    Y[:, 1] = Y[:, 1] > np.median(Y[:, 1])
    loss = ["logistic" if t == 1 else "squared_error" for t in range(9)]
    fitted = model(loss=loss).fit(X, Y)
    assert (fitted.dual_gap_ <= fitted.tol).all()
    alone = model(loss=loss, task_of_output=None, max_iter=0).fit(X, Y)
    expected = model(loss=loss, max_iter=0).fit(X, Y)
    np.testing.assert_allclose(expected.coef_[1], alone.coef_[1], atol=1e-8)
    for columns in TASKS:
        assert (fitted.support_[columns] == fitted.support_[columns[0]]).all()
    with pytest.raises(ValueError, match="'logistic', which output 1 has, is not available in a"):
        model(loss=loss, task_of_output=["a"] * 9).fit(X, Y)


def test_an_output_that_does_not_vary_shares_the_support_of_its_task():
    X, Y, _ = draw()
    Y[:, 3] = 2.5
    fitted = model(max_iter=3, alpha=0.3, alpha_mode="absolute").fit(X, Y)
    assert (fitted.coef_[3] == 0).all()
    assert (fitted.support_[3] == fitted.support_[0]).all()
    assert fitted.predict(X)[:, 3] == pytest.approx(2.5)
    without = fitted.adapt(X, np.delete(Y, 3, 1), task_of_output=NAMES[:3] + NAMES[4:])
    np.testing.assert_allclose(fitted.coef_[0], without.coef_[0], atol=1e-8)


def test_ridge_heads_have_no_zeros_to_share():
    X, Y, _ = draw()
    fitted = model(penalty="l2").fit(X, Y)
    expected = model(penalty="l2", task_of_output=None).fit(X, Y)
    np.testing.assert_array_equal(fitted.coef_, expected.coef_)


@pytest.mark.parametrize("penalty", ["l0", "mcp"])
def test_penalties_that_choose_supports_by_output_are_refused(penalty):
    X, Y, _ = draw()
    with pytest.raises(ValueError, match=f"penalty='{penalty}' chooses the support of every"):
        model(penalty=penalty).fit(X, Y)


def test_a_common_head_is_refused():
    X, Y, _ = draw()
    with pytest.raises(ValueError, match="common_head=True is not available for tasks with sev"):
        model(common_head=True).fit(X, Y)


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        ("aaabbbccc", TypeError, "must be a sequence of one name a column of Y, or None, got 'aa"),
        (3, TypeError, "must be a sequence"),
        (["a", "b"], ValueError, "the task of each of 9 columns of Y, got 2 names"),
        ([float("nan")] * 9, ValueError, "must have integers or strings, got nan"),
        ([[0]] * 9, ValueError, r"must have integers or strings, got \[0\]"),
    ],
)
def test_names_must_name_every_column(names, error, match):
    X, Y, _ = draw()
    with pytest.raises(error, match=match):
        model(task_of_output=names).fit(X, Y)


def test_rows_with_a_task_of_their_own_are_refused():
    X, Y, _ = draw()
    with pytest.raises(ValueError, match="task_id already names those of rows"):
        model(task_of_output=["a"] * 2).fit(X, Y[:, 0], task_id=np.arange(200) % 2)


def test_clone_search_pickle_and_files(tmp_path):
    X, Y, _ = draw()
    for names in (NAMES, tuple(NAMES), np.array(NAMES), np.arange(9) // 3):
        fitted = clone(model(task_of_output=names, max_iter=3)).fit(X, Y)
        save_model(fitted, tmp_path / "model.safetensors")
        for again in (
            load_model(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(fitted)),
        ):
            np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
            np.testing.assert_array_equal(again.support_, fitted.support_)
            assert list(again.task_of_output) == list(names)
            np.testing.assert_array_equal(again.adapt(X, Y).coef_, fitted.adapt(X, Y).coef_)
    search = GridSearchCV(model(max_iter=3), {"alpha": [0.05, 0.5]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"alpha": 0.05}
    more = fitted.partial_fit(X, Y)
    assert (more.support_[:3] == more.support_[0]).all()


@pytest.mark.parametrize("weighted", [None, "rows", "labels"])
def test_gradient_of_the_heads(weighted):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(10, 3, generator=g).double().requires_grad_()
    Y = torch.randn(10, 6, generator=g).double().requires_grad_()
    shape = {None: None, "rows": (10,), "labels": (10, 3)}[weighted]
    weights = None if shape is None else torch.rand(shape, generator=g).double().round(decimals=1)
    names = (0, 1, 0, 2, 1, 0)
    if weighted == "labels":
        weights = weights[:, list(names)]
    problem = HeadProblem(PENALTIES["l1"], 0.3, True, 1e-14)
    alpha = problem.solve(Z.detach(), Y.detach(), weights, task_of_output=names).alpha_max * 0.3
    absolute = HeadProblem(PENALTIES["l1"], alpha, False, 1e-14)

    def fit(Z, Y):
        heads = absolute.solve(Z, Y, weights, task_of_output=names)
        assert (heads.coef != 0).any()
        return heads.coef, heads.intercept, heads.loss

    assert gradcheck(fit, (Z, Y))
    heads = absolute.solve(Z, Y, weights, task_of_output=names)
    judged = absolute.judge(heads, Z, Y, weights)
    np.testing.assert_allclose(heads.loss.detach(), judged.detach(), rtol=1e-10)
    start = heads.coef.detach()
    warm = absolute.solve(Z, Y, weights, start, task_of_output=names)
    np.testing.assert_allclose(warm.coef.detach(), start, atol=1e-9)
    if weights is None:
        centred = absolute.solve(Z, problem.centre(Y), task_of_output=names)
        np.testing.assert_allclose(centred.coef.detach(), start, atol=1e-9)


def test_stays_on_the_device_and_looks_as_often_as_for_one_output():
    counts = []
    for names in ((0, 0, 1, 1, 1), None, (0, 0, 1, 2, 2)):
        with FakeTensorMode(), SyncCounter(answer=False) as counter:
            Z = fake_cuda(20, 4, requires_grad=True)
            problem = HeadProblem(PENALTIES["l1"], 0.1, True, 1e-6)
            start = fake_cuda(5, 4)
            heads = problem.solve(Z, fake_cuda(20, 5), None, start, task_of_output=names)
            heads.loss.sum().backward()
            assert heads.coef.device.type == Z.grad.device.type == ACCELERATOR
            counts.append(counter.count)
    assert counts[0] == counts[1] == 2
    assert counts[2] == 4  # two solvers
