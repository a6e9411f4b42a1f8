"""Arrays of any memory layout and byte order: the same numbers give the same model, to the bit."""

import functools

import numpy as np
import pytest
from scipy.sparse import csr_array

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.inspection import SaliencyDisplay

pytestmark = pytest.mark.filterwarnings("ignore")


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def spaced(x):
    """Every other entry of a larger array."""
    large = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    every = tuple(slice(None, None, 2) for _ in x.shape)
    large[every] = x
    return large[every]


def mapped(x, folder):
    path = folder / f"{len(list(folder.iterdir()))}"
    stored = np.memmap(path, dtype=x.dtype, mode="w+", shape=x.shape)
    stored[:] = x
    stored.flush()
    return np.memmap(path, dtype=x.dtype, mode="r", shape=x.shape)


# each gives the numbers of a plain array in other memory
LAYOUTS = {
    "reversed": lambda x, _: np.flip(np.flip(x).copy()),
    "fortran": lambda x, _: np.asfortranarray(x),
    "spaced": lambda x, _: spaced(x),
    "read-only": lambda x, _: read_only(x),
    "other byte order, reversed": lambda x, _: swapped(x[::-1].copy())[::-1],
    "map reversed": lambda x, folder: mapped(x[::-1], folder)[::-1],
    "map transposed": lambda x, folder: mapped(x.T, folder).T,
    "map of other byte order, reversed": lambda x, folder: mapped(swapped(x[::-1]), folder)[::-1],
}


def plain(x):
    """The same numbers in rows one after the other, in the order of bytes of this machine."""
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


def check_equal(found_ones, wanted_ones):
    for found, wanted in zip(found_ones, wanted_ones, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def small_representation():
    return SparseDisentangledRepresentation(
        3, encoder="linear", max_iter=2, random_state=0, batch_size=16
    )


def representation(X, Y, weight, task):
    yield small_representation().fit_transform(X, Y)
    model = small_representation().fit(X, Y, sample_weight=weight)
    yield from (model.coef_, model.intercept_, model.transform(X), model.predict(X))
    yield np.array(model.score(X, Y, sample_weight=weight))
    yield model.adapt(X, Y[:, 0], sample_weight=weight).coef_
    yield model.partial_fit(X, Y).coef_
    long = model.fit(X, Y[:, 0], task_id=task, sample_weight=weight)
    yield from (long.coef_, long.predict(X, task_id=task))
    yield np.array(long.score(X, Y[:, 0], task_id=task))
    yield long.set_params(penalty="l0", encoder="mlp").fit(X, Y).transform(X)


def meta_classifier(X, Y, weight, task):
    model = GroupLassoSVMMetaClassifier(
        4, encoder="linear", max_iter=2, n_way=2, n_shot=2, n_query=2, random_state=0
    ).fit(X, task)
    yield from (model.coef_, model.transform(X), model.decision_function(X), model.predict(X))
    yield from (model.predict_proba(X), model.adapt(X, task).coef_, np.array(model.score(X, task)))
    # axes in the other order, as rows of episodes that were cut from one table may have them
    episodes = np.lib.stride_tricks.sliding_window_view(X, 30, axis=0).transpose(0, 2, 1)[::30]
    yield model.predict_episodes(episodes, task.reshape(2, 30), episodes[:, :3])
    yield model.score_episodes(X, task, n_way=2, n_shot=1, n_episodes=3, random_state=0).accuracies


def classifier(X, Y, weight, task):
    model = GroupLassoSVC().fit(X, task, weight)
    yield from (model.coef_, model.dual_coef_, model.decision_function(X), model.predict(X))
    yield np.array(model.score(X, task, weight))


def rotation(X, Y, weight, task):
    model = SparseRotation(3, random_state=0, n_init=1).fit(X, Y)
    yield from (model.rotation_, model.coef_, model.transform(X))
    yield model.inverse_transform(X[:, :3])
    yield model.partial_fit(X, Y).rotation_
    missing = np.where(np.arange(Y.size).reshape(Y.shape) % 7 == 0, np.nan, Y)
    yield model.fit(X, missing).coef_
    yield model.fit(X, Y[:, 0], task_id=task).coef_


WORK = [representation, meta_classifier, classifier, rotation]


@pytest.fixture(scope="module")
def numbers():
    r = np.random.default_rng(0)
    X = r.normal(size=(60, 6)).astype(np.float32)
    Y = X[:, :4] @ r.normal(size=(4, 5)) + 0.1 * r.normal(size=(60, 5))
    return X, Y, r.integers(1, 4, size=60).astype(float), r.choice(["a", "b", "c"], size=60)


@pytest.fixture(scope="module")
def reference(numbers, tmp_path_factory):
    """What work gives on plain arrays, or on X and Y in files, computed once."""

    @functools.cache
    def results(work, from_files):
        folder, (X, Y, *others) = tmp_path_factory.mktemp("reference"), numbers
        if from_files:  # what is read from files is added up in other parts
            X, Y = mapped(X, folder), mapped(Y, folder)
        return list(work(X, Y, *others))

    return results


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_all_arguments_in_any_layout(numbers, reference, work, layout, tmp_path):
    given = [LAYOUTS[layout](x, tmp_path) for x in numbers]
    check_equal(work(*given), reference(work, layout.startswith("map")))


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_rows_without_strides(numbers, work):
    X, *others = numbers
    repeated = np.broadcast_to(X[:, :1], X.shape)
    check_equal(work(repeated, *others), work(plain(repeated), *others))


def test_targets_weights_and_tasks_without_strides(numbers):
    X, Y, weight, _ = numbers
    given = (
        np.broadcast_to(Y[:, :1], Y.shape),
        np.broadcast_to(weight[:, None], Y.shape),
        np.broadcast_to(np.array(["a"]), len(X)),
    )

    def work(Y, weight, task):
        for model in (small_representation(), SparseRotation(1, random_state=0, n_init=1)):
            yield from (model.fit(X, Y).coef_, model.fit(X, Y[:, 0], task_id=task).coef_)
        yield small_representation().fit(X, Y, sample_weight=weight).coef_

    check_equal(work(*given), work(*(plain(x) for x in given)))


def test_sparse_targets_of_other_byte_order(numbers):
    X, Y, weight, _ = numbers
    one, other = csr_array(Y.astype(np.float32)), csr_array(Y.astype(np.float32))
    other.data = swapped(other.data)
    for model in (SparseRotation(3, random_state=0, n_init=1), small_representation()):
        np.testing.assert_array_equal(model.fit(X, one).coef_, model.fit(X, other).coef_)


def test_saliency_of_rows_of_other_byte_order(numbers):
    X, Y, *_ = numbers
    model = small_representation().fit(X, Y)
    one = SaliencyDisplay.from_estimator(model, X, input_shape=(2, 3))
    other = SaliencyDisplay.from_estimator(model, swapped(X), input_shape=(2, 3))
    np.testing.assert_allclose(one.saliency, other.saliency, rtol=1e-6)
