"""Encoders: from rows of a table, or from flattened images, to components."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_sparsedis.nn._generators import diverted_draws

__all__ = [
    "ENCODERS",
    "ConvNetwork",
    "Encoder",
    "LinearNetwork",
    "MLPNetwork",
    "build_network",
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
    departs from it only as far as the data ask for.

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
    layer of 256 units and a linear output [1]_. A layer whose kernel no longer fits into what is
    left of a small image is left out.

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
    """Shape of the images that rows of X are, square and grey where it is not given.

    Parameters
    ----------
    name : str
        The encoder, for messages.
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
        What else the registry's functions take.
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
    """Sizes as a list of Python's integers, whatever they were given as."""
    single = value is None or isinstance(value, str | bool | int | float)
    return value if single else [int(size) for size in value]


def linear_path(network: nn.Module) -> list[str]:
    """Names of the parameters that map inputs to components linearly, in our own networks."""
    return ["linear.weight"] if isinstance(network, LinearNetwork | MLPNetwork) else []


# layers that draw no random numbers, so that nobody has to look out for draws: that costs two
# tenths of a millisecond a step
_DRAWING_NOTHING = frozenset(
    (ConvNetwork, LinearNetwork, MLPNetwork)
    + (nn.BatchNorm1d, nn.BatchNorm2d, nn.Conv1d, nn.Conv2d, nn.ELU, nn.Flatten, nn.GELU)
    + (nn.Identity, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.MaxPool2d, nn.ReLU, nn.Sequential)
    + (nn.Sigmoid, nn.SiLU, nn.Tanh, nn.Unflatten)
)


def _draws_nothing(network: nn.Module) -> bool:
    return all(
        type(layer) in _DRAWING_NOTHING
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
        for layer in network.modules()
    )


class Encoder(nn.Module):
    """Network between a fixed scaling of its inputs and a normalisation of its outputs.

    Components leave with mean zero and unit variance over the training rows. Without that the
    encoder could grow its outputs and let the penalised heads shrink at no cost. In training mode
    the statistics are those of the batch; in evaluation mode those of the last `calibrate`.

    Parameters
    ----------
    network : nn.Module
        Maps (n, n_features) to (n, n_components).
    center, scale : Tensor of shape (n_features,)
        Inputs enter the network as (x - center) / scale.
    n_components : int
        Size of the network's output.
    """

    center: Tensor
    scale: Tensor
    mean: Tensor
    std: Tensor
    rotation: Tensor | None

    def __init__(self, network: nn.Module, center: Tensor, scale: Tensor, n_components: int):
        super().__init__()
        self.network = network
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.register_buffer("mean", center.new_zeros(n_components))
        self.register_buffer("std", center.new_ones(n_components))
        self.register_buffer("rotation", None)

    def raw(self, x: Tensor) -> Tensor:
        """Outputs before their normalisation."""
        x = (x - self.center) / self.scale
        with nullcontext() if _draws_nothing(self.network) else diverted_draws():
            output = self.network(x)
        return output if self.rotation is None else output @ self.rotation.T

    @torch.no_grad()
    def rotate(self, matrix: Tensor) -> None:
        """Let the raw outputs be `matrix` r of the network's r; call `calibrate` afterwards."""
        self.rotation = matrix.to(self.mean)

    @torch.no_grad()
    def linear_map(self) -> tuple[Tensor, Tensor] | None:
        """Matrix (n_components, n_features) and offset from rows to components after training.

        In double precision; None where the network is none of our linear ones.
        """
        if not isinstance(self.network, LinearNetwork):
            return None
        matrix = self.network.linear.weight.double() / self.scale.double()
        if self.rotation is not None:
            matrix = self.rotation.double() @ matrix
        matrix = matrix / self.std.double()[:, None]
        return matrix, -matrix @ self.center.double() - self.mean.double() / self.std.double()

    def forward(self, x: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        return self.normalise(self.raw(x), sample_weight)

    def normalise(self, raw: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Components from raw outputs."""
        mean, std = column_moments(raw, sample_weight) if self.training else (self.mean, self.std)
        return (raw - mean) / std

    def unreached(self) -> list[int]:
        """Components that a linear network keeps at zero; none of another network."""
        if not isinstance(self.network, LinearNetwork):
            return []
        weight = self.network.linear.weight.detach()
        weight = weight if self.rotation is None else self.rotation @ weight
        return (weight == 0).all(1).nonzero()[:, 0].tolist()

    @torch.no_grad()
    def calibrate(self, raw: Tensor, sample_weight: Tensor | None = None) -> None:
        """Take the normalisation from these raw outputs, shape (n, n_components)."""
        mean, std = column_moments(raw.double(), sample_weight)
        self.mean.copy_(mean)
        self.std.copy_(std)


def column_moments(x: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of each column; a constant column gets deviation 1.

    Parameters
    ----------
    x : Tensor of shape (n, m)
        Data.
    sample_weight : Tensor of shape (n,), optional
        Weights of the rows, not negative, not all zero.
    """
    weight = x.new_full((len(x),), 1 / len(x))
    if sample_weight is not None:
        weight = (sample_weight / sample_weight.sum()).to(x.dtype)
    mean = weight @ x
    return mean, column_scale(mean, weight @ (x - mean).square())


def column_scale(mean: Tensor, var: Tensor) -> Tensor:
    """Standard deviation of columns with these moments; 1 for a constant one."""
    constant = constant_columns(mean, var)
    return torch.where(constant, torch.ones_like(var), torch.where(constant, 1, var).sqrt())


def constant_columns(mean: Tensor, var: Tensor) -> Tensor:
    """Which columns with these moments vary by no more than rounding, given their size."""
    limits = torch.finfo(var.dtype)
    return var <= (100 * limits.eps * mean.abs()).square() + limits.tiny
