"""Plots and reports on fitted estimators."""

from sklearn_sparsedis.inspection._basis_displays import ConfidenceDisplay, HeadsDisplay
from sklearn_sparsedis.inspection._component_displays import CorrelationDisplay, MatchDisplay
from sklearn_sparsedis.inspection._features_display import FeaturesUsedDisplay
from sklearn_sparsedis.inspection._head_displays import PathDisplay, SupportDisplay
from sklearn_sparsedis.inspection._image_displays import SaliencyDisplay, TraversalDisplay
from sklearn_sparsedis.inspection._support_variability import (
    SupportVariability,
    support_variability,
)
from sklearn_sparsedis.inspection._training_displays import EpisodesDisplay, TrainingDisplay

__all__ = [
    "ConfidenceDisplay",
    "CorrelationDisplay",
    "EpisodesDisplay",
    "FeaturesUsedDisplay",
    "HeadsDisplay",
    "MatchDisplay",
    "PathDisplay",
    "SaliencyDisplay",
    "SupportDisplay",
    "SupportVariability",
    "TrainingDisplay",
    "TraversalDisplay",
    "support_variability",
]
