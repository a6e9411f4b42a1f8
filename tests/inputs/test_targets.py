"""What callers may give as X, Y, weights and task_id: one rule for all estimators and methods."""

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.metrics import TaskScorer, nan_r2_score, nan_r2_scorer

NAMES = ["acid", "base", "salt"]
FRAMES = {
    "pandas": lambda table, names: pd.DataFrame(table, columns=names),
    "polars": lambda table, names: pl.DataFrame(table, schema=names),
    "pyarrow": lambda table, names: pa.table(dict(zip(names, table.T, strict=True))),
    "narwhals": lambda table, names: nw.from_native(pd.DataFrame(table, columns=names)),
}


def representation(**parameters):
    return SparseDisentangledRepresentation(
        3, encoder="linear", max_iter=3, random_state=0, **parameters
    )


def rotation():
    return SparseRotation(2, random_state=0, n_init=1)


MODELS = {"representation": representation, "rotation": rotation}
BOTH = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
FRAME = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
# three tasks do not determine a basis
pytestmark = pytest.mark.filterwarnings("ignore:Not every component is determined")


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(90, 4))
    return X, X @ random.normal(size=(4, 3)) + 0.1 * random.normal(size=(90, 3))


# labels of weight zero


def test_a_label_of_weight_zero_is_a_missing_one_in_score(data):
    X, Y = data
    fitted = representation().fit(X, Y)
    predicted = fitted.predict(X)
    weight = np.random.default_rng(1).integers(1, 4, size=Y.shape).astype(float)
    weight[1:, 0] = 0  # one label is left, of which there is no R^2
    each = [r2_score(Y[:, t], predicted[:, t], sample_weight=weight[:, t]) for t in (1, 2)]
    row, column = np.indices(Y.shape).reshape(2, -1)
    sparse = csr_array((Y.ravel(), (row, column)))
    for given in (Y, sparse, np.where(weight > 0, Y, np.nan)):
        assert fitted.score(X, given, weight) == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("shape", [(90,), (90, 1), (90, 3)])
def test_one_row_of_positive_weight_has_no_score(data, shape):
    X, Y = data
    Y = Y[:, : shape[-1]].reshape(shape) if len(shape) > 1 else Y[:, 0]
    fitted = representation().fit(X, Y)
    with pytest.warns(UserWarning, match="fewer than two labels in every task"):
        assert np.isnan(fitted.score(X, Y, np.eye(1, 90)[0]))


def test_values_of_weight_zero_do_not_matter_in_fit(data):
    X, Y = data
    weight = np.ones(len(X))
    weight[::3] = 0
    wild = Y.copy()
    wild[::3] = 1e200
    expected = representation().fit(X, Y, sample_weight=weight)
    found = representation().fit(X, wild, sample_weight=weight)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_a_label_of_weight_zero_is_a_missing_one_in_metrics():
    true, predicted = np.array([1.0, 2.0, 9.0]), np.array([1.0, 3.0, 0.0])
    weight = np.array([1.0, 0.0, 0.0])
    assert np.isnan(
        nan_r2_score(true, predicted, sample_weight=weight, multioutput="raw_values")
    ).all()


# names of targets


@BOTH
@FRAME
def test_columns_of_a_data_frame_name_the_tasks(data, model, frame):
    X, Y = data
    assert model().fit(X, frame(Y, NAMES)).tasks_.tolist() == NAMES


@BOTH
def test_numbers_of_columns_are_no_names(data, model):
    X, Y = data
    assert model().fit(X, pd.DataFrame(Y)).tasks_.dtype == np.int64
    years = model().fit(X, pd.DataFrame(Y, columns=[2001, 2003, 2002]))
    assert years.tasks_.tolist() == [2001, 2003, 2002]
    pairs = pd.DataFrame(Y, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]))
    assert model().fit(X, pairs).tasks_.tolist() == [("a", 1), ("a", 2), ("b", 1)]


@FRAME
def test_names_of_features(data, frame):
    X, Y = data
    table = frame(X, list("wxyz"))
    for model in (representation(), rotation()):
        assert model.fit(table, Y).feature_names_in_.tolist() == list("wxyz")
        model.transform(table)
    few_shot = GroupLassoSVMMetaClassifier(4, max_iter=1, random_state=0)
    for model in (GroupLassoSVC(), few_shot):
        assert model.fit(table, Y[:, 0] > 0).feature_names_in_.tolist() == list("wxyz")
        model.predict(table)


