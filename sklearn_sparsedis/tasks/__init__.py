"""Batches of tasks, and samplers of episodes."""

from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._episodes import (
    EpisodeBatch,
    EpisodeBatches,
    Episodes,
    EpisodeSampler,
    feasible_sizes,
    quarter_turns,
)
from sklearn_sparsedis.tasks._file_rows import FileRows
from sklearn_sparsedis.tasks._observed import ObservedTargets, Pack, similar_sizes
from sklearn_sparsedis.tasks._tables import TaskBatch, TaskTable

__all__ = [
    "EpisodeBatch",
    "EpisodeBatches",
    "EpisodeSampler",
    "Episodes",
    "FileRows",
    "ObservedTargets",
    "Pack",
    "TaskBatch",
    "TaskBatches",
    "TaskTable",
    "feasible_sizes",
    "quarter_turns",
    "similar_sizes",
]
