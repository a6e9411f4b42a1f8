"""Data with known factors, supports and tasks."""

__all__: list[str] = []
