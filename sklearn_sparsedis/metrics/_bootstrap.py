"""Confidence intervals for any score of a representation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_consistent_length, check_random_state

from sklearn_sparsedis.metrics._factors import check_count

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    score: Callable[..., float],
    Z_true: Any,
    Z_pred: Any,
    *,
    confidence: float = 0.95,
    n_resamples: int = 200,
    random_state: Any = 0,
) -> Bunch:
    r"""Percentile bootstrap over rows of a score of two arrays.

    The interval tells how far the score would move with other rows of the same kind. It does not
    contain the spread between trainings of the encoder, which is usually larger: repeat those.

    Parameters
    ----------
    score : callable
        ``score(Z_true, Z_pred) -> float``, such as `mean_corrcoef_score`; bind options by
        `functools.partial`.
    Z_true, Z_pred : array-like of shape (n_samples, ...)
        Passed to `score` with the same rows drawn from both.
    confidence : float in (0, 1), default=0.95
    n_resamples : int >= 2, default=200
    random_state : int, RandomState instance or None, default=0

    Returns
    -------
    interval : Bunch
        score : float
            Score on all rows.
        low, high : float
            Ends of the interval.
        standard_error : float
        samples : ndarray of shape (n_resamples,)

    Raises
    ------
    ValueError
        If lengths differ or an option is outside of its domain; `score` may raise others.

    Notes
    -----
    A score on held-out rows sees copies of one row in both parts, and a score of information sees
    fewer distinct rows: for these the interval may not contain the score itself.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis.metrics import bootstrap_interval, mean_corrcoef_score
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.normal(size=(200, 2))
    >>> interval = bootstrap_interval(mean_corrcoef_score, Z, Z + rng.normal(size=(200, 2)))
    >>> bool(interval.low < interval.score < interval.high)
    True
    """
    check_count("n_resamples", n_resamples)
    if isinstance(confidence, bool) or not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence={confidence!r} must be in (0, 1).")
    true, pred = np.asarray(Z_true), np.asarray(Z_pred)
    check_consistent_length(true, pred)
    rng = check_random_state(random_state)
    draws = (rng.randint(len(true), size=len(true)) for _ in range(n_resamples))
    samples = np.array([score(true[rows], pred[rows]) for rows in draws])
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Bunch(
        score=float(score(true, pred)),
        low=float(low),
        high=float(high),
        standard_error=float(samples.std(ddof=1)),
        samples=samples,
    )
