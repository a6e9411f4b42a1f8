"""How well a representation recovers known factors."""

__all__: list[str] = []
