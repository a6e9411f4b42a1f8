"""Every kind of training step and solve of the estimators, on the accelerator that is not there."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.estimators._margin_problem import MarginProblem
from sklearn_sparsedis.losses._registry import LOSSES
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._tables import TaskBatch, TaskTable
from sklearn_sparsedis.training._objective import BilevelObjective

N_ROWS, N_TASKS = 30, 9
OUTPUTS = (0, 0, 1, 1, 2, 3, 4, 4, 4)
LABELS, VALUES = LOSSES["logistic"], LOSSES["squared_error"]
MIXED = (LABELS, VALUES, LABELS) * 3
# what a table has besides rows and targets, and how batches are drawn
TABLES = {
    "plain": {},
    "weights of rows": {"weights": (N_ROWS,)},
    "weights of labels": {"weights": (N_ROWS, N_TASKS)},
    "labels": {"losses": (LABELS,) * N_TASKS},
    "labels and values": {"losses": MIXED},
    "outputs": {"task_of_output": OUTPUTS},
}
DRAWS = {
    "all": {},
    "rows": {"batch_size": 20},
    "queries": {"query_fraction": 0.3},
    "tasks": {"tasks_per_batch": 4},
}
# reads by the host in a solve of values (are there alphas of zero, are the gaps small enough), and
# of labels
READS = {"l1": 2, "l2": 0, "mcp": 1}
READS_OF_LABELS = 1
CASES = [
    *(("l1", kind, draw) for kind in TABLES for draw in DRAWS if draw != "rows" or kind == "plain"),
    *(("l2", kind, "all") for kind in TABLES),
    *(("mcp", kind, "all") for kind in TABLES if "losses" not in TABLES[kind]),
]


def objective_of(penalty, **options):
    with torch.device(ACCELERATOR):
        encoder = Encoder(
            LinearNetwork(8, 4), *(fake_cuda(8, dtype=torch.float32) for _ in range(2)), 4
        )
        problem = HeadProblem(PENALTIES[penalty], 0.1, True, 1e-6, **options)
        return BilevelObjective(encoder, problem, N_TASKS, 4)


def table_of(weights=None, **rest):
    X, Y = fake_cuda(N_ROWS, 8, dtype=torch.float32), fake_cuda(N_ROWS, N_TASKS)
    weights = None if weights is None else fake_cuda(*weights)
    return TaskTable(X, DenseTargets(Y, weights), **rest)


def batches_of(table, **draw):
    given = {"batch_size": N_ROWS, "tasks_per_batch": None, "query_fraction": None, **draw}
    # from the second batch on that is the whole table, its targets are at hand
    n = 1 if draw else 2
    return TaskBatches(table, n_batches=n, n_total=n, seed=0, **given)


def steps(objective, batches):
    """Losses and gradients, a batch after the other; the reads of each."""
    for batch in batches:
        with SyncCounter(answer=False) as counter:
            objective.zero_grad()
            loss = objective(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        assert loss.device.type == ACCELERATOR
        assert all(p.grad.device.type == ACCELERATOR for p in objective.parameters())
        assert objective.coef.device.type == ACCELERATOR
        yield counter.count


@pytest.mark.parametrize(("penalty", "kind", "draw"), CASES)
def test_steps_stay_on_the_device(monkeypatch, penalty, kind, draw):
    # the order of the tasks comes from the CPU, whose tensors have no values here either
    monkeypatch.setattr(TaskBatches, "_some_tasks", lambda self, n: np.arange(n)[::-1])
    labels = [loss is LABELS for loss in TABLES[kind].get("losses", ())]
    n_solves = 0 if labels and all(labels) else 2 if kind == "outputs" and penalty == "l1" else 1
    limit = READS_OF_LABELS * any(labels) + READS[penalty] * n_solves
    with FakeTensorMode(allow_non_fake_inputs=True):
        objective = objective_of(penalty)
        objective.anneal(1.0)
        batches = batches_of(table_of(**TABLES[kind]), **DRAWS[draw])
        for count in steps(objective, batches):
            assert count <= limit


@pytest.mark.parametrize("losses", [None, MIXED])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_steps_of_tasks_with_rows_of_their_own_stay_on_the_device(penalty, losses):
    with FakeTensorMode(allow_non_fake_inputs=True):
        X, rows = fake_cuda(N_ROWS, 8, dtype=torch.float32), fake_cuda(7, N_TASKS).long()
        Y, tasks = fake_cuda(7, N_TASKS), torch.arange(N_TASKS, device=ACCELERATOR)
        limit = READS[penalty] + READS_OF_LABELS * (losses is not None)
        for n_support in (7, 5):
            batch = TaskBatch(X, Y, Y, tasks, n_support, losses, rows=rows, n_needed=N_ROWS)
            for count in steps(objective_of(penalty), [batch]):
                assert count <= limit


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("kind", ["plain", "weights of rows", "weights of labels"])
def test_steps_with_a_common_head_stay_on_the_device(penalty, kind):
    with FakeTensorMode(allow_non_fake_inputs=True):
        objective = objective_of(penalty, common=True)
        for count in steps(objective, batches_of(table_of(**TABLES[kind]))):
            assert count <= READS[penalty]


@pytest.mark.parametrize("mode", ["absolute", "relative"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_group_lasso_svc_solves_on_the_device(mode, fit_intercept):
    X, index, weight = np.zeros((20, 6)), np.arange(20) % 3, np.ones(20)
    problem = MarginProblem(X, index, weight, 3, fit_intercept, torch.device(ACCELERATOR))
    with FakeTensorMode(allow_non_fake_inputs=True), SyncCounter(answer=False) as counter:
        group_reg = 0.1 * problem.bound if mode == "relative" else 0.1
        (result,) = problem.solve([group_reg], 1.0, 1e-6, 100)
        assert result.coef.device.type == ACCELERATOR
    # domains of the arguments, one a block of iterations of the solver, and the bound
    assert counter.count <= 4 + (mode == "relative")
