"""From heads of many tasks to the basis of features in which they are sparsest."""

__all__: list[str] = []
