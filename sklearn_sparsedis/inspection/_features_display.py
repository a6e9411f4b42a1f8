"""Plot of the accuracy on few-shot episodes against the share of the features that heads use."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis._warnings import muted
from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.model_selection import EpisodeScores

__all__ = ["FeaturesUsedDisplay"]

STRENGTHS = (0.0, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5)


class _SparseClassifier(Protocol):
    def set_params(self, **params: Any) -> Any: ...
    def score_episodes(self, X: ArrayLike, y: ArrayLike, **options: Any) -> EpisodeScores: ...


class FeaturesUsedDisplay:
    """Accuracy on episodes against the share of the features that a head uses, a curve a model.

    Parameters
    ----------
    scores : mapping of str to sequence of EpisodeScores
        Of each model, the scores with each strength of its penalty.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, scores: Mapping[str, Sequence[EpisodeScores]]) -> None:
        self.scores = scores

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, _SparseClassifier],
        X: ArrayLike,
        y: ArrayLike,
        *,
        group_reg: Sequence[float] = STRENGTHS,
        ax: Any = None,
        **episodes: Any,
    ) -> Self:
        """Score fitted classifiers with heads of several strengths, and draw their curves.

        A strength can be exchanged without training, so that a curve takes one training.

        Parameters
        ----------
        estimators : mapping of str to GroupLassoSVMMetaClassifier
            Fitted, with head "group_lasso_svm" or "sparse_prototype"; they are left as they are.
        X, y : array-like
            Rows and labels, usually of new classes.
        group_reg : sequence of float
            Strengths of the penalty.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        **episodes
            As in `model_selection.sample_episodes`; give `random_state`, so that all strengths meet
            the same episodes.

        Returns
        -------
        display : FeaturesUsedDisplay
        """
        found: dict[str, list[EpisodeScores]] = {}
        for name, estimator in estimators.items():
            check_is_fitted(estimator)
            found[name] = []
            for strength in group_reg:
                tried = copy.copy(estimator).set_params(group_reg=strength)
                with muted():  # the curve shows where heads use no feature
                    found[name].append(tried.score_episodes(X, y, **episodes))
        return cls.from_scores(found, ax=ax)

    @classmethod
    def from_scores(cls, scores: Mapping[str, Sequence[EpisodeScores]], *, ax: Any = None) -> Self:
        """Draw scores.

        Parameters
        ----------
        scores : mapping of str to sequence of EpisodeScores
            Of each model, the scores with each strength of its penalty.
        ax : matplotlib Axes, optional

        Returns
        -------
        display : FeaturesUsedDisplay
        """
        if not isinstance(scores, Mapping) or not all(len(curve) for curve in scores.values()):
            raise ValueError(
                "scores must map names to sequences of EpisodeScores, each with one or more: use "
                "{name: [scores, ...]}."
            )
        for name, curve in scores.items():
            if any(score.features_used is None for score in curve):
                raise ValueError(
                    f"the scores of {name!r} do not know which features were used: only those of "
                    "a GroupLassoSVMMetaClassifier do."
                )
        return cls(scores=scores).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a curve for each model, with 95 % intervals over the episodes.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : FeaturesUsedDisplay
        """
        (axis,) = panels(ax, 1, (5.4, 3.8))
        for name, curve in self.scores.items():
            axis.errorbar(
                [100 * score.features_used.mean() for score in curve],  # type: ignore[union-attr]
                [100 * score.mean for score in curve],
                [100 * score.ci95 for score in curve],
                fmt="o-",
                capsize=3,
                label=name,
            )
        axis.autoscale(axis="x")  # to curves that were drawn here before, too
        axis.set(xlabel="features used by a head, %", ylabel="accuracy, %", xlim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend()
        self.ax_, self.figure_ = axis, axis.figure
        return self
