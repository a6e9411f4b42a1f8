"""Injective maps from latents to observations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklearn_sparsedis.datasets._checks import check_choice

__all__ = ["MIXINGS", "draw_mixing"]

_SLOPE = 0.2  # slope of the leaky rectifier, as in most work on nonlinear ICA
_DEPTH = 2  # number of hidden layers


@dataclass(frozen=True)
class LinearMixing:
    """The map Z -> Z A^T with A of shape (n_features, n_latents)."""

    matrix: np.ndarray

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        return Z @ self.matrix.T


@dataclass(frozen=True)
class MLPMixing:
    """An injective leaky-ReLU network.

    Hidden layers are as wide as the latents and have orthogonal matrices, the last matrix has
    orthonormal columns, and the leaky rectifier is increasing: the latents can be recovered
    exactly, but not by a linear map.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        for weight, bias in zip(self.weights[:-1], self.biases, strict=True):
            Z = Z @ weight.T + bias
            Z = np.maximum(Z, _SLOPE * Z)
        return Z @ self.weights[-1].T


def _orthonormal(n_rows: int, n_columns: int, rng: np.random.RandomState) -> np.ndarray:
    U, _, Vt = np.linalg.svd(rng.standard_normal((n_rows, n_columns)), full_matrices=False)
    return U @ Vt


def _draw_linear(n_latents: int, n_features: int, rng: np.random.RandomState) -> LinearMixing:
    U, _, Vt = np.linalg.svd(rng.standard_normal((n_features, n_latents)), full_matrices=False)
    # The condition number is 3 for every shape: the map is no rotation, and far from singular.
    singular = np.linspace(1.5, 0.5, n_latents) if n_latents > 1 else np.ones(1)
    matrix = (U * singular) @ Vt
    return LinearMixing(matrix * np.sqrt(n_features / n_latents))


def _draw_mlp(n_latents: int, n_features: int, rng: np.random.RandomState) -> MLPMixing:
    hidden = tuple(_orthonormal(n_latents, n_latents, rng) for _ in range(_DEPTH))
    last = _orthonormal(n_features, n_latents, rng) * np.sqrt(n_features / n_latents)
    biases = tuple(0.5 * rng.standard_normal(n_latents) for _ in range(_DEPTH))
    return MLPMixing((*hidden, last), biases)


_Draw = Callable[[int, int, np.random.RandomState], LinearMixing | MLPMixing]
MIXINGS: dict[str, _Draw] = {"linear": _draw_linear, "mlp": _draw_mlp}


def draw_mixing(
    name: str, n_latents: int, n_features: int, rng: np.random.RandomState
) -> LinearMixing | MLPMixing:
    """Draw an injective map of latents (n, n_latents) to observations (n, n_features)."""
    check_choice("mixing", name, MIXINGS, also=" or pass a callable")
    if n_features < n_latents:
        raise ValueError(
            f"n_features={n_features} is less than n_latents={n_latents}: mixing={name!r} would "
            f"lose latents. Raise n_features or pass a callable as mixing."
        )
    return MIXINGS[name](n_latents, n_features, rng)
