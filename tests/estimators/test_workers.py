"""Fits in worker processes: no more threads than cores, and threads left as they were."""

import os
import warnings

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone, is_classifier

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 5))
Y = X @ RANDOM.normal(size=(5, 12)) + 0.1 * RANDOM.normal(size=(120, 12))
MODELS = [
    SparseDisentangledRepresentation(3, max_iter=3, random_state=0),
    GroupLassoSVMMetaClassifier(3, max_iter=3, head="ridge", random_state=0),
    GroupLassoSVC(),
    SparseRotation(3, random_state=0),
]


def fit_and_count(model):
    """Threads of torch before and after a fit."""
    before = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y[:, 0] > 0 if is_classifier(model) else Y)
    return os.getpid(), before, torch.get_num_threads()


def test_workers_share_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    # workers that an earlier test started have its environment, and may be about to end
    get_reusable_executor().shutdown(wait=True)
    counted = Parallel(n_jobs=2)(delayed(fit_and_count)(clone(model)) for model in MODELS)
    assert all(pid != os.getpid() for pid, _, _ in counted)
    fair = max(1, (os.cpu_count() or 1) // 2)
    assert all(before <= fair and after <= fair for _, before, after in counted)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_a_fit_leaves_the_number_of_threads_alone(model):
    torch.set_num_threads(2)
    assert fit_and_count(clone(model))[1:] == (2, 2)
