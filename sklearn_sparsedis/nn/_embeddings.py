"""Fixed encoders of embeddings that another network gave: nothing in them is trained by steps."""

import torch
from torch import Tensor, nn

__all__ = ["EMBEDDING_ENCODERS", "DiscriminantNetwork", "UnitLength"]


class UnitLength(nn.Module):
    """Divide each row by its length; a row of zeros stays as it is."""

    def forward(self, x: Tensor) -> Tensor:
        length = x.norm(dim=-1, keepdim=True)
        return x / torch.where(length > 0, length, 1)


class DiscriminantNetwork(nn.Module):
    """Rows of unit length in a fixed basis, which `training.discriminants` finds.

    Parameters
    ----------
    n_features, n_components : int
        Sizes of input and output.
    """

    matrix: Tensor

    def __init__(self, n_features: int, n_components: int) -> None:
        super().__init__()
        self.unit = UnitLength()
        self.register_buffer("matrix", torch.zeros(n_components, n_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x) @ self.matrix.T


def _identity(n_features: int, n_components: int, **_: object) -> nn.Module:
    return UnitLength()


def _discriminant(n_features: int, n_components: int, **_: object) -> nn.Module:
    return DiscriminantNetwork(n_features, n_components)


EMBEDDING_ENCODERS = {"discriminant": _discriminant, "identity": _identity}
