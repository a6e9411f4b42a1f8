"""Backbones of few-shot image classification, on flattened rows."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from sklearn_sparsedis.nn._embeddings import EMBEDDING_ENCODERS
from sklearn_sparsedis.nn._networks import ENCODERS, MLPNetwork, image_shape

__all__ = ["EPISODE_ENCODERS", "Conv4Network", "DropBlock", "ResNet12Network"]


class _ImageNetwork(nn.Module):
    """Layers on images, applied to rows (height, width, channels) that were flattened."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        height, width, *channels = input_shape
        self.input_shape = (height, width, channels[0] if channels else 1)
        self.layers: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.input_shape).permute(0, 3, 1, 2)
        return self.layers(images).flatten(1)


class Conv4Network(_ImageNetwork):
    """Four blocks of a 3 x 3 convolution, batch normalisation, ReLU and 2 x 2 max-pooling [1]_.

    The first three have 64 channels, the last `n_components`. The remaining positions, one for a
    28 x 28 image, are flattened, so that each gives `n_components` features. An image with a side
    of one pixel is not pooled further.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width) or (height, width, channels): how a row of X is laid out.
    n_components : int
        Channels of the last block.

    References
    ----------
    .. [1] Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017.
    """

    def __init__(self, input_shape: Sequence[int], n_components: int) -> None:
        super().__init__(input_shape)
        layers: list[nn.Module] = []
        n_in, side = self.input_shape[2], min(self.input_shape[:2])
        for n_out in (64, 64, 64, n_components):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()]
            if side >= 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            n_in = n_out
        self.layers = nn.Sequential(*layers)


class DropBlock(nn.Module):
    """Set square blocks of the feature maps to zero in training, more of them over time [1]_.

    Parameters
    ----------
    drop_prob : float
        Share of values to drop at the end of the schedule.
    block_size : int
        Side of a block, at most that of the map.
    n_steps : int
        Number of calls in training over which the share grows linearly from zero.

    References
    ----------
    .. [1] Ghiasi, Lin and Le, "DropBlock: A regularization method for convolutional networks",
       NeurIPS 2018.
    """

    calls: Tensor

    def __init__(self, drop_prob: float, block_size: int, n_steps: int) -> None:
        super().__init__()
        self.drop_prob, self.block_size, self.n_steps = drop_prob, block_size, n_steps
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.calls += 1
        height, width = x.shape[-2:]
        size = min(self.block_size, height, width)
        centres = (height - size + 1, width - size + 1)
        share = self.drop_prob * (self.calls / self.n_steps).clamp_max(1)
        rate = share * (height * width) / (size**2 * centres[0] * centres[1])
        seeds = (torch.rand(*x.shape[:2], *centres, device=x.device) < rate).to(x.dtype)
        pad = size - 1
        dropped = max_pool2d(nn.functional.pad(seeds, (pad,) * 4), size, stride=1)
        kept = 1 - dropped
        return x * kept * (kept.numel() / kept.sum().clamp_min(1))


class _ResidualBlock(nn.Module):
    """Three 3 x 3 convolutions beside a 1 x 1 one, then max-pooling and DropBlock."""

    def __init__(self, n_in: int, n_out: int, drop: nn.Module, pool: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (n_in, n_out, n_out):
            layers += [nn.Conv2d(width, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
            layers.append(nn.LeakyReLU(0.1))
        self.path = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.end = nn.Sequential(
            nn.LeakyReLU(0.1), nn.MaxPool2d(2) if pool else nn.Identity(), drop
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.path(x) + self.shortcut(x))


class ResNet12Network(_ImageNetwork):
    """The paper's backbone: four residual blocks of 64, 160, 320 and 640 channels [1]_.

    Positions are not pooled at the end: 84 x 84 images give 5 x 5 x 640 = 16,000 features.
    DropBlock acts in the last two blocks, elementwise dropout in the first two, all at 0.1.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width) or (height, width, channels): how a row of X is laid out.
    n_components : int
        Channels of the last block; 640 in the paper. The others have channels in proportion.

    References
    ----------
    .. [1] Lee, Maji, Ravichandran and Soatto, "Meta-Learning with Differentiable Convex
       Optimization", CVPR 2019.
    """

    def __init__(self, input_shape: Sequence[int], n_components: int) -> None:
        super().__init__(input_shape)
        n_in, side = self.input_shape[2], min(self.input_shape[:2])
        blocks = []
        for share, block_size in ((0.1, 0), (0.25, 0), (0.5, 5), (1.0, 5)):
            n_out = max(1, round(share * n_components))
            drop = DropBlock(0.1, block_size, 40_000) if block_size else nn.Dropout(0.1)
            blocks.append(_ResidualBlock(n_in, n_out, drop, pool=side >= 2))
            n_in, side = n_out, max(side // 2, 1)
        self.layers = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")


def _mlp(
    n_features: int, n_components: int, *, hidden_layer_sizes: Sequence[int], **_: object
) -> nn.Module:
    network = MLPNetwork(n_features, n_components, hidden_layer_sizes)
    # At the start, distances between outputs are those of the rows or of a projection of them.
    nn.init.orthogonal_(network.linear.weight)
    return network


def _conv4(
    n_features: int, n_components: int, *, input_shape: Sequence[int] | None, **_: object
) -> nn.Module:
    return Conv4Network(image_shape("conv4", n_features, input_shape), n_components)


def _resnet12(
    n_features: int, n_components: int, *, input_shape: Sequence[int] | None, **_: object
) -> nn.Module:
    return ResNet12Network(image_shape("resnet12", n_features, input_shape), n_components)


EPISODE_ENCODERS: dict[str, Callable[..., nn.Module]] = {
    **ENCODERS,
    **EMBEDDING_ENCODERS,
    "conv4": _conv4,
    "mlp": _mlp,
    "resnet12": _resnet12,
}
