"""How far targets are from predictions of rows that no training has seen."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_sparsedis.tasks._dense import TargetValues

__all__ = ["HeldOutResiduals", "factor_of"]

# labels of the mean variance of all tasks that each task is given beside its own: a variance of few
# labels says little
PRIOR_LABELS = 2
# quantiles of residuals that are kept, and residuals that they are of
KEPT, MOST = 1001, 1_000_000


@dataclass(frozen=True)
class HeldOutResiduals:
    """Scale of the residuals of each task, and sizes of residuals of all tasks on that scale.

    Attributes
    ----------
    std : ndarray of shape (T,)
        Root of the mean squared residual; NaN for tasks that were left out.
    quantiles : ndarray of shape (k,)
        Of absolute residuals in units of the scale that the others of their task give: those of new
        labels are alike, also where scales are of few labels.
    """

    std: NDArray[np.float64]
    quantiles: NDArray[np.float64]

    @classmethod
    def of(cls, residual: Tensor, values: TargetValues, chosen: NDArray[np.bool_]) -> Self | None:
        """From residuals, in comparable units, of some tasks; None where there are none.

        Parameters
        ----------
        residual : Tensor
            Like the values of targets.
        values : DenseTargets or ObservedTargets of shape (n, T)
            They say where there are labels, and with which weights.
        chosen : ndarray of bool, shape (T,)
            Which tasks.
        """
        tasks = torch.from_numpy(np.flatnonzero(chosen))
        errors = values.with_value(residual.double().square()).of_tasks(tasks).observed()
        if not len(errors.value):
            return None
        square, weight = errors.value, errors.weight.double()
        total, count = errors.total(weight * square), errors.total(weight)
        judged = count > 0
        prior = PRIOR_LABELS * float((total[judged] / count[judged]).mean())
        own = errors.task
        others = total[own] - weight * square + prior, count[own] - weight + PRIOR_LABELS
        sizes = square / (others[0] / others[1]).clamp_min(torch.finfo(square.dtype).tiny)
        some = sizes[:: -(-len(sizes) // MOST)].sqrt().numpy()
        std = np.full(len(chosen), np.nan)
        std[chosen] = ((total + prior) / (count + PRIOR_LABELS)).sqrt().numpy()
        return cls(std, np.quantile(some, np.linspace(0, 1, min(KEPT, len(some)))))


def factor_of(quantiles: NDArray[np.float64], level: float) -> float:
    """Multiple of the scale within which a share `level` of new labels lies."""
    k = len(quantiles)
    return float(np.quantile(quantiles, min(1.0, level * (k + 1) / k)))
