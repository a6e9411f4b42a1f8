"""Models survive files, pickles, copies and other processes: the same predictions to the bit."""

import copy
import io
import json
import os
import pickle
import re
import subprocess
import sys
import warnings

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from safetensors.torch import load, save
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
)
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._persistence import MODELS
from sklearn_sparsedis.exceptions import VersionMismatchWarning
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.storage import _file

DATA = make_sparse_multitask(120, 30, n_latents=3, n_features=9, random_state=0)
X, Y = DATA.X, DATA.Y
LABELS = np.array(["a", "b", "c"])[np.digitize(Y[:, 0], [-0.5, 0.5])]
SMALL = {"max_iter": 4, "random_state": 0, "hidden_layer_sizes": (8,)}
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier
CASES = {
    "mlp": (Representation(3, **SMALL), Y),
    "linear, single precision": (Representation(3, encoder="linear", **SMALL), Y),
    "conv": (Representation(3, encoder="conv", input_shape=[3, 3], **SMALL), Y[:, 0]),
    "l0": (Representation(3, penalty="l0", **SMALL), Y),
    "classifier": (Classifier(8, **SMALL), LABELS),
    "conv4": (Classifier(8, encoder="conv4", **SMALL), LABELS),
    "resnet12": (Classifier(8, encoder="resnet12", **SMALL), LABELS),
    "svc": (GroupLassoSVC(class_weight={"a": 2.0, "b": 1.0, "c": 1.0}), LABELS),
    "rotation": (SparseRotation(3, random_state=np.random.RandomState(0)), Y),
}
METHODS = ("transform", "predict", "decision_function", "predict_proba")
DOUBT = "ignore:Not every component is determined:UserWarning"
pytestmark = pytest.mark.filterwarnings(DOUBT)


def network(n_features, n_components):
    return nn.Sequential(nn.Linear(n_features, 4), nn.BatchNorm1d(4), nn.Linear(4, n_components))


@pytest.fixture(scope="module")
def fitted():
    """Fitted models by name, with the rows to predict."""
    models = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not every component")
        for name, (model, y) in CASES.items():
            rows = X.astype(np.float32) if "single" in name else X
            models[name] = clone(model).fit(rows, y), rows
    return models


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def shown(model):
    """Parameters as text, without addresses."""
    return re.sub(r" at 0x\w+", "", str(model.get_params()))


def assert_equal_models(one, other, rows):
    """Same type, parameters, fitted attributes and predictions."""
    assert type(one) is type(other)
    assert shown(one) == shown(other)
    assert set(vars(one)) == set(vars(other))
    for name in METHODS:
        if hasattr(one, name):
            expected, found = getattr(one, name)(rows), getattr(other, name)(rows)
            assert expected.dtype == found.dtype
            assert (expected == found).all(), name
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert getattr(other, name).dtype == value.dtype, name
            np.testing.assert_array_equal(getattr(other, name), value, err_msg=name)


def test_every_public_estimator_is_here():
    assert {type(model) for model, _ in CASES.values()} == {m.estimator for m in MODELS.values()}


