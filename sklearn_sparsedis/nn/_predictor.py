"""The prediction path of a fitted estimator as one module."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_sparsedis.losses import LOSSES

__all__ = ["Predictor"]


class Predictor(nn.Module):
    """Scores or predictions of all tasks, or scores of all classes.

    Parameters
    ----------
    encoder : nn.Module
        Maps rows (n, n_features) to components (n, n_components).
    coef : Tensor of shape (k, n_components)
        Heads of k tasks or classes.
    intercept : Tensor of shape (k,)
        Their intercepts.
    beside : sequence of tuple of nn.Module and Tensor, optional
        Modules from rows to further features (n, q), each with coefficients (k, q) on these.
    losses : sequence of str, optional
        Loss of each task: scores become predictions by its response.
    """

    coef: Tensor
    intercept: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        coef: Tensor,
        intercept: Tensor,
        beside: Sequence[tuple[nn.Module, Tensor]] = (),
        losses: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("coef", coef)
        self.register_buffer("intercept", intercept)
        self.beside = nn.ModuleList(module for module, _ in beside)
        for i, (_, heads) in enumerate(beside):
            self.register_buffer(f"coef_beside_{i}", heads)
        named = {name: LOSSES[name].response for name in sorted(set(losses))}
        self.responses = {name: given for name, given in named.items() if given is not None}
        for name in self.responses:
            chosen = torch.tensor([loss == name for loss in losses], device=coef.device)
            self.register_buffer(name, chosen)

    def forward(self, x: Tensor) -> Tensor:
        first = next(self.encoder.buffers(), self.coef)
        scores = self.encoder(x.to(first.dtype)).to(self.coef.dtype) @ self.coef.T + self.intercept
        for i, module in enumerate(self.beside):
            heads = self.get_buffer(f"coef_beside_{i}")
            scores = scores + module(x.to(heads.dtype)) @ heads.T
        for name, response in self.responses.items():
            scores = torch.where(self.get_buffer(name), response(scores), scores)
        return scores.to(x.dtype) if x.is_floating_point() else scores
