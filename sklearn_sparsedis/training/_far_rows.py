"""Whether a linear model holds for rows that are far from those that it was fitted to."""

import math

import torch
from torch import Tensor

from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._row_errors import RowErrors
from sklearn_sparsedis.training._start import SMALLEST, fit_linearly, scaled_rows

__all__ = ["goes_on_linearly"]

# share of the rows that are left out as the far ones; of few rows enough for the test to decide,
# but no more than a third
FAR, LEAST_FAR = 0.1, 10
# probability that chance alone would favour the line as often
CHANCE = 0.05


def goes_on_linearly(encoder: Encoder, table: TaskTable) -> bool:
    """Whether far rows are better predicted along the line than from shortened components.

    The tenth of the rows with the longest components, or of few rows up to a third, are left out of
    a ridge regression, and predicted by it: with components, the standardised singular directions
    of its predictions, as they are, and shortened to the longest of the rows that it was fitted to.
    The line must have the lower mean error, and be better in more of the shortened rows than chance
    explains (sign test), so that one far row does not decide.

    Parameters
    ----------
    encoder : Encoder
        Of a network that is linear as yet, in evaluation mode; as it starts, components are
        standardised but those beyond the rank of the predictions, which are shorter.
    table : TaskTable
        Rows in memory, and tasks with squared errors.
    """
    n, m = len(table.X), len(encoder.mean)
    n_far = max(round(FAR * n), min(LEAST_FAR, n // 3))
    if n_far < 1 or n - n_far < 2:
        return False
    order = encode(encoder, table.X).norm(dim=1).argsort()
    near, far = table.rows(order[: n - n_far]), table.rows(order[n - n_far :])
    coef, intercept = fit_linearly(encoder, near)
    predicted, mean, back = _components(scaled_rows(encoder, near) @ coef.T, m)
    reach = predicted.norm(dim=1).amax()
    beyond = (scaled_rows(encoder, far) @ coef.T - mean) @ torch.linalg.pinv(back.T)
    length = beyond.norm(dim=1, keepdim=True)
    short = beyond * (reach / length).clamp_max(1)
    errors, offset = RowErrors(far.Y), mean + intercept
    free, restrained = (errors(far.Y.predictions(one, back, offset)) for one in (beyond, short))
    n_differ, n_better = int((free != restrained).sum()), int((free < restrained).sum())
    if not n_differ or float(free.mean()) >= float(restrained.mean()):
        return False
    # of as many heads or more in so many throws of a coin
    by_chance = sum(math.comb(n_differ, k) for k in range(n_better, n_differ + 1))
    return by_chance < CHANCE * 2**n_differ


def _components(predicted: Tensor, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised components (n, k) of predictions (n, T), the mean, and heads (T, k) on them."""
    mean = predicted.mean(0)
    U, S, V = torch.linalg.svd(predicted - mean, full_matrices=False)
    kept = S.gt(SMALLEST * S[:1]).nonzero()[:m, 0]
    size = len(predicted) ** 0.5
    return U[:, kept] * size, mean, V[kept].T * (S[kept] / size)
