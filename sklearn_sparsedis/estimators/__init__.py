"""The public estimators: check, convert, train or solve, and store."""

__all__: list[str] = []
