"""The outer loop: objectives, skorch net, callbacks, schedule."""

__all__: list[str] = []
