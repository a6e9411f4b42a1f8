"""Application of networks on images to rows that are flattened images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_sparsedis.nn._generators import Generators
from sklearn_sparsedis.nn._networks import image_shape

__all__ = ["ImageInput", "with_image_input"]

# Rows of the trial batch. A layer that takes single images as well would read the rows as channels,
# and so fail, unless it has this unusual number of channels.
TRIED = 7


class ImageInput(nn.Module):
    """Network on images, applied to rows that are flattened (height, width[, channels]) images.

    Parameters
    ----------
    network : nn.Module
    input_shape : tuple of int
        (height, width[, channels]).
    channels_first : bool
        Whether the network takes the channels before height and width, instead of after them.
    """

    def __init__(
        self, network: nn.Module, input_shape: Sequence[int], *, channels_first: bool
    ) -> None:
        super().__init__()
        self.network = network
        self.input_shape = tuple(input_shape)
        self.channels_first = channels_first

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(x.shape[0], *self.input_shape)
        if self.channels_first:
            images = images.reshape(*images.shape[:3], -1).permute(0, 3, 1, 2).contiguous()
        return self.network(images)


def with_image_input(
    network: nn.Module, n_features: int, input_shape: Sequence[int] | None
) -> nn.Module:
    """Wrap a network in `ImageInput` if it does not take rows as they are.

    The layout is the first that the network maps to one vector a row, of rows, images with channels
    first, and images as `input_shape` has them. Without such a layout the network is returned
    unchanged.
    """
    if input_shape is None or _takes(network, n_features):
        return network
    shape = image_shape("your module", n_features, input_shape)
    for channels_first in (True, False):
        candidate = ImageInput(network, shape, channels_first=channels_first)
        if _takes(candidate, n_features):
            return candidate
    return network


def _takes(network: nn.Module, n_features: int) -> bool:
    """Return True if a network maps rows to vectors; the network stays unchanged."""
    modes = {module: module.training for module in network.modules()}
    weight = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    network.eval()
    try:
        with torch.no_grad(), Generators(0):
            output = network(weight.new_zeros(TRIED, n_features))
    except Exception:  # the user's code may raise anything for a shape that it does not take
        return False
    finally:
        for module, mode in modes.items():
            module.training = mode
    return isinstance(output, Tensor) and output.ndim == 2 and len(output) == TRIED
