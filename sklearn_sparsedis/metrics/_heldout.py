"""Splits of rows for metrics that fit a model, which is scored on held-out rows."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["train_test_rows"]


def train_test_rows(n_samples: int, test_size: float, random_state: Any) -> tuple[np.ndarray, ...]:
    """Draw disjoint training and test rows.

    Raises
    ------
    ValueError
        If `test_size` is not a share, or either part would have fewer than two rows.
    """
    if isinstance(test_size, bool) or not 0.0 < test_size < 1.0:
        raise ValueError(f"test_size={test_size!r} must be a share of the rows, in (0, 1).")
    n_test = round(test_size * n_samples)
    if min(n_test, n_samples - n_test) < 2:
        raise ValueError(
            f"Z_true has n_samples={n_samples}: test_size={test_size} leaves {n_samples - n_test} "
            f"rows for fitting and {n_test} for testing, and at least 2 are needed for each. "
            "Change test_size or pass more rows."
        )
    order = check_random_state(random_state).permutation(n_samples)
    return order[n_test:], order[:n_test]
