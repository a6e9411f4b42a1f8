"""Plots for images: pictures along a component, and the pixels that it depends on."""

import copy
from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.metrics._protocols import Transformer

__all__ = ["SaliencyDisplay", "TraversalDisplay"]

# Number of rows whose gradient is computed at once.
_CHUNK = 256
# Number of pixels between pictures.
_GAP = 1


class _HasEncoder(Protocol):
    @property
    def encoder_(self) -> torch.nn.Module: ...


class TraversalDisplay:
    """Pictures of rows along each component, with the other components nearly constant.

    For each component and each of several quantiles of it, the display shows the row whose
    component is near the quantile and whose other components are near their medians.

    Parameters
    ----------
    images : ndarray of shape (n_components, n_steps, height, width[, channels])
        Pictures, along each component.
    components : ndarray of shape (n_components,)
        Components shown.
    values : ndarray of shape (n_components, n_steps)
        Their values in the pictures.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(
        self, *, images: NDArray[Any], components: NDArray[Any], values: NDArray[Any]
    ) -> None:
        self.images = images
        self.components = components
        self.values = values

    @classmethod
    def from_estimator(
        cls,
        estimator: Transformer,
        X: ArrayLike,
        *,
        input_shape: Sequence[int] | None = None,
        components: ArrayLike | None = None,
        n_steps: int = 7,
        ax: Any = None,
    ) -> Self:
        """Draw traversals of a fitted transformer over images.

        Parameters
        ----------
        estimator : transformer
            Fitted.
        X : array-like of shape (n_samples, n_features)
            Flattened images to choose from.
        input_shape : tuple of int, optional
            (height, width[, channels]); the estimator's own by default.
        components : array-like of int, optional
            Components to show; all by default.
        n_steps : int, default=7
            Number of pictures for each component.
        ax : matplotlib Axes, optional

        Returns
        -------
        display : TraversalDisplay
        """
        check_is_fitted(estimator)
        rows = check_array(X, ensure_min_samples=2, input_name="X")
        shape = _shape(estimator, input_shape, rows.shape[1])
        Z = np.asarray(estimator.transform(rows), dtype=float)
        chosen = np.arange(Z.shape[1]) if components is None else np.asarray(components)
        deviation = Z.std(0)
        Z = (Z - np.median(Z, axis=0)) / np.where(deviation > 0, deviation, 1.0)
        picked, values = [], []
        for k in chosen:
            goals = np.quantile(Z[:, k], np.linspace(0.02, 0.98, n_steps))
            others = np.delete(Z, k, axis=1)
            distance = np.square(Z[:, [k]] - goals) * Z.shape[1]
            nearest = (distance + np.square(others).sum(1, keepdims=True)).argmin(0)
            picked.append(rows[nearest].reshape(n_steps, *shape))
            values.append(Z[nearest, k])
        return cls(images=np.stack(picked), components=chosen, values=np.stack(values)).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line of pictures a component.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : TraversalDisplay
        """
        n, n_steps = self.images.shape[:2]
        (axis,) = panels(ax, 1, (0.6 + 0.9 * n_steps, 0.7 + 0.9 * n))
        height = self.images.shape[2]
        _show(axis, self.images)
        axis.set_yticks((np.arange(n) + 0.5) * (height + _GAP), [str(k) for k in self.components])
        axis.set_xticks([])
        axis.set(ylabel="component", xlabel="least to largest value of the component")
        self.ax_, self.figure_ = axis, axis.figure
        return self


class SaliencyDisplay:
    """Saliency: change of each component by a standard deviation of each pixel, to first order.

    Parameters
    ----------
    saliency : ndarray of shape (n_components, height, width)
        Mean size of the derivative over rows, times the pixel's standard deviation; the root of the
        summed squares over channels.
    components : ndarray of shape (n_components,)
        Components shown.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (n_components,)
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, saliency: NDArray[Any], components: NDArray[Any]) -> None:
        self.saliency = saliency
        self.components = components

    @classmethod
    def from_estimator(
        cls,
        estimator: _HasEncoder,
        X: ArrayLike,
        *,
        input_shape: Sequence[int] | None = None,
        components: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the saliency of the components of a fitted estimator with an encoder.

        Parameters
        ----------
        estimator : SparseDisentangledRepresentation or GroupLassoSVMMetaClassifier
            Fitted.
        X : array-like of shape (n_samples, n_features)
            Flattened images over which derivatives are averaged.
        input_shape : tuple of int, optional
            (height, width[, channels]); the estimator's own by default.
        components : array-like of int, optional
            Components to show; all by default.
        ax : array of matplotlib Axes, optional
            One for each component.

        Returns
        -------
        display : SaliencyDisplay
        """
        check_is_fitted(estimator, "encoder_")
        rows = check_array(X, input_name="X")
        shape = _shape(estimator, input_shape, rows.shape[1])
        # The derivative in a pixel that hardly varies is arbitrary; the factor makes it small.
        sizes = _mean_derivatives(estimator.encoder_, rows) * rows.std(0)
        chosen = np.arange(len(sizes)) if components is None else np.asarray(components)
        maps = sizes[chosen].reshape(len(chosen), *shape)
        if maps.ndim == 4:
            maps = np.sqrt(np.square(maps).sum(-1))
        return cls(saliency=maps, components=chosen).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw one picture a component, each on its own scale.

        Parameters
        ----------
        ax : array of matplotlib Axes, optional

        Returns
        -------
        self : SaliencyDisplay
        """
        n = len(self.components)
        axes = panels(ax, n, (0.4 + 1.5 * n, 1.9))
        for axis, k, picture in zip(axes, self.components, self.saliency, strict=True):
            axis.imshow(picture, cmap="magma", vmin=0, interpolation="nearest")
            axis.set(title=f"component {k}", xticks=[], yticks=[])
        self.ax_, self.figure_ = axes, axes[0].figure
        return self


def _mean_derivatives(encoder: torch.nn.Module, X: NDArray[Any]) -> NDArray[np.float64]:
    """Mean sizes (m, d) of the derivatives of m components in d columns."""
    network = copy.deepcopy(encoder).eval()
    total: Any = 0.0
    for start in range(0, len(X), _CHUNK):
        part = torch.from_numpy(X[start : start + _CHUNK].astype(np.float64))
        x = part.to(next(network.buffers()).dtype).requires_grad_()
        outputs = network(x).sum(0)
        grads = [torch.autograd.grad(z, x, retain_graph=True)[0].abs().sum(0) for z in outputs]
        total = total + torch.stack(grads).double().numpy()
    return np.asarray(total / len(X))


def _shape(estimator: object, given: Sequence[int] | None, n_features: int) -> tuple[int, ...]:
    shape = given if given is not None else getattr(estimator, "input_shape", None)
    if shape is None:
        side = round(n_features**0.5)
        shape = (side, side)
    if len(shape) not in (2, 3) or np.prod(shape) != n_features:
        raise ValueError(
            f"input_shape must be (height, width[, channels]) with a product of {n_features}, the "
            f"number of columns of X; got {tuple(shape)}."
        )
    return tuple(shape)


def _show(axis: Any, images: NDArray[Any]) -> None:
    """Draw a table (rows, columns, height, width[, channels]) of pictures with gaps."""
    low, high = images.min(), images.max()
    scaled = (images - low) / (high - low or 1)
    gaps = [(0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)][: images.ndim]
    padded = np.pad(scaled, gaps, constant_values=1)
    lines = [np.concatenate(list(row), axis=1) for row in padded]
    axis.imshow(np.concatenate(lines)[:-_GAP, :-_GAP], cmap="gray", vmin=0, vmax=1)
