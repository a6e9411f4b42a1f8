"""Callbacks that record properties of a representation during training."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length

from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score
from sklearn_sparsedis.metrics._protocols import HasHeads, Transformer
from sklearn_sparsedis.training._callback_protocol import ScoringMonitor

__all__ = ["DisentanglementMonitor", "SparsityMonitor"]


class SparsityMonitor(ScoringMonitor):
    """Record the share of zeros among the heads' weights after each block of steps.

    `get_logs` returns the records, as for scikit-learn's `ScoringMonitor`: `zero_weights` is the
    share, `components_used` the mean number of components that a head uses.

    Examples
    --------
    >>> from sklearn_sparsedis import SparseDisentangledRepresentation
    >>> from sklearn_sparsedis.callbacks import SparsityMonitor
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> data = make_sparse_multitask(200, 20, random_state=0)
    >>> monitor = SparsityMonitor()
    >>> model = SparseDisentangledRepresentation(6, max_iter=100, random_state=0)
    >>> _ = model.set_callbacks(monitor).fit(data.X, data.Y)
    >>> shares = [row["zero_weights"] for row in monitor.get_logs().data]
    >>> 0 <= min(shares) <= max(shares) <= 1
    True
    """

    def __init__(self) -> None:
        super().__init__(scoring=_sparsity)


class DisentanglementMonitor(ScoringMonitor):
    """Record the recovery of known factors by the components after each block of steps.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows, for instance held-out ones.
    Z_true : array-like of shape (n_samples, n_factors)
        Their factors.

    Notes
    -----
    `get_logs` returns the records, as for scikit-learn's `ScoringMonitor`: `mcc` is the mean
    correlation with matched components, `r` that with the best linear map of all components.
    """

    def __init__(self, X: ArrayLike, Z_true: ArrayLike) -> None:
        rows = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        factors = check_array(Z_true, input_name="Z_true")
        check_consistent_length(rows, factors)
        super().__init__(scoring=_Recovery(rows, factors))


def _sparsity(estimator: HasHeads, X: object, y: object, **metadata: object) -> dict[str, float]:
    used = np.asarray(estimator.coef_) != 0
    return {"zero_weights": float(1 - used.mean()), "components_used": float(used.sum(1).mean())}


class _Recovery:
    def __init__(self, X: NDArray[Any], Z_true: NDArray[Any]) -> None:
        self.X = X
        self.Z_true = Z_true

    def __call__(
        self, estimator: Transformer, X: object, y: object, **metadata: object
    ) -> dict[str, float]:
        Z = np.asarray(estimator.transform(self.X), dtype=float)
        return {
            "mcc": mean_corrcoef_score(self.Z_true, Z),
            "r": float(linear_recovery_score(self.Z_true, Z)),
        }
