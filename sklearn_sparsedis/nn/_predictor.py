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
    residual : Tensor of shape (k, n_features), optional
        Their coefficients on the rows themselves.
    losses : sequence of str, optional
        Loss of each task: scores become predictions by its response.
    """

    coef: Tensor
    intercept: Tensor
    residual: Tensor | None

    def __init__(
        self,
        encoder: nn.Module,
        coef: Tensor,
        intercept: Tensor,
        residual: Tensor | None = None,
        losses: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("coef", coef)
        self.register_buffer("intercept", intercept)
        self.register_buffer("residual", residual)
        named = {name: LOSSES[name].response for name in sorted(set(losses))}
        self.responses = {name: given for name, given in named.items() if given is not None}
        for name in self.responses:
            chosen = torch.tensor([loss == name for loss in losses], device=coef.device)
            self.register_buffer(name, chosen)

    def forward(self, x: Tensor) -> Tensor:
        first = next(self.encoder.buffers(), self.coef)
        scores = self.encoder(x.to(first.dtype)).to(self.coef.dtype) @ self.coef.T + self.intercept
        if self.residual is not None:
            scores = scores + x.to(self.coef.dtype) @ self.residual.T
        for name, response in self.responses.items():
            scores = torch.where(self.get_buffer(name), response(scores), scores)
        return scores.to(x.dtype) if x.is_floating_point() else scores
