"""SparseRotation: the latents come back, scikit-learn's contract holds, doubt is reported."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask
from tests.sparse_heads import make_tasks, match

DOUBT = "ignore:Not every component is determined:UserWarning"


@pytest.mark.filterwarnings(DOUBT)
@parametrize_with_checks([SparseRotation(n_init=8, random_state=0)])
def test_estimator_checks(estimator, check):
    check(estimator)


# these checks mix data frames and arrays between fit and transform
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings(DOUBT)
@pytest.mark.parametrize(
    "name",
    [
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_get_feature_names_out_error",
        "check_dataframe_column_names_consistency",
    ],
)
def test_checks_that_third_parties_are_not_given(name):
    getattr(estimator_checks, name)("SparseRotation", SparseRotation(n_init=8, random_state=0))


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.99])
def test_recovers_latents_and_supports(correlation):
    F, Y, Z, W = make_tasks(0, correlation=correlation, n_samples=2000)
    model = SparseRotation(random_state=0).fit(F, Y)
    score, columns = match(Z, model.transform(F))
    assert score > 0.999
    assert model.n_latents_ == 4
    assert model.identified_.all()
    # tiny coefficients drown in the noise: most supports, not all, are exact
    assert (model.support_[:, columns] == (W != 0)).mean() > 0.9
    assert (model.coef_[~model.support_] == 0).all()


@pytest.mark.filterwarnings(DOUBT)
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_labels_0_and_1_show_the_latents_too(law):
    F, odds, Z, _ = make_tasks(0, n_tasks=100, correlation=0.9, n_samples=2000, noise=0.0)
    rng = np.random.default_rng(1)
    if law == "uniform":  # the same heads on other rows
        root = np.linalg.cholesky(np.cov(Z.T))
        heads = np.linalg.lstsq(Z, odds, rcond=None)[0]
        mixing = np.linalg.lstsq(Z, F, rcond=None)[0]
        Z = rng.uniform(-1.7, 1.7, Z.shape) @ root.T
        F, odds = Z @ mixing, Z @ heads
    odds = 3 * odds / odds.std(axis=0)
    labels = (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
    assert match(Z, SparseRotation(random_state=0).fit(F, labels).transform(F))[0] > 0.98


def test_wide_missing_and_long_layouts_agree():
    F, Y, Z, _ = make_tasks(1, n_samples=2000)
    rng = np.random.default_rng(0)
    mask = rng.random(Y.shape) < 0.5
    wide = SparseRotation(random_state=0).fit(F, np.where(mask, Y, np.nan))
    row, task = np.nonzero(mask)
    names = np.array([f"task {t:03d}" for t in range(Y.shape[1])])
    long = SparseRotation(random_state=0).fit(F[row], Y[row, task], task_id=names[task])
    assert long.tasks_.tolist() == names.tolist()
    for model in (wide, long):
        assert match(Z, model.transform(F))[0] > 0.999
    # the layouts differ in the rows that whiten the features, hence in the scale only
    _, columns = match(wide.transform(F), long.transform(F))
    agree = wide.support_ == long.support_[:, columns]
    assert agree.mean() > 0.98


def test_refitted_heads_are_least_squares_on_their_supports():
    F, Y, _, _ = make_tasks(2)
    model = SparseRotation(random_state=0).fit(F, Y)
    Z = model.transform(F)
    for t in range(0, Y.shape[1], 7):
        used = model.support_[t]
        design = np.column_stack([Z[:, used], np.ones(len(Z))])
        expected = np.linalg.lstsq(design, Y[:, t], rcond=None)[0]
        np.testing.assert_allclose(model.coef_[t, used], expected[:-1], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model.intercept_[t], expected[-1], rtol=1e-7, atol=1e-9)


def test_inverse_transform_is_exact_on_a_square_rotation():
    F, Y, _, _ = make_tasks(3)
    model = SparseRotation(random_state=0).fit(F + 5, Y)
    np.testing.assert_allclose(model.inverse_transform(model.transform(F + 5)), F + 5, rtol=1e-9)
    np.testing.assert_allclose(model.transform(F + 5).std(axis=0), 1, rtol=1e-9)


def test_bad_scales_and_redundant_columns_do_not_matter():
    F, Y, Z, _ = make_tasks(4)
    wide = np.column_stack([1e6 * F[:, 0], F[:, 1:], np.full(len(F), 3.0), F[:, 0] - F[:, 2]])
    model = SparseRotation(random_state=0).fit(wide, Y)
    assert model.n_latents_ == 4
    assert match(Z, model.transform(wide))[0] > 0.999


def test_asking_for_more_components_than_latents_returns_them_with_a_warning():
    F, Y, Z, _ = make_tasks(5)
    rng = np.random.default_rng(0)
    wide = np.column_stack([F, rng.standard_normal((len(F), 3)), np.ones(len(F))])
    with pytest.warns(UserWarning, match="use 4 directions .* 8 were asked for"):
        model = SparseRotation(8, random_state=0).fit(wide, Y)
    assert model.rotation_.shape == (8, 8)
    assert np.linalg.matrix_rank(model.rotation_) == 7
    assert (model.rotation_[7] == 0).all()
    assert model.identified_.tolist() == [True] * 4 + [False] * 4
    assert match(Z, model.transform(wide)[:, :4])[0] > 0.999


def test_asking_for_fewer_keeps_true_latents():
    F, Y, Z, _ = make_tasks(6)
    with pytest.warns(UserWarning, match="only the 2 components with most users"):
        model = SparseRotation(2, random_state=0).fit(F, Y)
    correlation = np.abs(np.corrcoef(Z.T, model.transform(F).T)[:4, 4:])
    assert correlation.max(axis=0).min() > 0.999


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (lambda Y: Y[:, :4], "4 tasks cannot determine a basis of 4 directions"),
        (lambda Y: np.zeros_like(Y), "use 0 directions"),
        (lambda Y: np.repeat(Y[:, :1], 20, axis=1), "use 1 directions"),
    ],
)
def test_what_the_data_do_not_determine_is_said(targets, message):
    F, Y, _, _ = make_tasks(7)
    with pytest.warns(UserWarning, match=message):
        model = SparseRotation(4, random_state=0).fit(F, targets(Y))
    assert model.rotation_.shape == (4, 4)
    assert not model.identified_.all()


def test_dense_heads_are_not_declared_identified():
    F, Y, Z, _ = make_tasks(8)
    rng = np.random.default_rng(0)
    dense = Z @ rng.standard_normal((4, 60))
    dense += 0.1 * dense.std(axis=0) * rng.standard_normal(dense.shape)
    with pytest.warns(UserWarning, match="fit heads without zeros as well"):
        model = SparseRotation(random_state=0).fit(F, dense)
    assert model.identified_.sum() < 4


def test_tasks_with_too_few_rows_are_left_out_and_still_get_a_head():
    F, Y, Z, _ = make_tasks(9)
    Y = Y.copy()
    Y[3:, 0] = np.nan
    with pytest.warns(UserWarning, match="1 of 60 tasks have too few rows"):
        model = SparseRotation(random_state=0).fit(F, Y)
    assert np.isfinite(model.coef_).all()
    assert match(Z, model.transform(F))[0] > 0.999


def test_float32_in_float32_out():
    F, Y, Z, _ = make_tasks(10)
    model = SparseRotation(random_state=0).fit(F.astype(np.float32), Y.astype(np.float32))
    found = model.transform(F.astype(np.float32))
    assert found.dtype == np.float32
    assert match(Z, found)[0] > 0.999


def test_same_seed_same_fit_and_pickle():
    F, Y, _, _ = make_tasks(11)
    model = SparseRotation(random_state=0).fit(F, Y)
    again = clone(model).fit(F, Y)
    np.testing.assert_array_equal(model.rotation_, again.rotation_)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.transform(F), copy.transform(F))


def test_how_often_the_basis_was_found_is_said():
    F, Y, _, _ = make_tasks(11)
    model = SparseRotation(random_state=0).fit(F, Y)
    assert 2 <= model.n_found_ <= model.n_starts_ == 64
    assert SparseRotation(n_init=5, random_state=0).fit(F, Y).n_starts_ == 5


def test_works_in_a_pipeline_without_a_warning():
    F, Y, Z, _ = make_tasks(12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = make_pipeline(StandardScaler(), SparseRotation(random_state=0)).fit(F, Y)
    assert match(Z, found.transform(F))[0] > 0.999


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"n_components": 0}, {}, "positive int, got 0"),
        ({"n_components": 2.5}, {}, "positive int, got 2.5"),
        ({"n_components": 9}, {}, "must not exceed the number of features, 4"),
        ({"n_init": 0}, {}, "n_init must be at least 1 or None"),
        ({"device": "nowhere"}, {}, "device='nowhere' cannot be used here"),
        ({"random_state": 10**30}, {}, "random_state must be an integer in"),
        (
            {},
            {"task_id": [1, 2, 3]},
            r"task_id must name a task for each of 50 rows, .* shape \(3,\)",
        ),
    ],
)
def test_bad_parameters(parameters, arguments, message):
    F, Y, _, _ = make_tasks(0, n_samples=50)
    target = Y[:, 0] if arguments else Y
    with pytest.raises(ValueError, match=message):
        SparseRotation(**parameters).fit(F, target, **arguments)


def test_target_without_any_row():
    F, Y, _, _ = make_tasks(0, n_samples=50)
    Y[:, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 60 tasks have none: 1. Remove these tasks"):
        SparseRotation().fit(F, Y)


def test_inverse_transform_checks_the_number_of_components():
    F, Y, _, _ = make_tasks(0)
    model = SparseRotation(random_state=0).fit(F, Y)
    with pytest.raises(ValueError, match="Z has 3 columns, but SparseRotation has 4"):
        model.inverse_transform(np.ones((2, 3)))


@pytest.mark.parametrize("n_tasks", [60, 100])
def test_latents_that_occur_together_are_named_as_blocks(n_tasks):
    data = make_sparse_multitask(1000, n_tasks, support="blocks", random_state=0)
    with pytest.warns(UserWarning, match="used by all but the same tasks: only the space"):
        rotation = SparseRotation(random_state=0).fit(data.Z, data.Y)
    assert rotation.identified_.sum() == 0


@pytest.mark.parametrize("law", ["uniform", "laplace", "normal"])
def test_dense_heads_are_resolved_by_laws_that_are_not_normal(law):
    data = make_sparse_multitask(
        2000, 60, 4, 8, support_prob=0.8, latent_distribution=law, random_state=0
    )
    rotation = _fit(data.X, data.Y)
    known = rotation.identified_by_ == "non-Gaussianity"
    assert (rotation.identified_ == (rotation.identified_by_ != "nothing")).all()
    if law == "normal":
        assert not known.any()
        return
    assert rotation.identified_.all()
    assert match(data.Z, rotation.transform(data.X))[0] > 0.99
    assert (rotation.scores_[known] == 0).all()
    assert (rotation.support_.mean(axis=0)[:-1] >= rotation.support_.mean(axis=0)[1:] - 0.1).all()


def test_a_block_is_resolved_within_its_space_and_leaves_the_others_alone():
    data = make_sparse_multitask(
        2000,
        100,
        4,
        support=[[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 1]],
        latent_distribution="uniform",
        random_state=0,
    )
    rotation = _fit(data.X, data.Y)
    score, columns = match(data.Z, rotation.transform(data.X))
    assert score > 0.99
    by = rotation.identified_by_[columns].tolist()
    assert by == ["non-Gaussianity"] * 2 + ["sparsity"] * 2


def test_laws_change_nothing_that_sparsity_determines():
    data = make_sparse_multitask(
        1000, 60, 4, 8, latent_distribution="laplace", correlation=0.5, random_state=0
    )
    rotation = _fit(data.X, data.Y)
    assert (rotation.identified_by_ == "sparsity").all()
    # partial_fit has no rows, and so no laws
    without = SparseRotation(n_init=8, random_state=0).partial_fit(data.X, data.Y)
    assert (rotation.rotation_ == without.rotation_).all()


def test_rows_without_weight_have_no_part_in_laws():
    data = make_sparse_multitask(
        1500, 60, 4, 8, support_prob=0.8, latent_distribution="uniform", random_state=0
    )
    some = np.arange(1500) % 3 > 0
    spoilt = np.where(some[:, None], data.X, 10 * data.X**2)
    weighted = SparseRotation(n_init=8, random_state=0)
    weighted.fit(spoilt, data.Y, sample_weight=some.astype(float))
    alone = _fit(data.X[some], data.Y[some])
    assert (weighted.identified_by_ == "non-Gaussianity").any()
    assert (weighted.identified_by_ == alone.identified_by_).all()
    assert match(weighted.transform(data.X), alone.transform(data.X))[0] > 0.9999


@pytest.mark.parametrize("support_prob", [0.2, 0.8])
def test_latents_that_occur_apart_are_no_blocks(support_prob):
    data = make_sparse_multitask(1000, 100, support_prob=support_prob, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SparseRotation(random_state=0).fit(data.Z, data.Y)
    # latents that four fifths of the tasks use may be in doubt for other reasons
    assert not any("the same tasks" in str(warning.message) for warning in caught)


def test_takes_the_smallest_effect_of_interest_and_tells_the_one_it_chose():
    rng = np.random.default_rng(0)
    heads = 0.1 * rng.standard_normal((25, 5))
    heads[np.arange(25), np.arange(25) % 5] = rng.uniform(0.5, 1, 25)
    F = rng.standard_normal((2000, 5))
    Y = F @ heads.T + 0.5 * rng.standard_normal((2000, 25))
    chosen = _fit(F, Y)
    exact = _fit(F, Y, min_effect=0)
    assert 0.05 < chosen.min_effect_ < 0.2
    assert exact.min_effect_ == 0
    assert (chosen.support_ == (chosen.support_probability_ > 0.5)).all()
    assert chosen.support_.sum() < 40 < exact.support_.sum()


@pytest.mark.parametrize("min_effect", ["none", 1.0, -0.1, None])
def test_refuses_smallest_effects_that_are_no_share(min_effect):
    with pytest.raises((ValueError, TypeError), match="min_effect"):
        SparseRotation(min_effect=min_effect).fit(np.eye(4), np.eye(4))


def _fit(F, Y, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 25 tasks do not determine every component
        return SparseRotation(n_init=8, random_state=0, **parameters).fit(F, Y)
