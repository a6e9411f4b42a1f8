"""scikit-learn's checks of every public estimator; a new one is added to ESTIMATORS."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation

# SparseRotation and GroupLassoSVC have theirs in their own files
ESTIMATORS = [
    SparseDisentangledRepresentation(
        3, hidden_layer_sizes=(20,), max_iter=10, device="cpu", random_state=0
    ),
    SparseDisentangledRepresentation(
        3, penalty="l0", hidden_layer_sizes=(20,), max_iter=10, device="cpu", random_state=0
    ),
    SparseDisentangledRepresentation(
        3, penalty="elasticnet", hidden_layer_sizes=(20,), max_iter=10, device="cpu", random_state=0
    ),
    SparseDisentangledRepresentation(
        3, common_head=True, hidden_layer_sizes=(20,), max_iter=10, device="cpu", random_state=0
    ),
    SparseDisentangledRepresentation(
        3, loss="huber", hidden_layer_sizes=(20,), max_iter=30, device="cpu", random_state=0
    ),
    # the values of most checks are no labels; those that are get logistic heads
    SparseDisentangledRepresentation(
        3,
        loss="auto",
        class_weight="balanced",
        hidden_layer_sizes=(20,),
        max_iter=10,
        device="cpu",
        random_state=0,
    ),
    # most tables of these checks have one task, and so one component
    SparseDisentangledRepresentation(1, encoder=Ridge(), max_iter=10, device="cpu", random_state=0),
    GroupLassoSVMMetaClassifier(
        8, hidden_layer_sizes=(20,), max_iter=5, device="cpu", random_state=0
    ),
]
# the tables of these checks have one or two tasks, which determine no basis for "l0"
DOUBT = "ignore:Not every component is determined:UserWarning"
NOT_YIELDED = [
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_get_feature_names_out_error",
    "check_dataframe_column_names_consistency",
]


@pytest.mark.filterwarnings(DOUBT)
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# these checks mix data frames and arrays between fit and transform
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings(DOUBT)
@pytest.mark.parametrize("name", NOT_YIELDED)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_checks_that_third_parties_are_not_given(estimator, name):
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


def test_more_components_than_the_rank_of_the_features():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 3)) @ random.normal(size=(3, 8))
    Y = X @ random.normal(size=(8, 12))
    model = SparseDisentangledRepresentation(6, encoder="linear", max_iter=100, random_state=0)
    with pytest.warns(UserWarning, match="n_components=6 exceeds the rank of X, 3"):
        model.fit(X, Y)
    assert model.score(X, Y) > 0.95
