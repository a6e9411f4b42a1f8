"""Encoders, and heads that solve an inner problem."""

from sklearn_sparsedis.nn._encoders import (
    ENCODERS,
    ConvNetwork,
    Encoder,
    LinearNetwork,
    MLPNetwork,
    column_moments,
    linear_path,
)
from sklearn_sparsedis.nn._heads import GAMMA, HeadProblem, Heads, HeadTargets

__all__ = [
    "ConvNetwork",
    "ENCODERS",
    "Encoder",
    "GAMMA",
    "HeadProblem",
    "HeadTargets",
    "Heads",
    "LinearNetwork",
    "MLPNetwork",
    "column_moments",
    "linear_path",
]
