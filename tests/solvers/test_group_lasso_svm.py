"""The group-Lasso SVM's solver: reference solutions, certificates, hard data, batches, devices."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_sparsedis.functional import (
    group_lasso_svm_dual,
    group_lasso_svm_primal,
    uniform_spread_bound,
)
from sklearn_sparsedis.functional._block_threshold import block_norm
from sklearn_sparsedis.solvers import (
    group_lasso_svm_path,
    solve_group_lasso_svm,
)
from sklearn_sparsedis.solvers.group_lasso_svm import _conic, _dual, _interior, _problem, _solver
from sklearn_sparsedis.solvers.group_lasso_svm._gradients import GradientSolver

CASES = ["W_zero", "bin_k2", "dup_features", "k5_n25_m64", "l1zero_svm", "zero_feature"]


def make_task(b=4, n=20, m=40, k=4, seed=0, scale=None):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n).remainder(k).expand(b, n).clone()
    options = {"generator": generator, "dtype": torch.float64}
    means = torch.randn(b, k, m, **options) / 2
    F = means.gather(1, y[..., None].expand(b, n, m)) + torch.randn(b, n, m, **options)
    return F * (m**-0.5 if scale is None else scale), y


def one_hot(y, k):
    return torch.nn.functional.one_hot(y, k).double()


def relative_gap(result, F, y, group_reg, l2_reg, **weights):
    """Gap in float64 from the returned pair alone, as `SolveResult.gap` defines it."""
    F, Y = F.double(), one_hot(y, result.coef.shape[-1])
    primal = group_lasso_svm_primal(result.coef.double(), F, Y, group_reg, l2_reg, **weights)
    dual = group_lasso_svm_dual(result.dual_coef.double(), F, Y, group_reg, l2_reg, **weights)
    return (primal - dual) / primal.clamp_min(F.shape[-2] / 1000)


@pytest.mark.parametrize("name", CASES)
def test_reference_solutions_are_reproduced(shared, name):
    case = np.load(shared / "references" / "cases" / f"A_{name}.npz")
    F, y = torch.tensor(case["F"]), torch.tensor(case["y"]).long()
    l1, l2 = float(case["l1"]), float(case["l2"])
    result = solve_group_lasso_svm(F, y, l1, l2, n_classes=int(case["k"]), tol=1e-9)
    assert result.converged
    assert result.gap <= 1e-9
    np.testing.assert_allclose(result.objective, case["primal"], rtol=1e-8)
    np.testing.assert_allclose(result.coef.T, case["W"], atol=1e-6)
    np.testing.assert_array_equal((result.coef != 0).any(-1), case["support"].astype(bool))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_gap_reported_is_that_of_the_points_returned(share, dtype):
    F, y = make_task()
    bound = uniform_spread_bound(F, one_hot(y, 4))
    result = solve_group_lasso_svm(F.to(dtype), y, (share * bound).to(dtype), 0.5, tol=1e-9)
    assert result.coef.dtype == result.gap.dtype == dtype
    assert result.converged.all()
    # float32: each of the values returned is rounded, to 6e-8 of its size
    noise = 1e-12 if dtype == torch.float64 else 1e-6
    assert (relative_gap(result, F, y, share * bound, 0.5) <= 1e-9 + noise).all()


def test_without_group_penalty_it_is_the_svm_of_crammer_and_singer():
    F, y = make_task(b=1, n=40, k=3)
    result = solve_group_lasso_svm(F, y, 0.0, 0.25, tol=1e-10)
    model = LinearSVC(
        multi_class="crammer_singer", C=4.0, fit_intercept=False, tol=1e-10, max_iter=10**6
    ).fit(F[0].numpy(), y[0].numpy())
    np.testing.assert_allclose(result.coef[0].T, model.coef_, atol=1e-6)


def test_two_classes_use_no_feature_from_the_bound_on():
    F, y = make_task(k=2)
    bound = uniform_spread_bound(F, one_hot(y, 2))
    below = solve_group_lasso_svm(F, y, bound * 0.999, 0.1)
    above = solve_group_lasso_svm(F, y, bound * 1.001, 0.1)
    assert below.converged.all()
    assert above.converged.all()
    assert (block_norm(below.coef) > 0).any(-1).all()
    assert (above.coef == 0).all()


HARD = {
    "wild scales": lambda F, y: (F * torch.logspace(-3, 3, F.shape[-1]).double(), y),
    "duplicates": lambda F, y: (torch.cat([F, F, F], 1), torch.cat([y, y, y], 1)),
    "one shot": lambda F, y: (F[:, :4], y[:, :4]),
    "zero features": lambda F, y: (F * (torch.arange(F.shape[-1]) % 2), y),
    "nothing but zeros": lambda F, y: (0 * F, y),
    "tiny": lambda F, y: (1e-4 * F, y),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("group_reg", [0.0, 0.05, 1.0])
def test_hard_data_are_certified(name, group_reg):
    F, y = HARD[name](*make_task(b=2, m=24, seed=3))
    result = solve_group_lasso_svm(F, y, group_reg, 0.3, n_classes=4, tol=1e-7)
    assert result.converged.all()
    # recomputing V from the dual point returned costs digits where columns differ by 1e6
    assert (relative_gap(result, F, y, group_reg, 0.3) <= 1.1e-7).all()


def test_nearly_hard_margins_are_certified():
    # l2_reg far below the features' scale: the plain method stalls and the conic one takes over
    F, y = make_task(b=2, n=25, m=64, k=5, scale=1.0)
    scales = torch.tensor([1e3] * 21 + [1e-3] * 21 + [1.0] * 22).double()
    for group_reg in (1.0, 30.0, 300.0):
        result = solve_group_lasso_svm(F * scales, y, group_reg, 1.0, tol=1e-9)
        assert result.converged.all()
        assert (relative_gap(result, F * scales, y, group_reg, 1.0) <= 1.01e-9).all()


@pytest.mark.parametrize("group_reg", [0.0, 0.05, 1.0])
def test_small_problems_are_solved_in_numpy_as_they_would_be_in_torch(monkeypatch, group_reg):
    F, y = make_task(n=12, m=24, seed=3)
    in_numpy = solve_group_lasso_svm(F, y, group_reg, 0.3, tol=1e-10)
    monkeypatch.setattr(_problem, "SMALL", 0)
    in_torch = solve_group_lasso_svm(F, y, group_reg, 0.3, tol=1e-10)
    assert in_torch.converged.all()
    torch.testing.assert_close(in_numpy.coef, in_torch.coef, rtol=0, atol=1e-9)
    torch.testing.assert_close(in_numpy.objective, in_torch.objective, rtol=1e-10, atol=0)


def test_threads_of_blas_come_back_where_several_threads_solve():
    F, y = make_task(n=12, m=24)
    with threadpool_limits(2, "blas"):
        before = [x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"]
        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(lambda _: solve_group_lasso_svm(F, y, 0.5, 0.3), range(6)))
        after = [x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"]
    assert all(result.converged.all() for result in results)
    assert before == after


def test_a_batch_gives_what_its_problems_give_alone(monkeypatch):
    F, y = make_task(b=6)
    F[2] *= 30  # much harder than its neighbours
    group_reg = torch.linspace(0, 1, 6, dtype=torch.float64)
    together = solve_group_lasso_svm(
        F.view(2, 3, 20, 40), y.view(2, 3, 20), group_reg.view(2, 3), 1.0
    )
    assert together.coef.shape == (2, 3, 40, 4)
    assert together.dual_coef.shape == (2, 3, 20, 4)
    assert together.gap.shape == together.converged.shape == together.n_iter.shape == (2, 3)
    monkeypatch.setitem(_solver._CHUNK_BYTES, "cpu", 1)
    in_chunks = solve_group_lasso_svm(F, y, group_reg, 1.0)
    for i in range(6):
        alone = solve_group_lasso_svm(F[i], y[i], group_reg[i], 1.0)
        # two points with gaps of 1e-8 of about 20 differ by at most twice the root of that
        for other in (together.coef.view(6, 40, 4)[i], in_chunks.coef[i]):
            torch.testing.assert_close(other, alone.coef, atol=2e-3, rtol=0)
            torch.testing.assert_close(
                group_lasso_svm_primal(other, F[i], one_hot(y[i], 4), group_reg[i], 1.0),
                alone.objective,
                rtol=3e-8,
                atol=0,
            )


def test_rows_of_weight_zero_do_not_count_and_weights_repeat_rows():
    F, y = make_task(b=1)
    weight = torch.ones(20).double()
    weight[:4] = 0
    weight[4:8] = 2
    repeated = torch.cat([torch.arange(4, 20), torch.arange(4, 8)])
    weighted = solve_group_lasso_svm(F, y, 0.2, 0.5, sample_weight=weight, tol=1e-11)
    rows = solve_group_lasso_svm(F[:, repeated], y[:, repeated], 0.2, 0.5, tol=1e-11)
    assert weighted.converged.all()
    torch.testing.assert_close(weighted.objective, rows.objective)
    torch.testing.assert_close(weighted.coef, rows.coef, atol=1e-5, rtol=0)


def test_a_feature_of_weight_zero_is_left_out_of_the_group_penalty():
    F, y = make_task(b=2, k=2)
    y[:, :3] = 0  # uneven classes, so that an intercept helps
    F = torch.cat([F, torch.ones(2, 20, 1).double()], -1)
    omega = torch.ones(41).double()
    omega[-1] = 0
    result = solve_group_lasso_svm(F, y, 100.0, 1e-3, feature_weight=omega)
    assert result.converged.all()
    assert (result.coef[:, :-1] == 0).all()
    assert (result.coef[:, -1] != 0).all()
    gap = relative_gap(result, F, y, 100.0, 1e-3, feature_weight=omega)
    assert (gap <= 1.1e-8).all()


def test_absent_classes_are_allowed():
    F, y = make_task()
    result = solve_group_lasso_svm(F, y, 0.1, 0.5, n_classes=7)
    assert result.coef.shape[-1] == 7
    assert result.converged.all()
    # nothing tells the absent classes apart
    torch.testing.assert_close(result.coef[..., 4], result.coef[..., 6], atol=1e-3, rtol=0)


def test_a_path_agrees_with_cold_starts():
    F, y = make_task(b=2)
    values = [1.0, 0.7, 0.5, 0.0]
    for value, result in zip(
        values, group_lasso_svm_path(F, y, values, 0.5, tol=1e-10), strict=True
    ):
        assert result.converged.all()
        cold = solve_group_lasso_svm(F, y, value, 0.5, tol=1e-10)
        torch.testing.assert_close(result.objective, cold.objective, rtol=1e-9, atol=0)


def test_too_few_iterations_are_reported_per_problem():
    F, y = make_task(b=3, n=30, k=5)
    F[1] = 0  # solved at once
    result = solve_group_lasso_svm(F, y, 0.3, 0.01, n_classes=5, tol=1e-12, max_iter=2)
    assert result.converged.tolist() == [False, True, False]
    assert (relative_gap(result, F, y, 0.3, 0.01) <= result.gap + 1e-12).all()


def _invalid(**changes):
    F, y = make_task(b=2)
    arguments = {"F": F, "y": y, "group_reg": 0.1, "l2_reg": 1.0}
    return {**arguments, **changes}


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"F": torch.ones(2, 20, 40, dtype=torch.int64)}, TypeError, "F must be a floating"),
        ({"y": torch.ones(2, 20)}, TypeError, "y must be an integer"),
        ({"y": torch.zeros(2, 19, dtype=torch.int64)}, ValueError, "got .2, 20, 40. and .2, 19."),
        ({"y": torch.zeros(2, 20, dtype=torch.int64)}, ValueError, "two classes .* n_classes=1"),
        ({"n_classes": 3}, ValueError, r"labels in \[0, 3\)"),
        ({"group_reg": -0.1}, ValueError, "group_reg must be nonnegative"),
        ({"group_reg": torch.ones(3)}, ValueError, r"group_reg must be broadcastable .* \(2,\)"),
        ({"l2_reg": 0.0}, ValueError, "l2_reg must be positive"),
        ({"l2_reg": float("nan")}, ValueError, "l2_reg must be positive"),
        ({"feature_weight": -torch.ones(40)}, ValueError, "feature_weight must be nonnegative"),
        ({"feature_weight": torch.ones(39)}, ValueError, "feature_weight must be broadcastable"),
        ({"sample_weight": -torch.ones(20)}, ValueError, "sample_weight must be nonnegative"),
        ({"tol": 0.0}, ValueError, "tol must be positive"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"dual_init": torch.ones(2, 20, 3)}, ValueError, r"dual_init must have .* \(20, 4\)"),
    ],
)
def test_invalid_input_is_refused(changes, error, match):
    with pytest.raises(error, match=match):
        solve_group_lasso_svm(**_invalid(**changes))


@pytest.mark.parametrize("small", [0, 2**20])
@pytest.mark.parametrize("group_reg", [0.0, 0.3])
def test_systems_solved_by_conjugate_gradients_lead_to_the_same_solution(
    monkeypatch, group_reg, small
):
    monkeypatch.setattr(_problem, "SMALL", small)
    F, y = make_task()
    weight = torch.rand(4, 20, generator=torch.Generator().manual_seed(1)).double()
    options = {"sample_weight": weight, "tol": 1e-6}
    expected = solve_group_lasso_svm(F, y, group_reg, 1.0, **options)
    monkeypatch.setattr(_problem, "FACTORED_ORDER", 0)
    solved = []
    monkeypatch.setattr(
        _problem,
        "GradientSolver",
        lambda *x: solved.append(len(x)) or GradientSolver(*x),
    )
    # the face, which decides the last digits of both, is left out
    monkeypatch.setattr(_dual, "finish_on_face", lambda *x, **options: None)
    result = solve_group_lasso_svm(F, y, group_reg, 1.0, **options)
    assert result.converged.all()
    assert bool(solved) == (group_reg > 0)  # without thresholds the preconditioner is exact
    torch.testing.assert_close(result.objective, expected.objective, rtol=2e-6, atol=0)
    torch.testing.assert_close(result.coef, expected.coef, rtol=0, atol=2e-2)


@pytest.mark.parametrize("group_reg", [0.0, 0.3])
def test_a_device_waits_for_the_host_once_a_block_of_iterations(monkeypatch, group_reg):
    max_iter = 5  # each fake operation costs a millisecond
    # every question but that for invalid input is answered by yes: go on
    questions = []

    def any_true(mask):
        questions.append(mask)
        assert mask.device.type == ACCELERATOR
        return True

    for module in (_dual, _interior, _conic):
        monkeypatch.setattr(module, "any_true", any_true)
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        F = fake_cuda(3, 10, 12, dtype=torch.float32)
        y = torch.zeros(3, 10, dtype=torch.int64, device=ACCELERATOR)
        result = solve_group_lasso_svm(F, y, group_reg, 1.0, n_classes=4, max_iter=max_iter)
        for value in (value for value in vars(result).values() if value is not None):
            assert value.device.type == ACCELERATOR
    assert counter.count == 1
    # in blocks of four iterations: three levels of the plain method, two of the conic one; and
    # three on thresholds and convergence
    assert len(questions) <= 5 * (max_iter // 4 + 1) + 3
