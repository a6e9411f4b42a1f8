"""Callbacks of scikit-learn's protocol: in an estimator, in a Pipeline, in a search."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.callbacks import (
    Checkpoint,
    DisentanglementMonitor,
    EarlyStopping,
    SparsityMonitor,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

protocol = pytest.importorskip("sklearn.callback", reason="scikit-learn has it from 1.9 on")
FitCallback, ProgressBar = protocol.FitCallback, protocol.ProgressBar
ScoringMonitor = protocol.ScoringMonitor


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(200, 12, n_latents=4, n_features=8, random_state=0)


def model(**parameters):
    defaults = {"encoder": "linear", "max_iter": 20, "random_state": 0}
    return SparseDisentangledRepresentation(4, **{**defaults, **parameters})


def test_monitors_see_every_block_and_change_nothing(data):
    plain = model().fit(data.X, data.Y)
    r2, sparsity = ScoringMonitor(scoring="r2"), SparsityMonitor()
    recovery = DisentanglementMonitor(data.X, data.Z)
    watched = model().set_callbacks(r2, sparsity, recovery).fit(data.X, data.Y)
    np.testing.assert_array_equal(watched.coef_, plain.coef_)
    np.testing.assert_array_equal(watched.loss_curve_, plain.loss_curve_)
    blocks = [row for row in r2.get_logs().data if row["task_name"] == "steps"]
    assert len(blocks) == len(plain.validation_loss_curve_) - 1
    assert blocks[-1]["r2"] > 0.9
    whole = next(row for row in r2.get_logs().data if row["task_name"] == "fit")
    assert whole["r2"] == pytest.approx(watched.score(data.X, data.Y))
    shares = [row["zero_weights"] for row in sparsity.get_logs().data if row["task_name"] == "fit"]
    assert shares == [pytest.approx((watched.coef_ == 0).mean())]
    last = recovery.get_logs().data[-1]
    assert 0 < last["mcc"] <= last["r"] <= 1


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@pytest.mark.parametrize("penalty", ["l0", "mcp"])
def test_further_trainings_are_tasks_of_the_same_fit(data, penalty):
    monitor = SparsityMonitor()
    model(penalty=penalty, n_init=2).set_callbacks(monitor).fit(data.X, data.Y)
    trainings = [row for row in monitor.get_logs().data if row["task_name"] == "training"]
    assert len(trainings) == {"l0": 2, "mcp": 3}[penalty]


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (SparseDisentangledRepresentation(4), "Y"),
        (GroupLassoSVMMetaClassifier(4, n_way=2, n_shot=1), "classes"),
    ],
)
@pytest.mark.parametrize("given", [EarlyStopping(), EarlyStopping, ("stop", EarlyStopping())])
def test_callbacks_of_scikit_learn_are_pointed_to_set_callbacks(data, estimator, y, given):
    targets = {"Y": data.Y, "classes": (data.Y[:, 0] > 0).astype(int)}[y]
    with pytest.raises(
        TypeError, match=r"got .*estimator\.set_callbacks\(EarlyStopping\(\.\.\.\)\)"
    ):
        clone(estimator).set_params(callbacks=[given]).fit(data.X, targets)


@pytest.mark.filterwarnings("ignore:No component is used by two")
def test_long_layout_and_weights_reach_the_scorer(data):
    X, y = np.repeat(data.X, 2, axis=0), data.Y[:, :2].ravel()
    names = np.tile(["a", "b"], len(data.X))
    weights = np.ones(len(y))
    monitor = ScoringMonitor(scoring=_score)
    fitted = model().set_callbacks(monitor).fit(X, y, task_id=names, sample_weight=weights)
    row = next(row for row in monitor.get_logs().data if row["task_name"] == "fit")
    assert row["score"] == pytest.approx(fitted.score(X, y, task_id=names))


def _score(estimator, X, y, **more):
    return {"score": estimator.score(X, y, **more)}


def test_few_shot_trainings_are_monitored():
    X, y = load_digits(return_X_y=True)
    monitor = ScoringMonitor(scoring="accuracy")
    classifier = GroupLassoSVMMetaClassifier(8, head="ridge", n_way=3, max_iter=10, random_state=0)
    fitted = clone(classifier).set_callbacks(monitor).fit(X[:200], y[:200])
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) > 5
    assert scores[0] == pytest.approx(fitted.score(X[:200], y[:200]))
    plain = classifier.fit(X[:200], y[:200])
    np.testing.assert_array_equal(fitted.coef_, plain.coef_)


def test_early_stopping_ends_the_training(data):
    stop = EarlyStopping(data.X[150:], data.Y[150:], patience=2, min_improvement=10)
    fitted = model(max_iter=200).set_callbacks(stop).fit(data.X[:150], data.Y[:150])
    # the first block is an improvement on nothing, the next two are none
    assert len(fitted.loss_curve_) == 3 * (200 // 50)
    patient, plain = EarlyStopping(patience=100), model().fit(data.X, data.Y)
    watched = model().set_callbacks(patient).fit(data.X, data.Y)
    np.testing.assert_array_equal(watched.loss_curve_, plain.loss_curve_)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_searches_over_pipelines_gather_the_logs(data, n_jobs):
    monitor = SparsityMonitor()
    pipeline = make_pipeline(StandardScaler(), model().set_callbacks(monitor))
    search = GridSearchCV(
        pipeline, {"sparsedisentangledrepresentation__alpha": [0.05, 0.5]}, cv=2, n_jobs=n_jobs
    )
    search.fit(data.X, data.Y)
    ends = [row for row in monitor.get_logs().data if row["zero_weights"] is not None]
    assert len({row["task_id_path"] for row in ends}) == len(ends)
    assert len(ends) > 5 * 3  # four fits of the search and the last one


def test_early_stopping_in_a_search(data):
    stop = EarlyStopping(patience=1, min_improvement=10)
    search = GridSearchCV(
        model(max_iter=200).set_callbacks(stop), {"alpha": [0.05]}, cv=2, n_jobs=2
    ).fit(data.X, data.Y)
    assert len(search.best_estimator_.loss_curve_) < 20


def test_progress_bar(data, capsys):
    pytest.importorskip("rich")
    model().set_callbacks(ProgressBar()).fit(data.X, data.Y)
    assert "SparseDisentangledRepresentation" in capsys.readouterr().out


def test_checkpoint_by_set_callbacks(data, tmp_path):
    path = tmp_path / "training.safetensors"
    fitted = model().set_callbacks(Checkpoint(path, every=5)).fit(data.X, data.Y)
    assert path.exists()
    again = model(callbacks=[Checkpoint(path, every=5)]).fit(data.X, data.Y)
    np.testing.assert_array_equal(again.coef_, fitted.coef_)


def test_callbacks_survive_clone_and_pickle(data):
    stop = EarlyStopping(data.X, data.Y, patience=3)
    for callback in (stop, SparsityMonitor(), DisentanglementMonitor(data.X, data.Z)):
        assert isinstance(callback, FitCallback)
        estimator = pickle.loads(pickle.dumps(clone(model().set_callbacks(callback))))
        estimator.fit(data.X, data.Y)


def test_a_callback_that_fails_leaves_the_estimator_as_it_was(data):
    class Broken(EarlyStopping):
        def on_fit_task_end(self, estimator, context, **data):
            raise RuntimeError("broken")

    fitted = model().fit(data.X, data.Y)
    before = fitted.coef_.copy()
    with pytest.raises(RuntimeError, match="broken"):
        fitted.set_callbacks(Broken()).fit(data.X[:150], data.Y[:150])
    np.testing.assert_array_equal(fitted.coef_, before)
    assert not hasattr(fitted, "_callback_fit_ctx")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping([[1.0]]), "X and y together"),
        (lambda: EarlyStopping(patience=0), "patience must be at least 1"),
        (lambda: DisentanglementMonitor(np.eye(3), np.eye(2)), "inconsistent numbers"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
