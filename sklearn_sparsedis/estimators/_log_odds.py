"""Log-odds of label 1 that classifiers of scikit-learn's kind predict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["ConstantOdds", "calibrate", "gives_log_odds", "log_odds"]

# probabilities nearer to zero or one than this, as of forests whose trees all agree, are moved here
CLIPPED = 1e-3
# steps of Newton's method for a slope and an intercept, none longer than one, and the last change
STEPS = 100
SETTLED = 1e-9


@dataclass(frozen=True)
class ConstantOdds:
    """Takes the place of a classifier for labels of one kind.

    Attributes
    ----------
    value : float
        Log-odds for all rows.
    """

    value: float

    @classmethod
    def of(cls, y: NDArray[np.int64]) -> "ConstantOdds":
        """As if there were half a label of each kind more."""
        return cls(float(logit((y.sum() + 0.5) / (len(y) + 1))))

    def decision_function(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """The same for all rows, shape (n,)."""
        return np.full(len(X), self.value)


def gives_log_odds(classifier: Any) -> bool:
    """Return True for a classifier that tells rows of one class apart."""
    return hasattr(classifier, "decision_function") or hasattr(classifier, "predict_proba")


def log_odds(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds of label 1, or a score that grows with them, shape (n,) or (n, n_tasks).

    The decision function of a logistic regression or of boosted trees has the log-odds themselves.
    """
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(X), dtype=np.float64)
    found = classifier.predict_proba(X)
    if isinstance(found, list):  # of several tasks
        p = np.stack([np.asarray(task)[:, 1] for task in found], axis=1)
    else:  # of a task, or of label 1 of several
        p = np.asarray(found)
        p = p[:, 1] if len(np.shape(classifier.classes_[0])) == 0 and p.shape[1] == 2 else p
    return np.asarray(logit(np.clip(p.astype(np.float64), CLIPPED, 1 - CLIPPED)))


def calibrate(
    score: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Slope and intercept with which scores are log-odds of labels y, the slope not negative.

    Logistic regression of labels that are moved towards one another, as if each kind had been seen
    once more [1]_, so that it has a solution for scores that separate them.

    References
    ----------
    .. [1] Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    ones, zeros = weight @ y, weight @ (1 - y)
    target = np.where(y > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    share = weight / weight.sum()
    mean = share @ score
    spread = np.sqrt(share @ (score - mean) ** 2)
    constant = float(logit(share @ target)), 0.0
    design = np.stack([np.ones_like(score), (score - mean) / (spread if spread > 0 else 1.0)])
    found = np.array(constant)
    for _ in range(STEPS if spread > 0 else 0):
        p = expit(found @ design)
        curvature = (design * (share * p * (1 - p))) @ design.T
        step = np.linalg.solve(curvature, design @ (share * (target - p)))
        found = found + step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < SETTLED:
            break
    if found[1] <= 0:
        return 0.0, constant[0]
    slope = found[1] / spread
    return float(slope), float(found[0] - slope * mean)
