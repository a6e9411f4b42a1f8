"""Splitting and evaluation by task and by episode."""

__all__: list[str] = []
