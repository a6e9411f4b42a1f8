"""Batches of tasks, and samplers of episodes."""

from sklearn_sparsedis.tasks._batches import TaskBatch, TaskBatches, TaskTable

__all__ = [
    "TaskBatch",
    "TaskBatches",
    "TaskTable",
]
