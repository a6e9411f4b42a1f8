"""The prediction path leaves Python: torch.export and ONNX."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
)
from sklearn_sparsedis.datasets import make_sparse_multitask

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

DATA = make_sparse_multitask(120, 12, n_latents=3, n_features=9, random_state=0)
X, Y = DATA.X, DATA.Y.copy()
Y[:, 0] = Y[:, 0] > 0
LABELS = np.array(["a", "b", "c"])[np.digitize(Y[:, 1], np.quantile(Y[:, 1], [0.3, 0.6]))]
SMALL = {"max_iter": 4, "random_state": 0}
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier
MODELS = {
    "mlp": Representation(3, hidden_layer_sizes=(8,), loss="auto", **SMALL),
    "conv": Representation(3, encoder="conv", input_shape=(3, 3), **SMALL),
    "few-shot": Classifier(8, encoder="resnet12", input_shape=(3, 3), **SMALL),
    "svc": GroupLassoSVC(),
    "rotation": SparseRotation(3, random_state=0),
}
pytestmark = pytest.mark.filterwarnings("ignore")  # their warnings are not ours


@pytest.fixture(params=[*MODELS, "new tasks"])
def model(request):
    """A fitted model, and what its module is to give for X."""
    if request.param == "new tasks":
        new = MODELS["mlp"].fit(X, Y[:, :6]).adapt(X[:60], Y[:60, 6:])
        return new, new.predict(X)
    model = MODELS[request.param]
    if hasattr(model, "decision_function"):
        return model.fit(X, LABELS), model.decision_function(X)
    return model.fit(X, Y), model.predict(X)


def test_torch_exports_the_path_for_any_number_of_rows(model):
    fitted, expected = model
    rows = {0: torch.export.Dim("rows")}
    program = torch.export.export(
        fitted.to_module(), (torch.tensor(X[:7]),), dynamic_shapes={"x": rows}
    )
    found = program.module()(torch.tensor(X)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_onnx_runs_the_path(model, tmp_path):
    fitted, expected = model
    # onnxruntime has no layers of networks in double precision
    dtype = np.float32 if hasattr(fitted, "encoder_") else np.float64
    rows = X.astype(dtype)
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(
        fitted.to_module().to(torch.tensor(rows).dtype),
        (torch.tensor(rows[:7]),),
        path,
        dynamo=True,
        dynamic_shapes={"x": {0: torch.export.Dim("rows")}},
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    rounding = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)
