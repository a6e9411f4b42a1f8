"""Plots of heads, and of the evidence and the stability of each component."""

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.metrics._protocols import HasHeads

__all__ = ["ConfidenceDisplay", "HeadsDisplay"]

_KNOWN, _DOUBTFUL = "tab:blue", "tab:orange"


class _Confidence(Protocol):
    """Attributes of `confidence_` of a fitted estimator that are read here."""

    dense_coef: NDArray[Any]
    scores: NDArray[Any]
    chance: NDArray[Any]
    stability: NDArray[Any]
    identified: NDArray[Any]


class HeadsDisplay:
    """Heads before and after the rotation to their sparsest basis, as heat maps.

    Rows are tasks, ordered by the components that they use; each head is divided by its largest
    weight.

    Parameters
    ----------
    before : ndarray of shape (n_tasks, n_features)
        Heads in the basis in which they were found.
    after : ndarray of shape (n_tasks, n_components)
        Heads in the sparsest basis.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (2,)
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, before: NDArray[Any], after: NDArray[Any]) -> None:
        self.before = before
        self.after = after

    @classmethod
    def from_estimator(cls, estimator: HasHeads, *, ax: Any = None) -> Self:
        """Draw the heads of a fitted estimator.

        Parameters
        ----------
        estimator : SparseRotation or SparseDisentangledRepresentation(penalty="l0")
            Fitted. Heads of a `SparseRotation` before the rotation are those on its features.
        ax : pair of matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        display : HeadsDisplay
        """
        check_is_fitted(estimator)
        if hasattr(estimator, "rotation_"):
            before = estimator.coef_ @ estimator.rotation_
        else:
            before = _confidence(estimator).dense_coef
        return cls.from_arrays(before, estimator.coef_, ax=ax)

    @classmethod
    def from_arrays(cls, before: ArrayLike, after: ArrayLike, *, ax: Any = None) -> Self:
        """Draw heads given as arrays.

        Parameters
        ----------
        before : array-like of shape (n_tasks, n_features)
        after : array-like of shape (n_tasks, n_components)
        ax : pair of matplotlib Axes, optional

        Returns
        -------
        display : HeadsDisplay
        """
        first = check_array(before, input_name="before")
        second = check_array(after, input_name="after")
        if len(first) != len(second):
            raise ValueError(
                f"before and after must have the same tasks as rows, got {len(first)} and "
                f"{len(second)} rows."
            )
        return cls(before=first, after=second).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the two heat maps.

        Parameters
        ----------
        ax : pair of matplotlib Axes, optional

        Returns
        -------
        self : HeadsDisplay
        """
        axes = panels(ax, 2, (6.4, 4.8))
        order = np.lexsort((self.after != 0).T[::-1])[::-1]
        titles = ("before the rotation", "after the rotation")
        for axis, heads, title in zip(axes, (self.before, self.after), titles, strict=True):
            largest = np.abs(heads).max(axis=1, keepdims=True, initial=0.0)
            shown = (heads / np.where(largest > 0, largest, 1.0))[order]
            image = axis.imshow(
                shown, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto", interpolation="nearest"
            )
            axis.set(title=title, xlabel="component", ylabel="task (sorted)")
            axis.set_xticks(np.arange(heads.shape[1]))
        axes[1].figure.colorbar(image, ax=list(axes), label="weight / largest of the head")
        self.ax_, self.figure_ = axes, axes[0].figure
        return self


class ConfidenceDisplay:
    """Evidence of each component beside that of chance, and its stability.

    Parameters
    ----------
    scores, chance : ndarray of shape (n_components,)
        Evidence of each component, and that which heads without zeros would have.
    stability : ndarray of shape (n_components,)
        Share of bootstrap samples of the tasks that keep the component.
    identified : ndarray of bool, shape (n_components,)
        Whether the data determine the component.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (2,)
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(
        self,
        *,
        scores: NDArray[Any],
        chance: NDArray[Any],
        stability: NDArray[Any],
        identified: NDArray[Any],
    ) -> None:
        self.scores = scores
        self.chance = chance
        self.stability = stability
        self.identified = identified

    @classmethod
    def from_estimator(cls, estimator: object, *, ax: Any = None) -> Self:
        """Draw the confidence in the components of a fitted estimator.

        Parameters
        ----------
        estimator : SparseRotation or SparseDisentangledRepresentation(penalty="l0")
            Fitted.
        ax : pair of matplotlib Axes, optional

        Returns
        -------
        display : ConfidenceDisplay
        """
        check_is_fitted(estimator)
        if hasattr(estimator, "rotation_"):
            names = ("scores_", "chance_", "stability_", "identified_")
            return cls.from_arrays(*(getattr(estimator, name) for name in names), ax=ax)
        found = _confidence(estimator)
        return cls.from_arrays(found.scores, found.chance, found.stability, found.identified, ax=ax)

    @classmethod
    def from_arrays(
        cls,
        scores: ArrayLike,
        chance: ArrayLike,
        stability: ArrayLike,
        identified: ArrayLike,
        *,
        ax: Any = None,
    ) -> Self:
        """Draw confidence given as arrays.

        Parameters
        ----------
        scores, chance, stability : array-like of shape (n_components,)
        identified : array-like of bool, shape (n_components,)
        ax : pair of matplotlib Axes, optional

        Returns
        -------
        display : ConfidenceDisplay
        """
        display = cls(
            scores=np.asarray(scores, dtype=float),
            chance=np.asarray(chance, dtype=float),
            stability=np.asarray(stability, dtype=float),
            identified=np.asarray(identified, dtype=bool),
        )
        lengths = {name: value.shape for name, value in vars(display).items()}
        if len(set(lengths.values())) > 1 or display.scores.ndim != 1:
            raise ValueError(f"All arguments must have shape (n_components,), got {lengths}.")
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw one panel for the evidence and one for the stability.

        Parameters
        ----------
        ax : pair of matplotlib Axes, optional

        Returns
        -------
        self : ConfidenceDisplay
        """
        axes = panels(ax, 2, (7.2, 3.2))
        place = np.arange(len(self.scores))
        for known, colour, label in ((True, _KNOWN, "identified"), (False, _DOUBTFUL, "doubtful")):
            of = self.identified == known
            if of.any():
                axes[0].bar(place[of], self.scores[of], color=colour, label=label)
                axes[1].bar(place[of], self.stability[of], color=colour)
        axes[0].plot(place, self.chance, "k_", markersize=16, label="chance")
        axes[0].set(title="evidence", xlabel="component", ylabel="log-likelihood gained (nats)")
        axes[0].legend()
        axes[1].set(title="stability", xlabel="component", ylabel="share of bootstrap samples")
        axes[1].set_ylim(0, 1.02)
        for axis in axes:
            axis.set_xticks(place)
        self.ax_, self.figure_ = axes, axes[0].figure
        return self


def _confidence(estimator: object) -> _Confidence:
    found: _Confidence | None = getattr(estimator, "confidence_", None)
    if found is None:
        raise ValueError(
            f"{type(estimator).__name__} has no basis to show: fit a SparseRotation, or a "
            'SparseDisentangledRepresentation with penalty="l0".'
        )
    return found
