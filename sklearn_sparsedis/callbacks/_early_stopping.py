"""Callback that stops a training whose score no longer rises."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from numpy.typing import ArrayLike
from sklearn.metrics import check_scoring

__all__ = ["EarlyStopping"]


class _Task(Protocol):
    """Attributes of scikit-learn's `CallbackContext` that are read here."""

    task_id: int
    max_subtasks: int | None
    root_uuid: object
    parent: "_Task | None"


class EarlyStopping:
    """Stop each training of an estimator with callbacks when its score has not risen for long.

    The score is computed after each block of steps. The estimator decides which encoder it keeps:
    those of this package keep the best one by their own `early_stopping`, and without it the last.

    Parameters
    ----------
    X, y : array-like or None
        Rows and targets to score on; by default those of the fit.
    scoring : str, callable or None, default=None
        As in `sklearn.metrics.check_scoring`: larger is better, None is the estimator's `score`.
    patience : int, default=5
        Blocks without improvement after which training stops.
    min_improvement : float, default=0.0
        Smallest rise of the score that counts as an improvement.

    Examples
    --------
    >>> from sklearn_sparsedis import SparseDisentangledRepresentation
    >>> from sklearn_sparsedis.callbacks import EarlyStopping
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> data = make_sparse_multitask(300, 20, random_state=0)
    >>> stop = EarlyStopping(data.X[200:], data.Y[200:], patience=2)
    >>> model = SparseDisentangledRepresentation(6, max_iter=400, random_state=0)
    >>> len(model.set_callbacks(stop).fit(data.X[:200], data.Y[:200]).loss_curve_) <= 400
    True
    """

    def __init__(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        scoring: str | Callable[..., float] | None = None,
        patience: int = 5,
        min_improvement: float = 0.0,
    ) -> None:
        if (X is None) != (y is None):
            raise ValueError(
                "EarlyStopping needs X and y together, or neither to score on the rows of the fit; "
                f"got {'y' if X is None else 'X'} alone."
            )
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience!r}.")
        self.X = X
        self.y = y
        self.scoring = scoring
        self.patience = patience
        self.min_improvement = min_improvement
        # Best score, and number of blocks since then, of each training in progress.
        self._progress: dict[tuple[Any, ...], tuple[float, int]] = {}

    def setup(self, estimator: object, context: object) -> None:
        """Do nothing before a fit."""

    def teardown(self, estimator: object, context: _Task) -> None:
        """Forget the trainings of a fit."""
        path = _path(context)
        for key in [key for key in self._progress if key[: len(path)] == path]:
            del self._progress[key]

    def on_fit_task_begin(self, estimator: object, context: object) -> None:
        """Do nothing before a task."""

    def on_fit_task_end(
        self,
        estimator: object,
        context: _Task,
        *,
        X: object = None,
        y: object = None,
        metadata: Mapping[str, object] | None = None,
        fitted_estimator: object = None,
    ) -> bool:
        """Score after a block of steps; return True to stop the training."""
        if context.max_subtasks != 0 or context.parent is None or fitted_estimator is None:
            return False
        scorer = check_scoring(fitted_estimator, self.scoring)
        if self.X is None:
            score = scorer(fitted_estimator, X, y, **(metadata or {}))
        else:
            score = scorer(fitted_estimator, self.X, self.y)
        key = _path(context.parent)
        best, waited = self._progress.get(key, (-float("inf"), 0))
        risen = score > best + self.min_improvement
        self._progress[key] = (score, 0) if risen else (best, waited + 1)
        return self._progress[key][1] >= self.patience


def _path(context: _Task) -> tuple[Any, ...]:
    """Identify a task by its run, the numbers of its ancestors and its own."""
    above = (context.root_uuid,) if context.parent is None else _path(context.parent)
    return (*above, context.task_id)
