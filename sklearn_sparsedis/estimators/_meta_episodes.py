"""Prediction and evaluation of few-shot classifiers on episodes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._meta_training import encode_array
from sklearn_sparsedis.inputs._arrays import check_features, check_numbers, readable
from sklearn_sparsedis.inputs._parameters import check_device
from sklearn_sparsedis.inputs._task_names import check_sortable
from sklearn_sparsedis.inputs._tensors import cast_finite
from sklearn_sparsedis.model_selection import EpisodeScores, evaluate_episodes
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._episode_heads import EpisodeHeads, FewShotHead
from sklearn_sparsedis.tasks._episodes import Episodes
from sklearn_sparsedis.training._episodes import fit_episodes

__all__ = ["EpisodesMixin", "check_labels"]


class EpisodesMixin:
    """Prediction and scores on episodes, for an estimator with an encoder and few-shot heads."""

    n_features_in_: int
    encoder_: Encoder
    device: str | torch.device
    tol: float
    group_reg: float

    def _head(self) -> FewShotHead:
        """Inner problem for the current parameters."""
        raise NotImplementedError

    def predict_episodes(
        self, X_support: ArrayLike, y_support: ArrayLike, X_query: ArrayLike
    ) -> NDArray[Any]:
        """Adapt to many episodes at once and predict their query rows.

        Parameters
        ----------
        X_support : array-like of shape (n_episodes, n_support, n_features)
            Rows to fit on.
        y_support : array-like of shape (n_episodes, n_support)
            Their labels; each episode has two classes or more.
        X_query : array-like of shape (n_episodes, n_query, n_features)
            Rows to classify.

        Returns
        -------
        ndarray of shape (n_episodes, n_query)
            Labels, each among those of its episode.
        """
        check_is_fitted(self)
        support, query = self._check_episodes(X_support, X_query)
        labels = np.asarray(readable(y_support, "y_support"))
        if labels.shape != support.shape[:2]:
            raise ValueError(
                f"y_support must have shape {support.shape[:2]} like the rows of X_support, got "
                f"{labels.shape}."
            )
        found = [check_labels(y, type(self).__name__) for y in labels]
        F, Q = (
            self._encode(x.reshape(-1, x.shape[-1])).unflatten(0, x.shape[:2])
            for x in (support, query)
        )
        predicted = np.empty(query.shape[:2], labels.dtype)
        n_classes = np.array([len(classes) for classes, _ in found])
        for k in np.unique(n_classes):
            chosen = np.flatnonzero(n_classes == k)
            y = torch.from_numpy(np.stack([found[e][1] for e in chosen]))
            heads = self._head().fit(F[chosen], y, int(k))
            self._warn(heads, self.tol)
            best = heads.scores(Q[chosen]).argmax(-1).numpy()
            for e, row in zip(chosen, best, strict=True):
                predicted[e] = found[e][0][row]
        return predicted

    def _check_episodes(
        self, X_support: ArrayLike, X_query: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        arrays = []
        for name, X in (("X_support", X_support), ("X_query", X_query)):
            array = check_numbers(X, name, ensure_2d=False, allow_nd=True)
            if array.ndim != 3 or array.shape[2] != self.n_features_in_:
                raise ValueError(
                    f"{name} must have shape (n_episodes, n_rows, {self.n_features_in_}), got "
                    f"{array.shape}."
                )
            arrays.append(array)
        support, query = arrays
        if len(support) != len(query):
            raise ValueError(
                f"X_support has {len(support)} episodes and X_query {len(query)}: they must agree."
            )
        return support, query

    def predict_sampled(
        self, X: ArrayLike, episodes: Episodes
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Predict episodes that are row numbers of one table, whose rows are encoded once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        episodes : Episodes
            As from `model_selection.sample_episodes`.

        Returns
        -------
        predicted : ndarray of int, shape (n_episodes, n_query_rows)
            Number, within the episode, of each query row's class.
        features_used : ndarray of shape (n_episodes,)
            Share of the features that each head uses.
        """
        features = self._encode(self._check_X(X))
        parts = fit_episodes(self._head(), features, episodes)
        heads = [part for _, part, _ in parts]
        joined = EpisodeHeads(*(torch.cat(x) for x in zip(*map(_fields, heads), strict=True)))
        self._warn(joined, self.tol)
        predicted = torch.cat([scores.argmax(-1) for _, _, scores in parts])
        used = torch.cat([part.used.double().mean(-1) for part in heads])
        return predicted.numpy(), used.numpy()

    def score_episodes(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_way: int = 5,
        n_shot: int = 1,
        n_query: int = 15,
        n_episodes: int = 600,
        random_state: int | np.random.RandomState | None = None,
    ) -> EpisodeScores:
        """Accuracies on episodes of given, usually new, classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.
        n_way, n_shot, n_query, n_episodes, random_state
            As in `model_selection.sample_episodes`.

        Returns
        -------
        EpisodeScores
            `accuracies` and `features_used` of each episode, their `mean` accuracy and `ci95`, half
            the width of its 95 % interval.
        """
        return evaluate_episodes(
            self,
            X,
            y,
            n_way=n_way,
            n_shot=n_shot,
            n_query=n_query,
            n_episodes=n_episodes,
            random_state=random_state,
        )

    def _encode(self, X: NDArray[Any]) -> Tensor:
        encoded = encode_array(self.encoder_, X, check_device(self.device, fitted=True))
        cast_finite(encoded.numpy(), X.dtype, "the features")
        return encoded

    def _check_X(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        return check_features(self, X)

    def _warn(self, heads: EpisodeHeads, tol: float) -> None:
        n_heads = heads.gap.numel()
        late = int((heads.gap > tol).sum())
        if late:
            warn_caller(
                f"{late} of {n_heads} heads did not reach tol={tol:g}: the worst relative "
                f"duality gap is {float(heads.gap.max()):.1e}. Raise l2_reg or tol.",
                ConvergenceWarning,
            )
        empty = int((~heads.used.any(-1)).sum())
        if empty:
            warn_caller(
                f"{empty} of {n_heads} heads use no feature and give all classes the same score: "
                f"group_reg={self.group_reg:g} is at or above its maximum for them, or their "
                "support rows are all equal. Decrease group_reg.",
            )


def _fields(heads: EpisodeHeads) -> tuple[Tensor, ...]:
    return heads.center, heads.coef, heads.intercept, heads.gap


def check_labels(y: NDArray[Any], caller: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted classes, and the number of the class of each row."""
    check_sortable("y", y)
    check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{caller} needs rows of at least two classes; the data contain {len(classes)} "
            f"class(es): {classes.tolist()}"
        )
    return classes, index
