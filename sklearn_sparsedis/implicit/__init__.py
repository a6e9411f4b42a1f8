"""Inner problems as differentiable functions: exact derivatives of their solutions."""

__all__: list[str] = []
