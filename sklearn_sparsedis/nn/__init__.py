"""Encoders, and heads that solve an inner problem."""

__all__: list[str] = []
