"""Batches of tasks, and samplers of episodes."""

from sklearn_sparsedis.tasks._batches import TaskBatch, TaskBatches, TaskTable
from sklearn_sparsedis.tasks._episodes import (
    EpisodeBatch,
    EpisodeBatches,
    Episodes,
    EpisodeSampler,
    quarter_turns,
)

__all__ = [
    "EpisodeBatch",
    "EpisodeBatches",
    "EpisodeSampler",
    "Episodes",
    "TaskBatch",
    "TaskBatches",
    "TaskTable",
    "quarter_turns",
]
