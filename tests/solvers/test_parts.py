"""Many problems in bounded memory: parts, and smaller parts where memory runs out."""

import warnings

import pytest
import torch

from sklearn_sparsedis.functional import _support, centred_gram, lasso_alpha_max
from sklearn_sparsedis.solvers import _parts, solve_lasso_gram
from sklearn_sparsedis.solvers._parts import solve_each_part
from sklearn_sparsedis.solvers.lasso import _active_set

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


def statistics(T=100, n=50, m=6):
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(n, m, generator=g, dtype=torch.float64)
    y = torch.randn(T, m, generator=g, dtype=torch.float64) @ Z.T
    y = y + torch.randn(T, n, generator=g, dtype=torch.float64)
    gram, corr, y_sq = centred_gram(Z, y)[:3]
    return gram, corr, y_sq, 0.1 * lasso_alpha_max(corr)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("per_problem", [False, True])
def test_what_memory_does_not_suffice_for_is_halved_and_said_once(monkeypatch, error, per_problem):
    gram, corr, y_sq, alpha = statistics()
    if per_problem:
        gram = gram.expand(len(corr), -1, -1)
    expected = solve_lasso_gram(gram, corr, y_sq, alpha)
    plain, sizes = _active_set._solve, []

    def scarce(problem, *arguments):
        sizes.append(len(problem.corr))
        if len(problem.corr) > 30:
            raise error
        return plain(problem, *arguments)

    monkeypatch.setattr(_active_set, "_solve", scarce)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = solve_lasso_gram(gram, corr, y_sq, alpha)
    assert [str(w.message)[:41] for w in caught] == ["Memory ran out while problems were solved"]
    assert sizes == [100, 50, 25, 25, 25, 25]
    for name, value in vars(found).items():
        if value is not None:
            torch.testing.assert_close(value, getattr(expected, name), rtol=1e-12, atol=1e-14)


def test_a_single_problem_that_does_not_fit_raises_what_the_allocator_said():
    def solve(part):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        solve_each_part(solve, [slice(0, 8)])


def test_other_errors_are_not_taken_for_want_of_memory():
    calls = []

    def solve(part):
        calls.append(part)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        solve_each_part(solve, [slice(0, 8)])
    assert len(calls) == 1


def test_the_allocator_of_the_cpu_is_understood():
    with pytest.raises(RuntimeError, match="memory") as caught:
        torch.empty(10**15)
    assert _parts._is_out_of_memory(caught.value)


def test_no_problems_have_no_solutions():
    gram, corr, y_sq, alpha = statistics()
    found = solve_lasso_gram(gram, corr[:0], y_sq[:0], alpha[:0])
    assert found.coef.shape == (0, 6)


def test_parts_equal_the_whole(monkeypatch):
    gram, corr, y_sq, alpha = statistics()
    expected = solve_lasso_gram(gram, corr, y_sq, alpha)
    monkeypatch.setattr(_support, "CACHED", 36 * 7)
    found = solve_lasso_gram(gram, corr, y_sq, alpha)
    torch.testing.assert_close(found.coef, expected.coef, rtol=1e-12, atol=1e-14)