@FRAME
def test_score_matches_names(data, frame):
    X, Y = data
    fitted = representation().fit(X, frame(Y, NAMES))
    weight = np.random.default_rng(0).integers(0, 3, size=Y.shape).astype(float)
    score, weighted = fitted.score(X, Y), fitted.score(X, Y, weight)
    order = [2, 0, 1]
    other = frame(Y[:, order], [NAMES[i] for i in order])
    assert fitted.score(X, other) == score
    assert fitted.score(X, other, weight[:, order]) == weighted
    assert fitted.score(X, other, frame(weight, NAMES)) == weighted
    for wrong, message in (
        (
            frame(Y, ["acid", "base", "sugar"]),
            "lacks 'salt' and has, unknown to the model, 'sugar'",
        ),
        (frame(Y[:, :2], NAMES[:2]), "lacks 'salt'. Rename"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.score(X, wrong)
    with pytest.raises(ValueError, match="a column for each of the 3 tasks .* got 2"):
        fitted.score(X, Y[:, :2])
    # without names on one side, the order decides
    assert representation().fit(X, Y).score(X, frame(Y, ["b", "c", "a"])) == score


@FRAME
def test_scorers_match_names(data, frame):
    X, Y = data
    fitted = representation().fit(X, frame(Y, NAMES))
    other = frame(Y[:, ::-1], NAMES[::-1])
    assert nan_r2_scorer(fitted, X, other) == nan_r2_scorer(fitted, X, Y)
    assert TaskScorer()(fitted, X, other) == TaskScorer()(fitted, X, Y)


@FRAME
def test_weights_with_names_of_a_fit_are_matched(data, frame):
    X, Y = data
    weight = np.random.default_rng(0).integers(1, 3, size=Y.shape).astype(float)
    expected = representation().fit(X, Y, sample_weight=weight)
    found = representation().fit(
        X, frame(Y, NAMES), sample_weight=frame(weight[:, ::-1], NAMES[::-1])
    )
    np.testing.assert_array_equal(found.coef_, expected.coef_)


@FRAME
def test_partial_fit_matches_names(data, frame):
    X, Y = data
    order = [1, 2, 0]
    later = frame(Y[60:, order], [NAMES[i] for i in order])
    for model in (representation, rotation):
        expected = model().partial_fit(X[:60], Y[:60]).partial_fit(X[60:], Y[60:])
        found = model().partial_fit(X[:60], frame(Y[:60], NAMES)).partial_fit(X[60:], later)
        assert found.tasks_.tolist() == NAMES
        np.testing.assert_array_equal(found.coef_, expected.coef_)
    with pytest.raises(ValueError, match="lacks 'base'"):
        found.partial_fit(X[60:], frame(Y[60:], ["acid", "salt", "sugar"]))
    # other tasks are for the representation to learn
    first = representation().partial_fit(X[:60], frame(Y[:60], NAMES))
    assert first.partial_fit(X, frame(Y[:, :2], ["x", "acid"])).tasks_.tolist() == ["x", "acid"]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series,
        lambda y, name: pl.Series(name, y),
        lambda y, name: nw.from_native(pd.Series(y, name=name), series_only=True),
    ],
    ids=["pandas", "polars", "narwhals"],
)
def test_a_series_names_its_task(data, series):
    X, Y = data
    fitted = representation().fit(X, Y)
    y = series(Y[:, 1], name="base")
    adapted = fitted.adapt(X, y)
    assert adapted.tasks_.tolist() == ["base"]
    assert adapted.predict(X).shape == (90,)
    assert adapted.score(X, y) == adapted.score(X, Y[:, 1])
    with pytest.raises(ValueError, match="lacks 'base' and has, unknown to the model, 'salt'"):
        adapted.score(X, series(Y[:, 2], name="salt"))
    assert rotation().fit(X, y).tasks_.tolist() == ["base"]
    assert fitted.adapt(X, pd.Series(Y[:, 1])).tasks_.tolist() == [0]


def test_names_reach_the_scores_of_cross_validation(data):
    X, Y = data
    frame = pd.DataFrame(Y, columns=NAMES)
    train, test = next(KFold(3).split(X))
    fitted = representation().fit(X[train], frame.iloc[train])
    assert set(TaskScorer()(fitted, X[test], frame.iloc[test, ::-1])) == {"mean", *NAMES}


# missing labels


def masked(Y):
    missing = np.random.default_rng(2).random(Y.shape) < 0.2
    return np.ma.masked_array(np.where(missing, 1e8, Y), missing), np.where(missing, np.nan, Y)


@BOTH
def test_a_masked_label_is_a_missing_one(data, model):
    X, Y = data
    hidden, missing = masked(Y)
    expected = model().fit(X, missing)
    np.testing.assert_array_equal(model().fit(X, hidden).coef_, expected.coef_)
    np.testing.assert_array_equal(
        model().fit(X, hidden.astype(np.float32)).coef_,
        model().fit(X, missing.astype(np.float32)).coef_,
    )
    counts = np.ma.masked_array(np.round(Y * 9).astype(int), hidden.mask)
    np.testing.assert_array_equal(
        model().fit(X, counts).coef_,
        model().fit(X, np.where(hidden.mask, np.nan, counts.data)).coef_,
    )


