"""How similar rows are to some rows, under a Laplace kernel."""

import torch
from torch import Tensor, nn

__all__ = ["Landmarks"]

# added to the diagonal of the kernel of the landmarks, which repeat where rows do
JITTER = 1e-8


class Landmarks(nn.Module):
    r"""Similarities of rows to landmarks, and features with which they are inner products.

    .. math:: k(x, x') = \exp\Bigl(-\frac1\delta \sum_j |x_j - x'_j| / s_j\Bigr)

    A forest whose trees split columns at random places has this kernel [1]_: functions that are
    smooth nowhere and depend on few columns at a time are probable.

    Parameters
    ----------
    rows : Tensor of shape (L, p)
        The landmarks.
    scale : Tensor of shape (p,)
        Unit s of each column.
    distance : float
        Distance :math:`\delta` at which the similarity is 1/e.

    References
    ----------
    .. [1] Balog, Lakshminarayanan, Ghahramani, Roy and Teh, "The Mondrian kernel", UAI 2016.
    """

    rows: Tensor
    scale: Tensor

    def __init__(self, rows: Tensor, scale: Tensor, distance: float) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale)
        self.distance = distance

    def __len__(self) -> int:
        return len(self.rows)

    def forward(self, x: Tensor) -> Tensor:
        """Similarities (n, L) of rows (n, p)."""
        x, rows = x / self.scale, self.rows / self.scale
        if torch.compiler.is_compiling():  # ONNX has no such distances, and takes all differences
            length = (x[:, None] - rows).abs().sum(-1)
        else:
            length = torch.cdist(x, rows, p=1)
        return torch.exp(-length / self.distance)

    def features(self, x: Tensor) -> Tensor:
        """Features (n, L) whose inner products are the kernel's best approximation by landmarks.

        That of Nystroem, which is exact for the landmarks themselves.
        """
        return torch.linalg.solve_triangular(self._root(), self(x).mT, upper=False).mT

    def coefficients(self, on_features: Tensor) -> Tensor:
        """Coefficients (T, L) on similarities that have the effect of some on features."""
        return torch.linalg.solve_triangular(self._root().mT, on_features.mT, upper=True).mT

    def _root(self) -> Tensor:
        own = self(self.rows)
        own.diagonal().add_(JITTER)
        return torch.linalg.cholesky_ex(own).L
