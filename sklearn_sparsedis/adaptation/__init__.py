"""Heads of new tasks from few rows, with a prior that old tasks give."""

__all__: list[str] = []
