"""The skorch net and its callbacks."""

__all__: list[str] = []
