"""Plots and reports on fitted estimators."""

__all__: list[str] = []
