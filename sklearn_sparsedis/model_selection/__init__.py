"""Splitters by task and by class, and evaluation on episodes."""

from sklearn_sparsedis.model_selection._episodes import (
    EpisodeScorer,
    EpisodeScores,
    evaluate_episodes,
    sample_episodes,
)
from sklearn_sparsedis.model_selection._splitters import (
    ClassDisjointKFold,
    ClassDisjointShuffleSplit,
    TaskDisjointKFold,
)

__all__ = [
    "ClassDisjointKFold",
    "ClassDisjointShuffleSplit",
    "EpisodeScorer",
    "EpisodeScores",
    "TaskDisjointKFold",
    "evaluate_episodes",
    "sample_episodes",
]
