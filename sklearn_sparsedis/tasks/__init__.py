"""Targets, tables and batches of tasks, and samplers of episodes."""

__all__: list[str] = []
