"""Plots and reports on fitted estimators."""

from sklearn_sparsedis.inspection._displays import ConfidenceDisplay, HeadsDisplay, MatchDisplay
from sklearn_sparsedis.inspection._support_variability import (
    SupportVariability,
    support_variability,
)

__all__ = [
    "ConfidenceDisplay",
    "HeadsDisplay",
    "MatchDisplay",
    "SupportVariability",
    "support_variability",
]
