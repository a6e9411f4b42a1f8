"""Networks of encoders, and the function that builds them from their names."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sklearn_sparsedis.nn._generators import diverted_draws

__all__ = [
    "ENCODERS",
    "ConvNetwork",
    "LinearNetwork",
    "MLPNetwork",
    "build_network",
    "image_shape",
    "linear_path",
]


class LinearNetwork(nn.Module):
    """Linear map x -> A x without offset (the output normalisation removes it).

    Parameters
    ----------
    n_features, n_components : int
        Sizes of input and output.
    """

    def __init__(self, n_features: int, n_components: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, n_components, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class MLPNetwork(nn.Module):
    """Multilayer perceptron with a linear path beside it: x -> A x + mlp(x).

    The last layer of the perceptron starts at zero, so training starts from the linear path and
    departs from it only as far as the data require.

    Parameters
    ----------
    n_features, n_components : int
        Sizes of input and output.
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    """

    def __init__(
        self, n_features: int, n_components: int, hidden_layer_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, n_components, bias=False)
        sizes = [n_features, *hidden_layer_sizes]
        layers: list[nn.Module] = []
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.01)]
        last = nn.Linear(sizes[-1], n_components, bias=False)
        nn.init.zeros_(last.weight)
        self.mlp = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.mlp(x)


class ConvNetwork(nn.Module):
    """Convolutional network of the paper's image experiments, on flattened rows.

    Four strided convolutions (32, 32, 64, 64 channels; kernels 4, 4, 2, 2; stride 2), a hidden
    layer of 256 units and a linear output [1]_. A convolution is left out if its kernel is larger
    than the remaining map of a small image.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width) or (height, width, channels): how a row of X is laid out.
    n_components : int
        Size of the output.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity", ICML 2023.
    """

    def __init__(self, input_shape: Sequence[int], n_components: int) -> None:
        super().__init__()
        height, width, *channels = input_shape
        self.input_shape = (height, width, channels[0] if channels else 1)
        n_in, side = self.input_shape[2], (height, width)
        layers: list[nn.Module] = []
        for n_out, kernel in ((32, 4), (32, 4), (64, 2), (64, 2)):
            if min(side) < kernel:
                break
            layers += [nn.Conv2d(n_in, n_out, kernel, stride=2), nn.LeakyReLU(0.01)]
            side = ((side[0] - kernel) // 2 + 1, (side[1] - kernel) // 2 + 1)
            n_in = n_out
        flat = n_in * side[0] * side[1]
        layers += [nn.Flatten(), nn.Linear(flat, 256), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Linear(256, n_components, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.input_shape).permute(0, 3, 1, 2)
        return self.layers(images)


def _linear(n_features: int, n_components: int, **_: object) -> nn.Module:
    return LinearNetwork(n_features, n_components)


def _mlp(
    n_features: int, n_components: int, *, hidden_layer_sizes: Sequence[int], **_: object
) -> nn.Module:
    return MLPNetwork(n_features, n_components, hidden_layer_sizes)


def image_shape(name: str, n_features: int, input_shape: Sequence[int] | None) -> Sequence[int]:
    """Shape of the images in the rows of X; by default they are square and grey.

    Parameters
    ----------
    name : str
        Name of the encoder, for messages.
    n_features : int
        Columns of X.
    input_shape : sequence of int or None
        (height, width[, channels]).
    """
    if input_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                f'encoder="{name}" needs input_shape=(height, width[, channels]): X has '
                f"{n_features} columns, which is not the number of pixels of a square grey image."
            )
        input_shape = (side, side)
    if len(input_shape) not in (2, 3) or math.prod(input_shape) != n_features:
        raise ValueError(
            f"input_shape must be (height, width[, channels]) with a product of {n_features}, the "
            f"number of columns of X; got {tuple(input_shape)}."
        )
    return input_shape


def _conv(
    n_features: int, n_components: int, *, input_shape: Sequence[int] | None, **_: object
) -> nn.Module:
    return ConvNetwork(image_shape("conv", n_features, input_shape), n_components)


ENCODERS: dict[str, Callable[..., nn.Module]] = {"conv": _conv, "linear": _linear, "mlp": _mlp}


def build_network(
    registry: Mapping[str, Callable[..., nn.Module]],
    name: str,
    n_features: int,
    n_components: int,
    **options: Any,
) -> nn.Module:
    """Network of a registry, with a `recipe` attribute from which it can be built again.

    Parameters
    ----------
    registry : mapping
        ENCODERS or EPISODE_ENCODERS.
    name : str
        Its key.
    n_features, n_components : int
        Sizes of input and output.
    **options
        Other arguments of the registry's functions.
    """
    with diverted_draws():
        network = registry[name](n_features, n_components, **options)
    network.recipe = {  # type: ignore[assignment]
        "name": name,
        "n_features": int(n_features),
        "n_components": int(n_components),
        **{key: _plain(value) for key, value in options.items()},
    }
    return network


def _plain(value: Any) -> Any:
    """Convert sequences of sizes to lists of int; leave other values as they are."""
    single = value is None or isinstance(value, str | bool | int | float)
    return value if single else [int(size) for size in value]


def linear_path(network: nn.Module) -> list[str]:
    """Names of the parameters of the linear path, empty for networks without one."""
    return ["linear.weight"] if isinstance(network, LinearNetwork | MLPNetwork) else []
