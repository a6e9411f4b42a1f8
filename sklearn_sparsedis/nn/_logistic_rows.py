"""Multinomial logistic regression of many rows, by truncated Newton steps in its coefficients."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

NEWTON_STEPS = 100
HALVINGS = 30
CG_STEPS = 200


def logistic_of_many_rows(X: Tensor, Y: Tensor, l2_reg: float, tol: float) -> tuple[Tensor, Tensor]:
    """Solve for rows X (n, m) and one-hot classes Y (n, k); coefficients (m, k) and relative gap.

    A step costs only products with X, and no more memory than the scores take.
    """
    W = X.new_zeros(X.shape[1], Y.shape[1])
    for _ in range(NEWTON_STEPS):
        scores = X @ W
        P = scores.softmax(-1)
        image = X.mT @ (Y - P)
        primal = _objective(scores, W, Y, l2_reg)
        entropy = -(P * P.clamp_min(torch.finfo(P.dtype).tiny).log()).sum()
        gap = (primal - entropy + image.square().sum() / (2 * l2_reg)).clamp_min(0)
        gap = gap / primal.clamp_min(len(Y) * math.log(Y.shape[1]) / 1000)
        if gap <= tol:
            break

        def curved(x: Tensor, P: Tensor = P) -> Tensor:
            T = P * (X @ x)
            return X.mT @ (T - P * T.sum(-1, keepdim=True)) + l2_reg * x

        step = _conjugate_gradients(curved, image - l2_reg * W, min(0.1, float(gap) ** 0.5))
        length = 1.0
        move = X @ step
        for _ in range(HALVINGS):
            if _objective(scores + length * move, W + length * step, Y, l2_reg) < primal:
                break
            length /= 2
        W = W + length * step
    return W, gap


def _objective(scores: Tensor, W: Tensor, Y: Tensor, l2_reg: float) -> Tensor:
    loss = (scores.logsumexp(-1) - (scores * Y).sum(-1)).sum()
    return loss + l2_reg / 2 * W.square().sum()


def _conjugate_gradients(
    multiply: Callable[[Tensor], Tensor], right: Tensor, accuracy: float
) -> Tensor:
    x, residual, search = torch.zeros_like(right), right, right
    square = first = float(right.square().sum())
    for _ in range(CG_STEPS):
        if square <= accuracy**2 * first:
            break
        image = multiply(search)
        length = square / float((search * image).sum())
        x, residual = x + length * search, residual - length * image
        last, square = square, float(residual.square().sum())
        search = residual + square / last * search
    return x
