"""What callers give: parameters, rows of X, targets of tasks in any layout, and names."""

__all__: list[str] = []