def test_a_masked_label_is_a_missing_one_in_scores(data):
    X, Y = data
    hidden, missing = masked(Y)
    fitted = representation().fit(X, Y)
    assert fitted.score(X, hidden) == fitted.score(X, missing) > 0
    assert nan_r2_scorer(fitted, X, hidden) == nan_r2_scorer(fitted, X, missing)
    assert TaskScorer()(fitted, X, hidden) == TaskScorer()(fitted, X, missing)
    adapted, expected = fitted.adapt(X, hidden[:, 0]), fitted.adapt(X, missing[:, 0])
    np.testing.assert_array_equal(adapted.coef_, expected.coef_)


@BOTH
@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_a_null_of_a_data_frame_is_a_missing_label(data, model, frame):
    X, Y = data
    _, missing = masked(Y)
    table = {
        "pandas": pd.DataFrame(missing, columns=NAMES, dtype="Float64"),
        "polars": pl.DataFrame(missing, schema=NAMES, nan_to_null=True),
        "pyarrow": pa.table(
            {name: pa.array(y, from_pandas=True) for name, y in zip(NAMES, missing.T, strict=True)}
        ),
    }[frame]
    np.testing.assert_array_equal(model().fit(X, table).coef_, model().fit(X, missing).coef_)


@BOTH
def test_NaN_in_the_long_layout_is_missing(data, model):
    X, Y = data
    task = np.arange(len(X)) % 3
    y = Y[np.arange(len(X)), task]
    y[::7] = np.nan
    there = ~np.isnan(y)
    wide = np.full(Y.shape, np.nan)
    wide[np.arange(len(X)), task] = y
    found = model().fit(X, y, task_id=task)
    np.testing.assert_allclose(found.coef_, model().fit(X, wide).coef_, rtol=1e-9, atol=1e-12)
    if model is representation:
        score = found.score(X, y, task_id=task)
        assert score == pytest.approx(found.score(X[there], y[there], task_id=task[there]))
    column = pd.DataFrame({"y": y})
    np.testing.assert_array_equal(model().fit(X, column, task_id=task).coef_, found.coef_)
    y[task == 1] = np.nan
    with pytest.raises(ValueError, match="1 of 3 tasks have none: 1. Remove these tasks"):
        model().fit(X, y, task_id=task)
    with pytest.raises(ValueError, match=r"Y must have shape \(n_samples,\) when task_id is given"):
        model().fit(X, Y, task_id=task)


@BOTH
def test_a_task_without_labels_is_named(data, model):
    X, Y = data
    Y = Y.copy()
    Y[:, 1] = np.nan
    for given, name in ((Y, "1"), (pd.DataFrame(Y, columns=NAMES), "base")):
        with pytest.raises(ValueError, match=f"1 of 3 tasks have none: {name}. Remove these tasks"):
            model().fit(X, given)


# names of tasks in the long layout


@BOTH
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda task: task.astype(float), TypeError, r"float64.*astype\(int\)"),
        (lambda task: task == 1, TypeError, r"an array of bool.*astype\(int\)"),
        (lambda task: task.astype("S1"), TypeError, r"astype\(str\)"),
        (lambda task: task.astype("datetime64[D]"), TypeError, "dates or durations"),
        (lambda task: task[:, None], ValueError, r"array of shape \(90,\), got shape \(90, 1\)"),
        (lambda task: task[:4], ValueError, r"a task for each of 90 rows.*got shape \(4,\)"),
        (lambda task: [None, "a", "b"] * 30, ValueError, "task_id contains NaN"),
        (lambda task: pd.array([1, None, 2] * 30, dtype="Int64"), ValueError, "contains NaN"),
        (lambda task: np.array([1, "a", True] * 30, dtype=object), TypeError, "got bool, int, str"),
        (lambda task: np.array([True, False] * 45, dtype=object), TypeError, "got bool"),
        (lambda task: np.ma.masked_equal(task, 1), ValueError, "masked array with 30 masked"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_task_id_holds_integers_or_strings(data, model, make, error, message):
    X, Y = data
    with pytest.raises(error, match=message):
        model().fit(X, Y[:, 0], task_id=make(np.arange(90) % 3))


@BOTH
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: np.arange(90, dtype=np.uint8) % 3, [0, 1, 2]),
        (lambda: [1, 2] * 45, [1, 2]),
        (lambda: np.array([1, 2] * 45, dtype=object), [1, 2]),
        (lambda: pd.array([1, 2] * 45, dtype="Int64"), [1, 2]),
        (lambda: pd.Series(["a", "b"] * 45, dtype="category"), ["a", "b"]),
        (lambda: pl.Series(["a", "b"] * 45), ["a", "b"]),
        (lambda: pa.array(["a", "b"] * 45), ["a", "b"]),
        (lambda: nw.from_native(pd.Series(["a", "b"] * 45), series_only=True), ["a", "b"]),
        (lambda: np.array(["a", "b"] * 45, dtype=np.dtypes.StringDType()), ["a", "b"]),
    ],
)
def test_names_of_tasks_from_anywhere(data, model, make, expected):
    X, Y = data
    assert model().fit(X, Y[:, 0], task_id=make()).tasks_.tolist() == expected


