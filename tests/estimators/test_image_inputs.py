"""Images as X: flattened rows, the shapes that they came from, and modules that want images."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
)

HEIGHT, WIDTH, CHANNELS = 8, 10, 3
SHAPE = (HEIGHT, WIDTH, CHANNELS)


def representation(**parameters):
    return SparseDisentangledRepresentation(3, max_iter=2, random_state=0, **parameters)


def few_shot(**parameters):
    return GroupLassoSVMMetaClassifier(3, head="ridge", max_iter=1, random_state=0, **parameters)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, *SHAPE)).astype(np.float32)
    return X, random.normal(size=(60, 3)), np.arange(60) % 3


@pytest.mark.parametrize("model", [representation, few_shot])
@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda X: X, r"X\.reshape\(len\(X\), -1\), and say by input_shape=\(8, 10, 3\)"),
        (lambda X: X[..., 0], r"X\.reshape\(len\(X\), -1\), and say by input_shape=\(8, 10\)"),
        (lambda X: X[..., 0].tolist(), r"input_shape=\(8, 10\)"),
        (lambda X: torch.from_numpy(X), r"input_shape=\(8, 10, 3\)"),
        (
            lambda X: np.moveaxis(X, -1, 1),
            r"numpy\.moveaxis\(X, 1, -1\)\.reshape.* input_shape=\(8, 10, 3\) what it was, with the"
            " channels last",
        ),
    ],
    ids=["colour", "grey", "list", "tensor", "channels first"],
)
def test_images_that_were_not_flattened(images, model, change, advice):
    X, Y, y = images
    target = Y if model is representation else y
    given = change(X)
    with pytest.raises(ValueError, match=f"Found array with dim .*{advice}"):
        model().fit(given, target)
    fitted = model(encoder="linear").fit(X.reshape(60, -1), target)
    with pytest.raises(ValueError, match=advice):
        fitted.transform(given)


def test_estimators_without_images_say_to_flatten(images):
    X, Y, y = images
    for model, target in ((SparseRotation(), Y), (GroupLassoSVC(), y)):
        with pytest.raises(ValueError, match=r"reshape\(len\(X\), -1\)\.$"):
            model.fit(X, target)


@pytest.mark.parametrize("model", [representation, few_shot])
def test_channels_first_is_warned_of(images, model):
    X, Y, y = images
    target = Y if model is representation else y
    first = np.moveaxis(X, -1, 1).reshape(60, -1)
    with pytest.warns(
        UserWarning, match=r"height 3 and width 8 with 10 .*input_shape=\(8, 10, 3\)"
    ):
        model(encoder="mlp", input_shape=(3, 8, 10)).fit(first, target)
    # these are not: rows of pixels, and one row of measurements in time
    for shape in ((8, 10, 3), (2, 10, 12), (1, 60, 4), (1, 80, 3), (16, 5, 3)):
        model(encoder="mlp", input_shape=shape).fit(X.reshape(60, -1)[:, : np.prod(shape)], target)


class Recorded(nn.Module):
    """Notes the shape of its input, and hands it on to layers."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.last = None

    def forward(self, x):
        out = self.layers(x)
        self.last = x.detach().clone()
        return out


class LastAxis(nn.Module):
    """Wants images with their channels last."""

    def forward(self, x):
        n, height, width, channels = x.shape
        assert (height, width, channels) == SHAPE
        return x.mean((1, 2))


WANTED = {
    "conv2d": (lambda: [nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(3)], (3, 8, 10)),
    "last": (lambda: [LastAxis(), nn.Linear(3, 3)], SHAPE),
    "linear": (lambda: [nn.Linear(240, 3)], (240,)),
    "flatten": (lambda: [nn.Flatten(), nn.Linear(240, 3)], (240,)),
    "unflatten": (
        lambda: [nn.Unflatten(1, (3, 8, 10)), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(3)],
        (240,),
    ),
}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("model", [representation, few_shot])
def test_a_module_gets_what_its_first_layer_wants(images, model, name):
    X, Y, y = images
    target = Y if model is representation else y
    layers, wanted = WANTED[name]
    torch.manual_seed(0)
    module = Recorded(*layers())
    module(torch.zeros(2, *wanted))  # sets the sizes of lazy layers
    module.last = None
    flat = X.reshape(60, -1)
    fitted = model(encoder=module, input_shape=SHAPE).fit(flat, target)
    fitted.transform(flat)
    assert module.last is None, "the user's module was used"
    last = next(m for m in fitted.encoder_.modules() if isinstance(m, Recorded)).last
    expected = {3: np.moveaxis(X, -1, 1), 8: X, 240: flat}[wanted[0]]
    np.testing.assert_array_equal(last.numpy(), expected)


def test_grey_images(images):
    X, Y, _ = images
    grey = X[..., 0].reshape(60, -1)
    for module in (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(96, 3)),
        nn.Sequential(nn.Conv1d(8, 2, 3), nn.Flatten(), nn.Linear(16, 3)),
    ):
        fitted = representation(encoder=module, input_shape=(8, 10)).fit(grey, Y)
        assert fitted.transform(grey).shape == (60, 3)


def test_models_of_images_are_stored(images, tmp_path):
    X, Y, _ = images
    flat = X.reshape(60, -1)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(96, 3))
    fitted = representation(encoder=module, input_shape=SHAPE).fit(flat, Y)
    save_model(fitted, tmp_path / "model")
    loaded = load_model(tmp_path / "model", encoder=module)
    np.testing.assert_array_equal(loaded.predict(flat), fitted.predict(flat))


@pytest.mark.parametrize("model", [representation, few_shot])
def test_a_module_of_images_without_their_shape(images, model):
    X, Y, y = images
    target = Y if model is representation else y
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(96, 3))
    with pytest.raises(ValueError, match=r"needs input_shape=\(height, width\[, channels\]\)"):
        model(encoder=module).fit(X.reshape(60, -1), target)
    with pytest.raises(ValueError, match="with a product of 240, the number of columns of X"):
        model(encoder=module, input_shape=(8, 8, 3)).fit(X.reshape(60, -1), target)
