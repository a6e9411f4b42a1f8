"""Plots of trainings and of few-shot scores."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.model_selection import EpisodeScores

__all__ = ["EpisodesDisplay", "TrainingDisplay"]

# Share of the steps over which the loss of single batches is averaged.
_SMOOTHED = 0.02


class _HasTraining(Protocol):
    @property
    def loss_curve_(self) -> NDArray[Any]: ...
    @property
    def validation_loss_curve_(self) -> NDArray[Any]: ...
    @property
    def n_iter_(self) -> int: ...


class TrainingDisplay:
    """Outer loss of each step, its running mean, and the loss on held-out data.

    Parameters
    ----------
    losses : ndarray of shape (n_steps,)
        Loss of each step.
    held_out_losses : ndarray of shape (n_evaluations,)
        Losses on held-out rows or classes, the first before the first step; may be empty.
    best_step : int or None
        Step whose encoder was kept.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(
        self,
        *,
        losses: NDArray[Any],
        held_out_losses: NDArray[Any],
        best_step: int | None = None,
    ) -> None:
        self.losses = losses
        self.held_out_losses = held_out_losses
        self.best_step = best_step

    @classmethod
    def from_estimator(cls, estimator: _HasTraining, *, ax: Any = None) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : SparseDisentangledRepresentation or GroupLassoSVMMetaClassifier
            Fitted.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        display : TrainingDisplay
        """
        check_is_fitted(estimator)
        return cls.from_arrays(
            estimator.loss_curve_,
            estimator.validation_loss_curve_,
            best_step=estimator.n_iter_,
            ax=ax,
        )

    @classmethod
    def from_arrays(
        cls,
        losses: ArrayLike,
        held_out_losses: ArrayLike = (),
        *,
        best_step: int | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw losses given as arrays.

        Parameters
        ----------
        losses : array-like of shape (n_steps,)
        held_out_losses : array-like of shape (n_evaluations,), optional
        best_step : int, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        display : TrainingDisplay
        """
        steps, held_out = (np.asarray(x, dtype=float) for x in (losses, held_out_losses))
        if steps.ndim != 1 or not len(steps):
            raise ValueError(
                f"losses must have shape (n_steps,) with a step or more, got {steps.shape}: was "
                "the estimator fitted with max_iter=0?"
            )
        return cls(losses=steps, held_out_losses=held_out, best_step=best_step).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : TrainingDisplay
        """
        (axis,) = panels(ax, 1, (5.4, 3.6))
        n_steps = len(self.losses)
        width = max(1, round(_SMOOTHED * n_steps))
        mean = np.convolve(self.losses, np.full(width, 1 / width), "valid")
        axis.plot(np.arange(1, n_steps + 1), self.losses, color="tab:blue", alpha=0.25, lw=0.8)
        axis.plot(np.arange(width, n_steps + 1), mean, color="tab:blue", label="training")
        if len(self.held_out_losses) > 1:
            place = np.linspace(0, n_steps, len(self.held_out_losses))
            axis.plot(place, self.held_out_losses, "o-", ms=3, color="tab:orange", label="held out")
        if self.best_step is not None:
            axis.axvline(self.best_step, color="0.4", ls="--", lw=1, label="kept")
        axis.set(xlabel="step", ylabel="loss", title="training")
        if self.losses.min() > 0:
            axis.set_yscale("log")
        axis.legend()
        self.ax_, self.figure_ = axis, axis.figure
        return self


class EpisodesDisplay:
    """Mean accuracy on episodes of several models, with 95 % intervals.

    Parameters
    ----------
    scores : mapping of str to EpisodeScores
        Scores of each model, as from `evaluate_episodes`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, scores: Mapping[str, EpisodeScores]) -> None:
        self.scores = scores

    @classmethod
    def from_scores(cls, scores: Mapping[str, EpisodeScores], *, ax: Any = None) -> Self:
        """Draw scores.

        Parameters
        ----------
        scores : mapping of str to EpisodeScores
            For instance what `evaluate_episodes` returns for a dict of models.
        ax : matplotlib Axes, optional

        Returns
        -------
        display : EpisodesDisplay
        """
        if not isinstance(scores, Mapping) or not len(scores):
            raise ValueError(
                f"scores must map names to EpisodeScores, got {type(scores).__name__}: use "
                "{name: scores}."
            )
        return cls(scores=scores).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a point and its interval for each model, and the features used where known.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : EpisodesDisplay
        """
        (axis,) = panels(ax, 1, (5.6, 1.2 + 0.4 * len(self.scores)))
        place = np.arange(len(self.scores))[::-1]
        found = list(self.scores.values())
        mean = np.array([score.mean for score in found])
        half = np.array([score.ci95 for score in found])
        axis.errorbar(mean, place, xerr=half, fmt="o", capsize=4, color="tab:blue")
        names = []
        for name, score in self.scores.items():
            used = score.features_used
            names.append(name if used is None else f"{name}\n{used.mean():.0%} of the features")
        axis.set_yticks(place, names)
        axis.set_ylim(-0.6, len(found) - 0.4)
        n = len(found[0].accuracies)
        axis.set(xlabel=f"accuracy on {n} episodes, mean and 95 % interval")
        axis.grid(axis="x", alpha=0.3)
        self.ax_, self.figure_ = axis, axis.figure
        return self
