"""Pure tensor mathematics: proximal operators, losses, duality gaps."""

__all__: list[str] = []
