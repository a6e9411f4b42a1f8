"""Protocols of the estimators that scikit-learn or a user passes."""

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

__all__ = ["HasHeads", "Predictor", "Transformer"]


class HasHeads(Protocol):
    """Fitted estimator with a head for each task."""

    @property
    def coef_(self) -> NDArray[Any]:
        """Weights of components, shape (n_tasks, n_components)."""


class Predictor(Protocol):
    """Fitted estimator with predictions."""

    @property
    def predict(self) -> Callable[..., ArrayLike]:
        """Function from rows, possibly with metadata, to predictions."""


class Transformer(Protocol):
    """Fitted estimator with components."""

    @property
    def transform(self) -> Callable[..., ArrayLike]:
        """Function from rows to components."""
