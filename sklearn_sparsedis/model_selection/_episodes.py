"""Evaluation of classifiers on few-shot episodes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils import Bunch, check_random_state, check_X_y
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.tasks._episodes import Episodes, EpisodeSampler

__all__ = ["EpisodeScorer", "EpisodeScores", "evaluate_episodes", "sample_episodes"]

# quantile of the normal distribution for intervals of 95 %
Z95 = 1.96


@dataclass(frozen=True)
class EpisodeScores:
    """Accuracies of one classifier on episodes.

    Attributes
    ----------
    accuracies : ndarray of shape (n_episodes,)
        Share of the query rows of each episode that was classified correctly.
    features_used : ndarray of shape (n_episodes,) or None
        Share of the features that each episode's head used; None if that is not known.
    """

    accuracies: NDArray[np.float64]
    features_used: NDArray[np.float64] | None = None

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(self.accuracies.mean())

    @property
    def ci95(self) -> float:
        """Half width of the 95 % interval of the mean: 1.96 standard errors over episodes."""
        return _half_width(self.accuracies)

    def difference(self, other: "EpisodeScores") -> Bunch:
        """Paired difference of mean accuracy from another classifier's on the same episodes.

        Parameters
        ----------
        other : EpisodeScores
            Scores to subtract.

        Returns
        -------
        Bunch
            `mean` and `ci95`, the half width of its 95 % interval.
        """
        if len(other.accuracies) != len(self.accuracies):
            raise ValueError(
                f"other must have scores on the same {len(self.accuracies)} episodes, got "
                f"{len(other.accuracies)}. Evaluate both classifiers in one call of "
                "evaluate_episodes."
            )
        paired = self.accuracies - other.accuracies
        return Bunch(mean=float(paired.mean()), ci95=_half_width(paired))


def _half_width(values: NDArray[np.float64]) -> float:
    if len(values) < 2:
        return float("nan")
    return float(Z95 * values.std(ddof=1) / np.sqrt(len(values)))


def sample_episodes(
    y: ArrayLike,
    *,
    n_way: int = 5,
    n_shot: int = 1,
    n_query: int = 15,
    n_episodes: int = 600,
    random_state: int | np.random.RandomState | None = None,
) -> Episodes:
    """Draw few-shot episodes from labelled rows.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    n_way : int, default=5
        Classes an episode.
    n_shot, n_query : int, default=1 and 15
        Rows of each class to fit on, and to predict.
    n_episodes : int, default=600
        Number of episodes.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    Episodes
        Labels of the classes and numbers of the rows.

    Raises
    ------
    ValueError
        If there are fewer than `n_way` classes, or a class has fewer than ``n_shot + n_query``
        rows.
    """
    if n_episodes < 1:
        raise ValueError(f"n_episodes must be at least 1, got {n_episodes!r}.")
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    sampler = EpisodeSampler(np.asarray(y), n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed)
    return sampler.sample(n_episodes)


class Classifier(Protocol):
    """A classifier of scikit-learn."""

    @property
    def fit(self) -> Callable[..., object]:
        """Method that fits rows and labels and returns the classifier."""

    @property
    def predict(self) -> Callable[..., ArrayLike]:
        """Method that maps rows to labels."""


@runtime_checkable
class SampledClassifier(Protocol):
    """A fitted classifier that solves the heads of many episodes at once."""

    def predict_sampled(
        self, X: NDArray[Any], episodes: Episodes
    ) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Predict the labels of the query rows; also return the shares of the features used."""


AnyClassifier = Classifier | SampledClassifier


def evaluate_episodes(
    estimator: AnyClassifier | Mapping[str, AnyClassifier],
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_way: int = 5,
    n_shot: int = 1,
    n_query: int = 15,
    n_episodes: int = 600,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Evaluate classifiers by their accuracies on the same few-shot episodes.

    A classifier of scikit-learn is cloned and fitted on the support rows of each episode. A fitted
    `GroupLassoSVMMetaClassifier` keeps its encoder and solves the heads of many episodes at once;
    `y` should then hold classes that it was not trained on.

    Parameters
    ----------
    estimator : classifier, or dict of str to classifier
        What to evaluate.
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Labels.
    n_way, n_shot, n_query, n_episodes, random_state
        As in `sample_episodes`.
    n_jobs : int or None, default=None
        Processes for classifiers that are fitted an episode at a time.

    Returns
    -------
    EpisodeScores, or dict of str to EpisodeScores
        For a dict, scores under the same names; their `difference` is paired.

    Raises
    ------
    ValueError
        As in `sample_episodes`, and if X contains NaN.
    NotFittedError
        If a meta-classifier is not fitted.
    """
    rows, labels = check_X_y(X, y, dtype=[np.float64, np.float32])
    named = estimator if isinstance(estimator, Mapping) else {"": estimator}
    for name, model in named.items():
        if not is_classifier(model):
            raise TypeError(
                f"estimator {name!r} must be a classifier, got {model!r}.".replace(" ''", "")
            )
        if isinstance(model, SampledClassifier):
            check_is_fitted(model)
    episodes = sample_episodes(
        labels,
        n_way=n_way,
        n_shot=n_shot,
        n_query=n_query,
        n_episodes=n_episodes,
        random_state=random_state,
    )
    scores = {
        name: _evaluate(model, rows, labels, episodes, n_jobs) for name, model in named.items()
    }
    return scores if isinstance(estimator, Mapping) else scores[""]


def _evaluate(
    model: AnyClassifier, X: NDArray[Any], y: NDArray[Any], episodes: Episodes, n_jobs: int | None
) -> EpisodeScores:
    if isinstance(model, SampledClassifier):
        predicted, used = model.predict_sampled(X, episodes)
        return EpisodeScores((predicted == episodes.query_labels).mean(1), used)
    pairs = zip(episodes.support, episodes.query, strict=True)
    accuracies = Parallel(n_jobs)(delayed(_one_episode)(model, X, y, *pair) for pair in pairs)
    return EpisodeScores(np.array(accuracies))


def _one_episode(
    model: Classifier, X: NDArray[Any], y: NDArray[Any], support: NDArray[Any], query: NDArray[Any]
) -> float:
    fitted = clone(model).fit(X[support], y[support])
    return float((fitted.predict(X[query]) == y[query]).mean())


@dataclass(frozen=True)
class EpisodeScorer:
    """Mean accuracy on episodes, as `scoring=` beside a class-disjoint `cv=`.

    Parameters
    ----------
    n_way, n_shot, n_query, n_episodes, random_state
        As in `sample_episodes`.
    """

    n_way: int = 5
    n_shot: int = 1
    n_query: int = 15
    n_episodes: int = 600
    random_state: int | None = 0

    def __call__(self, estimator: AnyClassifier, X: ArrayLike, y: ArrayLike) -> float:
        """Score a fitted meta-classifier, or a classifier that is fitted on each episode."""
        return evaluate_episodes(estimator, X, y, **vars(self)).mean