@pytest.mark.parametrize("name", CASES)
def test_files_give_the_same_model(fitted, path, name):
    model, rows = fitted[name]
    save_model(model, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal_models(model, load_model(path), rows)


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_model_is_stored_alike(fitted, path, name):
    model, _ = fitted[name]
    save_model(model, path)
    again = path.with_name("again.safetensors")
    save_model(load_model(path), again)
    first, second = load(path.read_bytes()), load(again.read_bytes())
    assert first.keys() == second.keys()
    # not torch.equal, for which NaN is no equal of NaN
    assert all(first[key].numpy().tobytes() == second[key].numpy().tobytes() for key in first)


def test_another_process_predicts_the_same_and_runs_no_code_of_the_file(fitted, path):
    model, rows = fitted["mlp"]
    save_model(model, path)
    np.save(path.with_suffix(".npy"), rows)
    code = (
        "import sys, numpy as np, torch; torch.set_num_threads(1)\n"
        "from sklearn_sparsedis import load_model\n"
        "load_model(sys.argv[1])\n"
        "run = []\n"
        "code = ('exec', 'compile', 'import', 'pickle.find_class', 'os.system')\n"
        "sys.addaudithook(lambda event, _: run.append(event) if event in code else None)\n"
        "model = load_model(sys.argv[1])\n"
        "assert not run, run\n"
        "np.save(sys.argv[2], model.predict(np.load(sys.argv[2])))\n"
    )
    arguments = [str(path), str(path.with_suffix(".npy"))]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    assert (np.load(arguments[1]) == model.predict(rows)).all()


def test_names_layouts_and_requests_are_kept(path):
    columns = [f"f{i}" for i in range(X.shape[1])]
    table = pd.DataFrame(X, columns=columns)
    targets = pd.DataFrame(Y[:, :3], columns=["one", "two", "\u00e4"])
    model = Representation(3, **SMALL).set_output(transform="pandas").fit(table, targets)
    with config_context(enable_metadata_routing=True):
        model.set_fit_request(task_id=True, sample_weight="weight")
    save_model(model, path)
    loaded = load_model(path)
    assert loaded.feature_names_in_.tolist() == columns
    assert loaded.tasks_.tolist() == ["one", "two", "\u00e4"]
    pd.testing.assert_frame_equal(loaded.transform(table), model.transform(table))
    assert loaded._metadata_request.fit.requests["sample_weight"] == "weight"
    assert str(loaded._metadata_request) == str(model._metadata_request)


def test_a_loaded_model_goes_on(fitted, path):
    model, _ = fitted["mlp"]
    save_model(model, path)
    one, other = (m.set_params(warm_start=True) for m in (copy.deepcopy(model), load_model(path)))
    assert (one.fit(X, Y).predict(X) == other.fit(X, Y).predict(X)).all()
    assert (one.adapt(X, Y[:, :2]).coef_ == other.adapt(X, Y[:, :2]).coef_).all()


def test_parameters_changed_after_fit_do_no_harm(fitted, path):
    model = copy.deepcopy(fitted["mlp"][0]).set_params(n_components=5, encoder="linear")
    save_model(model, path)
    assert (load_model(path).predict(X) == model.predict(X)).all()


@pytest.mark.parametrize(
    "model", [Representation(3, **SMALL), Classifier(3, **SMALL)], ids=["tasks", "classes"]
)
@pytest.mark.parametrize("kind", ["callable", "module"])
def test_an_encoder_of_ones_own_is_given_again(path, model, kind):
    torch.manual_seed(0)
    encoder = network if kind == "callable" else network(9, 3)
    y = LABELS if isinstance(model, Classifier) else Y
    model = clone(model).set_params(encoder=encoder).fit(X, y)
    save_model(model, path)
    with pytest.raises(ValueError, match=r"Call load_model\(path, encoder=...\)"):
        load_model(path)
    torch.manual_seed(1)
    loaded = load_model(path, encoder=network if kind == "callable" else network(9, 3))
    assert (loaded.predict(X) == model.predict(X)).all()
    assert not loaded.encoder_.training
    with pytest.raises(ValueError, match=r"model.safetensors cannot be loaded: .*size mismatch"):
        load_model(path, encoder=network(9, 2))
    with pytest.raises(ValueError, match="must be an nn.Module or a callable"):
        load_model(path, encoder="mlp")


def test_a_checkpoint_is_left_out(path):
    checkpoint = Checkpoint(path.with_name("training.safetensors"))
    model = Representation(3, callbacks=[checkpoint], **SMALL).fit(X, Y)
    save_model(model, path)
    assert load_model(path).callbacks is None
    assert model.callbacks == [checkpoint]


def test_an_encoder_that_is_not_needed_is_refused(fitted, path):
    save_model(fitted["mlp"][0], path)
    with pytest.raises(ValueError, match="our own 'mlp'. Leave it out"):
        load_model(path, encoder=network)


def test_what_cannot_be_stored_is_said(fitted, path):
    class Own(GroupLassoSVC):
        pass

    model = copy.deepcopy(fitted["mlp"][0])
    with pytest.raises(TypeError, match=r"set_params\(callbacks=None\)"):
        save_model(clone(model).set_params(callbacks=[Callback()]).fit(X, Y), path)
    model.note_ = print
    with pytest.raises(TypeError, match="attributes.note_ is of type builtins"):
        save_model(model, path)
    with pytest.raises(TypeError, match="save_model stores GroupLassoSVC.*got Own"):
        save_model(Own().fit(X, LABELS), path)
    with pytest.raises(TypeError, match="got Pipeline"):
        save_model(make_pipeline(StandardScaler()), path)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        save_model(GroupLassoSVC(), path)
    assert os.listdir(path.parent) == []


def forge(path, change):
    """Change a stored model's content and tensors, and make the checksum fit."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_file.OURS])
    content = dict(header["content"]["dict"])
    tensors = load(data)
    change(content, tensors)
    header["content"] = {"dict": [list(pair) for pair in content.items()]}
    text = json.dumps(header)
    path.write_bytes(save(tensors, {_file.OURS: text, "sha256": _file._checksum(text, tensors)}))


def _recipe(**changes):
    def change(content, tensors):
        attributes = dict(content["attributes"]["dict"])
        parts = dict(attributes["encoder_"]["dict"])
        parts["recipe"]["dict"] = list({**dict(parts["recipe"]["dict"]), **changes}.items())

    return change


def _content(group, name, value):
    """Set a parameter or an attribute; None takes it away."""

    def change(content, tensors):
        values = {**dict(content[group]["dict"]), name: value}
        if value is None:
            del values[name]
        content[group]["dict"] = [list(pair) for pair in values.items()]

    return change


def _attribute(name, value=1):
    return _content("attributes", name, value)


def _array(name, value):
    """An array attribute in the place of another one; None, or what is no array, takes it away."""

    def change(content, tensors):
        key = f"model.attributes.{name}"
        del tensors[key]
        if isinstance(value, torch.Tensor):
            tensors[key] = value
            stored = {"array": {"tensor": [key, list(range(value.ndim))]}}
        else:
            stored = value
        _attribute(name, stored)(content, tensors)

    return change


def _parameter(name, value):
    return _content("params", name, value)


def _tensor(name, value):
    def change(content, tensors):
        assert name in tensors
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value

    return change


STATE = "model.attributes.encoder_.state."
WEIGHT = STATE + "network.mlp.0.weight"
COEF = "model.attributes.coef_"
nan, inf = {"float": "nan"}, {"float": "inf"}
FORGED = {
    "class": (lambda content, _: content.update({"class": "os.system"}), "none of our estimators"),
    "parameter": (
        lambda content, _: content["params"]["dict"].pop(),
        "missing or unknown: weight_decay",
    ),
    "method": (_attribute("predict"), "can have no attribute 'predict'"),
    "special": (_attribute("__class__"), "can have no attribute '__class__'"),
    "no tensor": (_tensor(WEIGHT, None), "is missing"),
    "tensor of another shape": (_tensor(WEIGHT, torch.zeros(8, 8).double()), "size mismatch"),
    "heads of fewer tasks": (
        _tensor(COEF, torch.zeros(2, 3).double()),
        r"intercept_ is for 30 tasks, but coef_ for 2",
    ),
    "heads of fewer components": (
        _tensor(COEF, torch.zeros(30, 2).double()),
        r"coef_ is for 2 components, but encoder_.state.mean for 3",
    ),
    "heads that are a row": (
        _array("coef_", torch.zeros(30).double()),
        r"coef_ must have the axes \(tasks, components\)",
    ),
    "heads that are no numbers": (
        _tensor(COEF, torch.full((30, 3), torch.nan).double()),
        "coef_ must hold finite numbers",
    ),
    "heads that are whole numbers": (_tensor(COEF, torch.zeros(30, 3).int()), "coef_ must hold f"),
    "no heads": (_array("coef_", None), "coef_ is missing"),
    "heads that are a text": (_array("coef_", "1"), "coef_ must be an array"),
    "loss": (_array("losses_", 1), "losses_ must be an array"),
    "layout": (_attribute("_layout", "tall"), "_layout must be one of flat, long, wide"),
    "weights that are no numbers": (
        _tensor(WEIGHT, torch.full((8, 9), torch.inf).double()),
        r"encoder_\.state\.network\.mlp\.0\.weight must hold finite numbers",
    ),
    "scale of zero": (
        _tensor(STATE + "scale", torch.zeros(9).double()),
        r"encoder_\.state\.scale must hold finite numbers above zero",
    ),
    "centre that broadcasts": (
        _tensor(STATE + "center", torch.zeros(1).double()),
        r"encoder_\.state\.center is for 1 features, but n_features_in_ for 9",
    ),
    "more features than there are": (
        _attribute("n_features_in_", 10**15),
        rf"encoder_\.state\.center is for 9 features, but n_features_in_ for {10**15}",
    ),
    "names of fewer features": (
        _attribute("feature_names_in_", {"array": {"shape": [1], "objects": ["a"]}}),
        "feature_names_in_ is for 1 features",
    ),
    "container": (_attribute("_sklearn_output_config", {"dict": [["transform", "x"]]}), "pandas"),
    "n_components": (_parameter("n_components", 0), "n_components must be at least 1, got 0"),
    "alpha": (_parameter("alpha", nan), "alpha must be in .0, 1., got nan"),
    "penalty": (_parameter("penalty", "l3"), "penalty must be one of"),
    "tol": (_parameter("tol", inf), "tol must be in"),
    "encoder": (_parameter("encoder", "conv4"), "encoder must be one of"),
    "random state": (_parameter("random_state", "x"), "random_state|cannot be used to seed"),
    "device": (_parameter("device", "no such device"), "no such device"),
    "network": (
        _recipe(name="eval"),
        "encoder 'eval' is none of SparseDisentangledRepresentation's",
    ),
    "network of the other estimator": (_recipe(name="conv4"), "encoder 'conv4' is none of Sparse"),
    "sizes": (_recipe(hidden_layer_sizes=[10**12]), "size mismatch"),
    "features": (_recipe(n_features=10**9), "size mismatch"),
    "depth": (_recipe(hidden_layer_sizes=[8, 8]), "Missing key"),
    "more layers than weights": (_recipe(hidden_layer_sizes=[1] * 10**5), "100000 hidden layers"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_models_are_refused(fitted, path, name):
    change, reason = FORGED[name]
    save_model(fitted["mlp"][0], path)
    forge(path, change)
    with pytest.raises(ValueError, match=rf"(?s)model.safetensors cannot be loaded: .*{reason}"):
        load_model(path)


OTHERS = {
    "svc": [
        (_attribute("n_features_in_", 10**15), "coef_ is for 9 features"),
        (_tensor(COEF, torch.full((3, 9), torch.nan).double()), "coef_ must hold finite numbers"),
        (_tensor("model.attributes.intercept_", torch.zeros(1).double()), "is for 1 classes"),
        (_parameter("l2_reg", 0), "l2_reg must be in"),
    ],
    "classifier": [
        (_tensor(COEF, torch.full((3, 8), torch.nan).double()), "coef_ must hold finite numbers"),
        (_attribute("scale_", -1.0), "scale_ must hold finite numbers above zero"),
        (_parameter("head", "tree"), "head must be one of"),
    ],
    "rotation": [
        (_tensor("model.attributes.mean_", torch.zeros(1).double()), "mean_ is for 1 features"),
        (
            _tensor("model.attributes._moments.gram", torch.zeros(2, 2).double()),
            r"_moments\.gram is for 2 features",
        ),
        (_parameter("n_init", 0), "n_init must be at least 1"),
    ],
    "l0": [
        (
            _tensor(STATE + "rotation", torch.zeros(2, 2).double()),
            r"rotation is for 2 components, but encoder_\.state\.mean for 3",
        ),
    ],
}


@pytest.mark.parametrize(
    ("name", "case"), [(name, i) for name in OTHERS for i in range(len(OTHERS[name]))]
)
def test_forged_models_of_all_kinds_are_refused(fitted, path, name, case):
    change, reason = OTHERS[name][case]
    save_model(fitted[name][0], path)
    forge(path, change)
    with pytest.raises(ValueError, match=rf"model.safetensors cannot be loaded: .*{reason}"):
        load_model(path)


def test_the_encoder_is_not_called_with_sizes_that_the_file_does_not_have(path):
    model = Representation(3, encoder=network, **SMALL).fit(X, Y)
    save_model(model, path)
    forge(path, _attribute("n_features_in_", 10**15))
    with pytest.raises(ValueError, match="encoder_.state.center is for 9 features"):
        load_model(path, encoder=lambda *sizes: pytest.fail(f"called with {sizes}"))


def test_each_estimator_loads_its_own_networks(fitted, path, monkeypatch):
    """Both have an "mlp", which are two functions."""
    for name, registry in [("mlp", ENCODERS), ("classifier", EPISODE_ENCODERS)]:
        save_model(fitted[name][0], path)
        with monkeypatch.context() as patch:
            patch.setitem(registry, "mlp", lambda *sizes, **_: pytest.fail("asked"))
            with pytest.raises(pytest.fail.Exception, match="asked"):
                load_model(path)


def test_what_could_not_be_loaded_is_not_stored(fitted, path):
    for change, reason in [
        ({"coef_": fitted["mlp"][0].coef_ * np.nan}, "coef_ must hold finite numbers"),
        ({"intercept_": np.zeros(2)}, "intercept_ is for 2 tasks, but coef_ for 30"),
        ({"alpha": -1}, "alpha must be in"),
    ]:
        model = copy.deepcopy(fitted["mlp"][0])
        vars(model).update(change)
        with pytest.raises(ValueError, match=reason):
            save_model(model, path)
    assert os.listdir(path.parent) == []


def test_nothing_of_pickle_is_in_the_way(path):
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_model(path)


def _cloud(model):
    return pickle.loads(cloudpickle.dumps(model))


def _joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return joblib.load(buffer)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "way",
    [lambda m: pickle.loads(pickle.dumps(m)), _joblib, _cloud, copy.deepcopy, copy.copy],
    ids=["pickle", "joblib", "cloudpickle", "deepcopy", "copy"],
)
def test_copies_are_the_same_model(fitted, way, name):
    model, rows = fitted[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal_models(model, way(model), rows)


def _plain(value):
    if isinstance(value, dict | list | tuple):
        return all(map(_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, str | int | float | np.ndarray | np.generic)


@pytest.mark.parametrize("name", ["mlp", "conv", "l0", "classifier", "resnet12"])
def test_pickles_hold_encoders_as_arrays(fitted, name):
    model, rows = fitted[name]
    state = model.__getstate__()
    assert _plain(state["encoder_"])
    assert copy.copy(model).encoder_ is model.encoder_
    mapped = copy.copy(model)
    for array in state["encoder_"]["state"].values():
        array.flags.writeable = False
    mapped.__setstate__(state)
    assert_equal_models(model, mapped, rows)


def test_an_encoder_of_the_users_stays_a_module_in_pickles():
    model = Representation(3, encoder=nn.Linear(9, 3), **SMALL).fit(X, Y)
    assert model.__getstate__()["encoder_"] is model.encoder_
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()


def test_models_in_mapped_memory_are_stored(fitted, path):
    model, rows = fitted["svc"]
    joblib.dump(model, path.with_suffix(".joblib"))
    mapped = joblib.load(path.with_suffix(".joblib"), mmap_mode="r")
    save_model(mapped, path)
    assert_equal_models(model, load_model(path), rows)


def test_cloudpickle_takes_encoders_that_pickle_cannot():
    model = Representation(3, encoder=lambda n, m: nn.Linear(n, m), **SMALL).fit(X, Y)
    assert (_cloud(model).predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("name", CASES)
def test_clones_are_not_fitted_and_fit_alike(fitted, name):
    model, rows = fitted[name]
    copied = clone(model)
    assert shown(copied) == shown(model)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(copied, "transform" if hasattr(copied, "transform") else "predict")(rows)


def _fit(model, rows, y):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not every component")
        torch.set_num_threads(1)
        return model.fit(rows, y)


def test_worker_processes_fit_the_same_models(fitted):
    names = ["mlp", "classifier", "svc", "rotation"]
    jobs = [delayed(_fit)(clone(CASES[name][0]), X, CASES[name][1]) for name in names]
    for name, model in zip(names, Parallel(n_jobs=2)(jobs), strict=True):
        assert_equal_models(fitted[name][0], model, X)


@pytest.mark.parametrize("name", ["mlp", "classifier", "svc", "rotation"])
def test_pickles_of_another_version_are_told(fitted, monkeypatch, name):
    model, rows = fitted[name]
    module = sys.modules["sklearn_sparsedis.estimators._base"]
    assert type(model).__module__.startswith("sklearn_sparsedis.")
    assert "_sklearn_version" not in model.__getstate__()
    monkeypatch.setattr(module, "__version__", "0.0.1")
    old = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.warns(VersionMismatchWarning, match=rf"{type(model).__name__} was .* 0\.0\.1 and"):
        loaded = pickle.loads(old)
    assert not any("version" in key for key in vars(loaded))
    assert issubclass(VersionMismatchWarning, InconsistentVersionWarning)
    assert_equal_models(model, loaded, rows)


def test_a_pickle_without_a_version_is_told(fitted):
    state = dict(vars(fitted["svc"][0]))
    with pytest.warns(VersionMismatchWarning, match=r"stored by sklearn_sparsedis \(unknown\)"):
        GroupLassoSVC().__setstate__(state)
    assert "coef_" in state, "the caller's state is left alone"


# an accelerator that torch was not built for stands for one that is not there
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
@pytest.mark.parametrize("name", ["mlp", "classifier"])
@pytest.mark.parametrize("way", ["pickle", "file"])
def test_fitted_on_an_accelerator_and_loaded_without(fitted, path, name, way):
    model, rows = fitted[name]
    expected = model.predict(rows)
    moved = copy.deepcopy(model).set_params(device="cuda:0")
    if way == "file":
        save_model(moved, path)
        loaded = load_model(path)
    else:
        loaded = pickle.loads(pickle.dumps(moved))
    with pytest.warns(UserWarning, match="device='cuda:0'.*cannot be used here: the CPU is"):
        assert (loaded.predict(rows) == expected).all()
    with pytest.raises(ValueError, match="device='cuda:0' cannot be used here"):
        loaded.fit(rows, CASES[name][1])
    with pytest.raises(ValueError, match="cannot be used here"):
        loaded.set_params(device="no such device").predict(rows)


def test_no_tensor_of_a_fitted_model_is_anywhere_but_on_the_cpu(fitted):
    for model, _ in fitted.values():
        encoder = getattr(model, "encoder_", nn.Identity())
        assert all(t.device.type == "cpu" for t in (*encoder.parameters(), *encoder.buffers()))
        assert not any(isinstance(value, torch.Tensor) for value in vars(model).values())
