"""Encoders: from rows of a table, or from flattened images, to components."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from sklearn_sparsedis.nn._generators import diverted_draws
from sklearn_sparsedis.nn._networks import ConvNetwork, LinearNetwork, MLPNetwork

__all__ = ["Encoder", "column_moments", "column_scale", "constant_columns"]

# Layers that draw no random numbers. A network of these alone runs without `diverted_draws`, which
# saves two tenths of a millisecond a step.
_DRAWING_NOTHING = frozenset(
    (ConvNetwork, LinearNetwork, MLPNetwork)
    + (nn.BatchNorm1d, nn.BatchNorm2d, nn.Conv1d, nn.Conv2d, nn.ELU, nn.Flatten, nn.GELU)
    + (nn.Identity, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.MaxPool2d, nn.ReLU, nn.Sequential)
    + (nn.Sigmoid, nn.SiLU, nn.Tanh, nn.Unflatten)
)
# rounding does not move rows of the fit
_SLACK = 1.001


def _draws_nothing(network: nn.Module) -> bool:
    return all(
        type(layer) in _DRAWING_NOTHING
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
        for layer in network.modules()
    )


class Encoder(nn.Module):
    """Network between a fixed scaling of its inputs and a normalisation of its outputs.

    Components have mean zero and unit variance over the training rows. Otherwise the encoder could
    scale its outputs up, and the penalised heads would shrink at no cost. In training mode the
    mean and the variance are those of the batch, in evaluation mode those of the last `calibrate`.
    In evaluation mode no row has longer components than those of the last `restrain`.

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
    reach: Tensor | None

    def __init__(self, network: nn.Module, center: Tensor, scale: Tensor, n_components: int):
        super().__init__()
        self.network = network
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.register_buffer("mean", center.new_zeros(n_components))
        self.register_buffer("std", center.new_ones(n_components))
        self.register_buffer("rotation", None)
        self.register_buffer("reach", None)

    def raw(self, x: Tensor) -> Tensor:
        """Compute the outputs before their normalisation."""
        x = (x - self.center) / self.scale
        with nullcontext() if _draws_nothing(self.network) else diverted_draws():
            output = self.network(x)
        return output if self.rotation is None else output @ self.rotation.T

    @torch.no_grad()
    def rotate(self, matrix: Tensor) -> None:
        """Multiply the raw outputs by `matrix` from now on; call `calibrate` afterwards."""
        self.rotation = matrix.to(self.mean)

    def in_basis(self, matrix: Tensor | None) -> "Encoder":
        """Encoder on the same network whose raw outputs are multiplied by a matrix (r, m).

        None gives those of the network itself.
        """
        n_components = self.n_outputs if matrix is None else len(matrix)
        encoder = Encoder(self.network, self.center, self.scale, n_components)
        if matrix is not None:
            encoder.rotate(matrix)
        return encoder

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.mean) if self.rotation is None else self.rotation.shape[1]

    @torch.no_grad()
    def linear_map(self) -> tuple[Tensor, Tensor] | None:
        """Matrix (n_components, n_features) and offset of the map from rows to components.

        They are in double precision; None where the network is no `LinearNetwork`.
        """
        if not isinstance(self.network, LinearNetwork):
            return None
        matrix = self.network.linear.weight.double() / self.scale.double()
        if self.rotation is not None:
            matrix = self.rotation.double() @ matrix
        matrix = matrix / self.std.double()[:, None]
        return matrix, -matrix @ self.center.double() - self.mean.double() / self.std.double()

    def forward(self, x: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        components = self.normalise(self.raw(x), sample_weight)
        if self.training or self.reach is None:
            return components
        length = components.norm(dim=1, keepdim=True)
        return torch.where(length > self.reach, components * (self.reach / length), components)

    def normalise(self, raw: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Normalise raw outputs to components."""
        mean, std = column_moments(raw, sample_weight) if self.training else (self.mean, self.std)
        return (raw - mean) / std

    def unreached(self) -> list[int]:
        """Indices of components that a linear network keeps at zero; none for other networks."""
        if not isinstance(self.network, LinearNetwork):
            return []
        weight = self.network.linear.weight.detach()
        weight = weight if self.rotation is None else self.rotation @ weight
        return (weight == 0).all(1).nonzero()[:, 0].tolist()

    @torch.no_grad()
    def restrain(self, components: Tensor, before: Tensor | None = None) -> None:
        """Shorten components to the longest of these (n, n_components), or of those before.

        What a network that is not linear makes of rows beyond its training rows is left to chance:
        a few outlying rows would have components of fifty standard deviations.
        """
        if not isinstance(self.network, LinearNetwork):
            reach = _SLACK * components.norm(dim=1).amax().reshape(1).to(self.mean)
            self.reach = reach if before is None else reach.maximum(before)

    @torch.no_grad()
    def calibrate(self, raw: Tensor, sample_weight: Tensor | None = None) -> None:
        """Store the normalisation of these raw outputs, shape (n, n_components)."""
        mean, std = column_moments(raw.double(), sample_weight)
        self.mean.copy_(mean)
        self.std.copy_(std)


def column_moments(x: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of each column; a constant column gets deviation 1.

    Parameters
    ----------
    x : Tensor of shape (n, m)
        Rows of data.
    sample_weight : Tensor of shape (n,), optional
        Weights of the rows, not negative, not all zero.
    """
    weight = x.new_full((len(x),), 1 / len(x))
    if sample_weight is not None:
        weight = (sample_weight / sample_weight.sum()).to(x.dtype)
    mean = weight @ x
    return mean, column_scale(mean, weight @ (x - mean).square())


def column_scale(mean: Tensor, var: Tensor) -> Tensor:
    """Standard deviation of columns with these moments; 1 for a constant column."""
    constant = constant_columns(mean, var)
    return torch.where(constant, torch.ones_like(var), torch.where(constant, 1, var).sqrt())


def constant_columns(mean: Tensor, var: Tensor) -> Tensor:
    """Return True for columns whose variance is no more than rounding error at their mean."""
    limits = torch.finfo(var.dtype)
    return var <= (100 * limits.eps * mean.abs()).square() + limits.tiny
