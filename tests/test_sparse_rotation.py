"""SparseRotation: the latents come back, scikit-learn's contract holds, doubt is reported."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sparsedis import SparseRotation


@pytest.mark.filterwarnings("ignore:Not every component is determined:UserWarning")
@parametrize_with_checks([SparseRotation(n_init=16, random_state=0)])
def test_estimator_checks(estimator, check):
    check(estimator)
