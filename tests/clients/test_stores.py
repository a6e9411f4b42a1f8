"""Models in the files of other packages: skops, and mlflow, whose default it is."""

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

DATA = make_sparse_multitask(120, 12, n_latents=3, n_features=9, random_state=0)
X, Y = DATA.X, DATA.Y
LABELS = np.where(Y[:, 0] > 0, "high", "low")
SMALL = {"max_iter": 4, "random_state": 0}
MODELS = {
    "mlp": (SparseDisentangledRepresentation(3, hidden_layer_sizes=(8,), **SMALL), Y),
    "few-shot": (GroupLassoSVMMetaClassifier(8, encoder="resnet12", **SMALL), LABELS),
    "svc": (GroupLassoSVC(), LABELS),
    "rotation": (SparseRotation(3, random_state=0), Y),
}
# whom skops does not trust of itself
ASKED = ("sklearn_sparsedis.", "sklearn.utils._bunch.Bunch")
pytestmark = pytest.mark.filterwarnings("ignore")  # their warnings are not ours


def fitted(name):
    model, y = MODELS[name]
    return make_pipeline(StandardScaler(), model).fit(X, y)


@pytest.mark.parametrize("name", MODELS)
def test_skops_stores_models_and_asks_for_trust_in_few_classes(name, tmp_path):
    skops = pytest.importorskip("skops.io")
    model = fitted(name)
    path = tmp_path / "model.skops"
    skops.dump(model, path)
    asked = skops.get_untrusted_types(file=path)
    assert asked
    assert all(kind.startswith(ASKED) for kind in asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = skops.load(path, trusted=asked)
    assert (loaded.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("name", MODELS)
def test_mlflow_stores_models_in_its_default_format(name, tmp_path):
    sklearn = pytest.importorskip("mlflow.sklearn")
    skops = pytest.importorskip("skops.io")
    model = fitted(name)
    skops.dump(model, tmp_path / "model.skops")
    asked = skops.get_untrusted_types(file=tmp_path / "model.skops")
    sklearn.save_model(model, tmp_path / "model", skops_trusted_types=asked, pip_requirements=[])
    loaded = sklearn.load_model(str(tmp_path / "model"))
    assert (loaded.predict(X) == model.predict(X)).all()
