"""Files of plain values and tensors, which execute no code when they are read."""

__all__: list[str] = []
