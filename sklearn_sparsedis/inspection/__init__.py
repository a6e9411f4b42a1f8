"""Plots and reports on fitted estimators."""

from sklearn_sparsedis.inspection._support_variability import (
    SupportVariability,
    support_variability,
)

__all__ = ["SupportVariability", "support_variability"]
