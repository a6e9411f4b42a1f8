"""What callers give: rows of X, targets of tasks in any layout, and names."""

__all__: list[str] = []
