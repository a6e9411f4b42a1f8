"""Plots of components: their correlations, and their matches with true latents."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.metrics import match_latents
from sklearn_sparsedis.metrics._protocols import Transformer

__all__ = ["CorrelationDisplay", "MatchDisplay"]


class CorrelationDisplay:
    """Correlations of the components with each other.

    Parameters
    ----------
    correlations : ndarray of shape (n_components, n_components)
        Pearson correlations; zero for a constant component.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, correlations: NDArray[Any]) -> None:
        self.correlations = correlations

    @classmethod
    def from_estimator(cls, estimator: Transformer, X: ArrayLike, *, ax: Any = None) -> Self:
        """Draw the correlations of the components of rows.

        Parameters
        ----------
        estimator : transformer
            Fitted.
        X : array-like of shape (n_samples, n_features)
        ax : matplotlib Axes, optional

        Returns
        -------
        display : CorrelationDisplay
        """
        check_is_fitted(estimator)
        return cls.from_arrays(estimator.transform(X), ax=ax)

    @classmethod
    def from_arrays(cls, Z: ArrayLike, *, ax: Any = None) -> Self:
        """Draw the correlations of columns.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
        ax : matplotlib Axes, optional

        Returns
        -------
        display : CorrelationDisplay
        """
        columns = check_array(Z, ensure_min_samples=2, input_name="Z")
        centred = columns - columns.mean(0)
        norm = np.linalg.norm(centred, axis=0)
        unit = centred / np.where(norm > 0, norm, 1.0)
        return cls(correlations=unit.T @ unit).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : CorrelationDisplay
        """
        (axis,) = panels(ax, 1, (4.4, 3.8))
        image = axis.imshow(self.correlations, vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set(title="components", xlabel="component", ylabel="component")
        axis.figure.colorbar(image, ax=axis, label="correlation")
        self.ax_, self.figure_ = axis, axis.figure
        return self


class MatchDisplay:
    """Absolute correlations of true latents with components, in the order of the best match.

    Parameters
    ----------
    correlations : ndarray of shape (n_latents, n_components)
        Absolute correlations, columns in matched order.
    order : ndarray of shape (n_components,)
        Component of each column.
    score : float
        Mean of the matched correlations.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, correlations: NDArray[Any], order: NDArray[Any], score: float) -> None:
        self.correlations = correlations
        self.order = order
        self.score = score

    @classmethod
    def from_estimator(
        cls, estimator: Transformer, X: ArrayLike, Z_true: ArrayLike, *, ax: Any = None
    ) -> Self:
        """Draw the match between the components of a fitted transformer and known latents.

        Parameters
        ----------
        estimator : transformer
            Fitted.
        X : array-like of shape (n_samples, n_features)
        Z_true : array-like of shape (n_samples, n_latents)
        ax : matplotlib Axes, optional

        Returns
        -------
        display : MatchDisplay
        """
        check_is_fitted(estimator)
        return cls.from_arrays(Z_true, estimator.transform(X), ax=ax)

    @classmethod
    def from_arrays(cls, Z_true: ArrayLike, Z_pred: ArrayLike, *, ax: Any = None) -> Self:
        """Draw the match between components and latents.

        Parameters
        ----------
        Z_true : array-like of shape (n_samples, n_latents)
        Z_pred : array-like of shape (n_samples, n_components)
        ax : matplotlib Axes, optional

        Returns
        -------
        display : MatchDisplay
        """
        match = match_latents(Z_true, Z_pred)
        size = np.abs(match.correlation_matrix)
        matched = match.permutation[match.permutation >= 0]
        others = np.setdiff1d(np.arange(size.shape[1]), matched)
        order = np.concatenate([matched, others])
        score = float(size[np.flatnonzero(match.permutation >= 0), matched].sum() / len(size))
        return cls(correlations=size[:, order], order=order, score=score).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : MatchDisplay
        """
        (axis,) = panels(ax, 1, (4.4, 3.8))
        image = axis.imshow(self.correlations, vmin=0, vmax=1, cmap="Blues")
        axis.set_xticks(np.arange(len(self.order)), [str(k) for k in self.order])
        axis.set_yticks(np.arange(len(self.correlations)))
        axis.set(title=f"MCC {self.score:.3f}", xlabel="component (matched)", ylabel="true latent")
        axis.figure.colorbar(image, ax=axis, label="|correlation|")
        self.ax_, self.figure_ = axis, axis.figure
        return self
