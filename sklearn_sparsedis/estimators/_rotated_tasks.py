"""Heads of new tasks on the components of SparseRotation.

A module of its own, because it loads what the trained estimators need.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sklearn_sparsedis.adaptation._learn import prior_of_heads
from sklearn_sparsedis.estimators._head_settings import HeadSettings
from sklearn_sparsedis.estimators._new_tasks import AdaptedRows, adapt_heads
from sklearn_sparsedis.estimators._old_tasks import to_arrays
from sklearn_sparsedis.estimators._representation_heads import FittedHeads, fit_heads
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.penalties import L0

__all__ = ["heads_of_new_tasks", "prior_of_rotation"]

# least squares on supports of most evidence, as the heads of the fit are
SETTINGS = HeadSettings(
    penalty=L0(),
    alpha=0.0,
    relative=True,
    tol=1e-6,
    balanced=False,
    common_head=False,
    loss=SquaredError.name,
    task_of_output=None,
)


def heads_of_new_tasks(
    rows: Rows, Z: NDArray[Any], targets: Targets, prior: Bunch | None, *, residual: bool
) -> tuple[FittedHeads, Bunch | None]:
    """Fit heads on components Z of rows, with a prior if there is one, which keeps its labels."""
    heads = fit_heads(SETTINGS, Z, targets)
    if prior is None:
        return heads, None
    known = AdaptedRows.of(prior, rows, Z, targets, residual=residual)
    return adapt_heads(heads, known, prior), known.to_arrays()


def prior_of_rotation(
    coef: NDArray[np.float64],
    covariance: NDArray[np.float64],
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> Bunch:
    """What heads on components with a covariance say of new tasks, without rows.

    Parameters
    ----------
    coef : ndarray of shape (T, m)
    covariance : ndarray of shape (m, m)
    center, scale : ndarray of shape (p,)
        Mean and standard deviation of the features.
    """
    found = prior_of_heads(torch.from_numpy(coef), torch.from_numpy(covariance), len(scale))
    named = {SquaredError.name: to_arrays(found), Logistic.name: None}
    return Bunch(center=center, scale=scale, distance=None, **named)
