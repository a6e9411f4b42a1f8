"""Labels that are held out: which, and what is compared on them."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.estimators import _one_training
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.tasks._dense import DenseTargets
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._held_out import hold_out
from sklearn_sparsedis.training._judge import LinearJudge

SEEDS = range(20)


def model(**parameters):
    fixed = {"encoder": "linear", "max_iter": 20, "random_state": 0}
    return SparseDisentangledRepresentation(2, **{**fixed, **parameters})


def table(Y, weights=None, **parts):
    """Rows that know their number, so that they can be found again."""
    rows = torch.arange(float(len(Y)))[:, None]
    if weights is not None and weights.ndim == 2:
        return TaskTable(rows, ObservedTargets.of_table(Y, weights), **parts)
    return TaskTable(rows, DenseTargets(Y, weights), **parts)


def labels(part, n):
    """Which labels a part of a table has, bool (n, T)."""
    seen = torch.zeros(n, part.Y.shape[1], dtype=torch.bool)
    rows = part.X[:, 0].long()
    if isinstance(part.Y, ObservedTargets):
        seen[rows[part.Y.row], part.Y.task] = True
    else:
        seen[rows] = part.Y.labelled[:, None]
    return seen


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("missing", [False, True])
def test_labels_are_trained_on_or_held_out(missing):
    Y = normal(50, 4)
    weights = (normal(50, 4) > 0).double() if missing else None
    whole = table(Y, weights)
    for seed in SEEDS:
        train, held_out = (labels(part, 50) for part in hold_out(whole, 0.2, seed))
        assert not (train & held_out).any()
        torch.testing.assert_close(train | held_out, labels(whole, 50))
        assert held_out.any(0).all()


def test_rows_whose_tasks_can_spare_them_are_held_out_whole():
    whole = table(normal(200, 5), (normal(200, 5) > -1).double())
    for seed in SEEDS:
        train, held_out = (labels(part, 200) for part in hold_out(whole, 0.1, seed))
        assert not (train.any(1) & held_out.any(1)).any()
        assert held_out.any(1).sum() == 20


def test_every_task_that_can_gives_a_label():
    count = torch.tensor([40, 1, 2, 3, 4, 3])
    weights = (torch.arange(40)[:, None] < count).double()
    Y = normal(40, 6)
    Y[:, 5] = 1.0
    for seed in SEEDS:
        train, held_out = (
            labels(part, 40).sum(0) for part in hold_out(table(Y, weights), 0.1, seed)
        )
        assert held_out[:1] >= 1
        assert held_out[1:].tolist()[:3] == [0, 0, 1]
        assert held_out[4] in (1, 2)
        assert held_out[5] == 0, "a constant task tells encoders not apart"
        assert (train >= count.clamp_max(2)).all()


@pytest.mark.parametrize("missing", [False, True])
def test_both_kinds_of_labels_are_left_to_every_task(missing):
    Y = torch.zeros(200, 3)
    Y[:3, 0] = 1
    Y[:1, 1] = 1
    weights = torch.ones(200, 3) if missing else None
    whole = table(Y, weights, losses=(Logistic(), Logistic(), SquaredError()))
    for seed in SEEDS:
        train, held_out = hold_out(whole, 0.5, seed)
        kept = labels(train, 200)
        assert kept[:3, 0].any()
        assert kept[0, 1]
        assert labels(held_out, 200)[:, :2].any(0).all()


def test_labels_are_held_out_where_every_row_is_needed():
    one_hot = table(torch.eye(30), losses=(Logistic(),) * 30)
    train, held_out = hold_out(one_hot, 0.1, 0)
    assert labels(train, 30).diagonal().all()
    assert (labels(held_out, 30).sum(0) >= 2).all()


def test_rows_without_labels_are_not_held_out():
    weights = (torch.arange(100) < 5).double()
    for seed in SEEDS:
        train, held_out = hold_out(table(normal(100, 2), weights), 0.1, seed)
        assert (len(train.X), len(held_out.X)) == (99, 1)
        assert held_out.X < 5


@pytest.mark.parametrize(
    "whole",
    [
        table(normal(2, 3)),
        table(torch.ones(50, 3)),
        table(normal(50, 2), (torch.arange(50) < 2).double()),
        table(normal(50, 2), (torch.arange(50)[:, None] < torch.tensor([1, 2])).double()),
        table(torch.eye(2), losses=(Logistic(),) * 2),
    ],
)
def test_nothing_is_held_out_where_no_task_can_spare_a_label(whole):
    assert all(hold_out(whole, 0.5, seed) is None for seed in SEEDS)


def test_outputs_of_a_task_are_held_out_together():
    Y = normal(40, 3)
    Y[:, 1] = 0.0
    weights = (normal(40, 1) > 0).double().expand(40, 3)
    for seed in SEEDS:
        _, held_out = hold_out(table(Y, weights, task_of_output=(0, 0, 1)), 0.2, seed)
        seen = labels(held_out, 40)
        torch.testing.assert_close(seen[:, 0], seen[:, 1])


@pytest.fixture(scope="module")
def few():
    """120 rows and three tasks of two labels each."""
    random = np.random.default_rng(0)
    Y = np.full((120, 3), np.nan)
    Y[np.arange(6), np.arange(6) // 2] = random.normal(size=6)
    return random.normal(size=(120, 5)), Y


@pytest.mark.parametrize("parameters", [{}, {"n_init": 2}, {"early_stopping": True}])
def test_fit_says_that_no_label_can_be_spared(few, parameters):
    with pytest.warns(
        UserWarning, match="does not stop early, because no task has labels to spare"
    ):
        fitted = model(**parameters).fit(*few)
    assert fitted.n_iter_ == 20
    assert not len(fitted.validation_loss_curve_)
    model(**{**parameters, "early_stopping": False}).fit(*few)


@pytest.mark.parametrize("n_tasks", [1, 3])
def test_the_validation_loss_rests_on_labels_however_few(few, n_tasks):
    X, _ = few
    Y = np.full((120, n_tasks), np.nan)
    Y[:8, 0] = X[:8, 0] - X[:8, 1]
    Y[8:10, 1:] = 1.0
    fitted = model(n_init=2).fit(X, Y)
    assert (fitted.validation_loss_curve_ > 0).all()


def test_the_loss_is_the_mean_over_tasks_with_held_out_labels(few):
    X, _ = few
    Y = np.full((120, 2), np.nan)
    Y[:, 0] = X[:, 0] + X[:, 1]
    Y[:2, 1] = 0.0, 1.0
    alone, beside = (model(alpha=0.5).fit(X, part) for part in (Y[:, 0], Y))
    # the untrained encoder of either predicts about as well
    assert beside.validation_loss_curve_[0] == pytest.approx(
        alone.validation_loss_curve_[0], rel=0.3
    )


def test_trainings_are_compared_on_the_same_labels(monkeypatch):
    judged = []

    class Judge(LinearJudge):
        def __init__(self, table, held_out, *args):
            judged.append(held_out.X[:, 0].tolist())
            super().__init__(table, held_out, *args)

    monkeypatch.setattr(_one_training, "LinearJudge", Judge)
    random = np.random.default_rng(0)
    X = random.normal(size=(150, 4))
    model(n_init=3, max_iter=3).fit(X, X[:, :2])
    assert len(judged) == 3
    assert judged[0] == judged[1] == judged[2]