# what is refused, in words that say what to do


def text(X, values):
    return pd.DataFrame(X, columns=list("wxyz")).assign(y=values)


class Stream(IterableDataset):
    def __iter__(self):
        yield from np.eye(3)


REFUSED = [
    (lambda X: text(X, ["red", "blue", "red"] * 30), "column 'y' has text .*OneHotEncoder"),
    (lambda X: text(X, ["red", "blue", "red"] * 30).to_numpy(), "column 2 has text .*OneHotEncod"),
    (lambda X: pl.from_pandas(text(X, ["red", "1", "red"] * 30)), "column 'y' .*OneHotEncoder"),
    (lambda X: pa.Table.from_pandas(text(X, ["red", "1", "red"] * 30)), "column 'y' .*OneHotEnc"),
    (lambda X: text(X, ["1", "?", "2"] * 30), r"column 'y' .* 30 of 90 .*na_values=\['\?'\]"),
    (lambda X: text(X, ["1", "?", "2"] * 30).to_numpy().tolist(), "column 2 .*marks gaps"),
    (lambda X: text(X, 1).rename(columns={"y": "x"}), "more than one column with the name 'x'"),
    (lambda X: text(X, 0).astype(pd.SparseDtype(float, 0)), r"column 'w' .*\.sparse\.to_dense\(\)"),
    (lambda X: text(X, pd.date_range("2020", periods=90)), "column 'y' has dates or durations"),
    (lambda X: pl.from_pandas(text(X, pd.Timedelta("1h"))), "column 'y' has dates or durations"),
    (lambda X: np.full((90, 3), np.datetime64("2020")), "has dates or durations, datetime64"),
    (lambda X: pl.DataFrame(X).lazy(), r"LazyFrame.*\.collect\(\)"),
    (lambda X: nw.from_native(pl.DataFrame(X).lazy()), r"LazyFrame.*\.collect\(\)"),
    (lambda X: DataLoader(TensorDataset(torch.tensor(X))), "DataLoader, its attribute dataset"),
    (lambda X: Stream(), "of type Stream, which has no rows at given positions"),
    (lambda X: torch.tensor(X).bfloat16(), r"torch\.bfloat16.*\.float\(\)"),
    (lambda X: torch.tensor(X, requires_grad=True), r"requires gradients.*\.detach\(\)"),
    (
        lambda X: torch.tensor(X).bfloat16().requires_grad_(),
        r"requires gradients and is torch\.bfloat16.*\.detach\(\)\.float\(\)",
    ),
    (lambda X: torch.tensor(X).to_sparse(), r"is not dense.*\.to_dense\(\)"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_refused_says_what_to_do(data, make, message):
    X, Y = data
    given = make(X)
    labels = Y[:, 0] > 0
    few_shot = GroupLassoSVMMetaClassifier(4, max_iter=1, random_state=0)
    for model, target in (
        (representation(), Y),
        (rotation(), Y),
        (GroupLassoSVC(), labels),
        (few_shot, labels),
    ):
        with pytest.raises((ValueError, TypeError), match=f"^X.*{message}"):
            model.fit(given, target)
        assert not [name for name in vars(model) if name.endswith("_")]
    for model in (representation(), rotation()):
        with pytest.raises((ValueError, TypeError), match=f"^Y.*{message}"):
            model.fit(X, given)


def test_masked_rows_are_refused(data):
    X, Y = data
    hidden = np.ma.masked_greater(X, 1)
    fitted = representation().fit(X, Y)
    for call in (
        lambda: representation().fit(hidden, Y),
        lambda: fitted.predict(hidden),
        lambda: rotation().fit(hidden, Y),
        lambda: GroupLassoSVC().fit(hidden, Y[:, 0] > 0),
        lambda: GroupLassoSVC().fit(X, np.ma.masked_equal(Y[:, 0] > 0, True)),
        lambda: fitted.score(X, Y, np.ma.masked_array(np.ones(90), np.arange(90) == 1)),
    ):
        with pytest.raises(ValueError, match="is a masked array with .* must not have missing"):
            call()
    np.testing.assert_array_equal(fitted.predict(np.ma.masked_greater(X, 1e9)), fitted.predict(X))
