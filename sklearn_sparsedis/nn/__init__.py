"""Encoders, and heads that solve an inner problem."""

from sklearn_sparsedis.nn._encoders import Encoder
from sklearn_sparsedis.nn._image_encoders import Conv4Network, ResNet12Network
from sklearn_sparsedis.nn._networks import ConvNetwork, LinearNetwork, MLPNetwork

__all__ = [
    "Conv4Network",
    "ConvNetwork",
    "Encoder",
    "LinearNetwork",
    "MLPNetwork",
    "ResNet12Network",
]
