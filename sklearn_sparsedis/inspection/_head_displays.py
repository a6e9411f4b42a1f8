"""Plots of heads: the components that tasks use, and their dependence on the penalty."""

from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.linear_model import lasso_path
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.inspection._panels import panels
from sklearn_sparsedis.losses import LOSSES, SquaredError
from sklearn_sparsedis.metrics._protocols import HasHeads, Transformer
from sklearn_sparsedis.solvers import L1, alpha_unit, solve_smooth

__all__ = ["PathDisplay", "SupportDisplay"]

# Largest number of tasks whose names are written on the axis.
_MOST_NAMES = 40


class _HasNamedHeads(HasHeads, Protocol):
    @property
    def tasks_(self) -> NDArray[Any]: ...


class SupportDisplay:
    """Map of tasks and the components that they use, in an order that shows groups.

    Components with most users come first; tasks are ordered by a hierarchical clustering of their
    supports.

    Parameters
    ----------
    coef : ndarray of shape (n_tasks, n_components)
        Heads.
    tasks : ndarray of shape (n_tasks,)
        Their names.

    Attributes
    ----------
    task_order : ndarray of shape (n_tasks,)
        Tasks from top to bottom.
    component_order : ndarray of shape (n_components,)
        Components from left to right.
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, coef: NDArray[Any], tasks: NDArray[Any]) -> None:
        self.coef = coef
        self.tasks = tasks
        used = coef != 0
        self.component_order = np.argsort(-used.sum(0), kind="stable")
        self.task_order = np.arange(len(coef))
        if len(coef) > 2:
            tree = linkage(used.astype(float), "average", metric="cityblock", optimal_ordering=True)
            self.task_order = leaves_list(tree)

    @classmethod
    def from_estimator(cls, estimator: _HasNamedHeads, *, ax: Any = None) -> Self:
        """Draw the heads of a fitted estimator.

        Parameters
        ----------
        estimator : SparseDisentangledRepresentation or SparseRotation
            Fitted.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        display : SupportDisplay
        """
        check_is_fitted(estimator)
        return cls.from_arrays(estimator.coef_, estimator.tasks_, ax=ax)

    @classmethod
    def from_arrays(
        cls, coef: ArrayLike, tasks: ArrayLike | None = None, *, ax: Any = None
    ) -> Self:
        """Draw heads given as an array.

        Parameters
        ----------
        coef : array-like of shape (n_tasks, n_components)
        tasks : array-like of shape (n_tasks,), optional
            Names; numbers by default.
        ax : matplotlib Axes, optional

        Returns
        -------
        display : SupportDisplay
        """
        heads = check_array(coef, input_name="coef")
        names = np.arange(len(heads)) if tasks is None else np.asarray(tasks)
        if names.shape != (len(heads),):
            raise ValueError(
                f"tasks must have one name for each of the {len(heads)} rows of coef, got an array "
                f"of shape {names.shape}."
            )
        return cls(coef=heads, tasks=names).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the map: colour is the weight over the largest of its task, white is zero.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : SupportDisplay
        """
        n_tasks, n_components = self.coef.shape
        size = 1.8 + 0.35 * min(n_components, 30), 1.6 + 0.16 * min(max(n_tasks, 10), 45)
        (axis,) = panels(ax, 1, size)
        largest = np.abs(self.coef).max(axis=1, keepdims=True, initial=0.0)
        shown = self.coef / np.where(largest > 0, largest, 1.0)
        image = axis.imshow(
            shown[np.ix_(self.task_order, self.component_order)],
            vmin=-1,
            vmax=1,
            cmap="RdBu_r",
            aspect="auto",
            interpolation="nearest",
        )
        axis.set_xticks(np.arange(n_components), [str(k) for k in self.component_order])
        if n_tasks <= _MOST_NAMES:
            axis.set_yticks(np.arange(n_tasks), [str(name) for name in self.tasks[self.task_order]])
        else:
            axis.set_yticks([])
        share = float((self.coef != 0).mean())
        axis.set(title=f"{share:.0%} of the weights in use", xlabel="component", ylabel="task")
        axis.figure.colorbar(image, ax=axis, label="weight / largest of the task")
        self.ax_, self.figure_ = axis, axis.figure
        return self


def _squared_error_path(
    unit: NDArray[Any], target: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    alphas, coefs, _ = lasso_path(unit, (target - target.mean()) / target.std())
    return alphas, coefs


def _smooth_loss_path(
    name: str, unit: NDArray[Any], target: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    loss = LOSSES[name]
    if not loss.allows(target).all():
        raise ValueError(
            f"y must have {loss.domain} for the loss {name!r}, got others. {loss.remedy}."
        )
    Z, y = torch.tensor(unit), torch.tensor(target, dtype=torch.float64)
    if not loss.classes:
        y = (y - y.mean()) / y.std(correction=0)
    smooth = loss.settle(Z, y[None], None)[0].smooth
    # These are the alphas of scikit-learn's lasso_path.
    alphas = alpha_unit(smooth, L1(), Z, y) * torch.logspace(0, -3, 100, dtype=torch.float64)
    result = solve_smooth(smooth, L1(), Z, y.expand(len(alphas), -1), alphas)
    return alphas.numpy(), result.coef.T.numpy()


class PathDisplay:
    """Weights of the sparse head of one task as functions of alpha.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Alphas as fractions of the smallest alpha without nonzero weights, decreasing.
    coefs : ndarray of shape (n_components, n_alphas)
        Weights on components of unit variance, in standard deviations of the target or in log-odds.
    task : object
        Name of the task.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
        After `plot`.
    """

    def __init__(self, *, alphas: NDArray[Any], coefs: NDArray[Any], task: object = None) -> None:
        self.alphas = alphas
        self.coefs = coefs
        self.task = task

    @classmethod
    def from_estimator(
        cls,
        estimator: Transformer,
        X: ArrayLike,
        y: ArrayLike,
        *,
        task: object = None,
        ax: Any = None,
    ) -> Self:
        """Draw the path of a head on the components of a fitted transformer.

        Parameters
        ----------
        estimator : transformer
            Fitted.
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            One target; rows where it is NaN are left out.
        task : object, optional
            Name for the title. If it is one of the estimator's tasks, the path is computed under
            the loss of that task, for a logistic task in log-odds.
        ax : matplotlib Axes, optional

        Returns
        -------
        display : PathDisplay
        """
        check_is_fitted(estimator)
        loss = SquaredError.name
        if hasattr(estimator, "losses_") and hasattr(estimator, "tasks_"):
            names = zip(estimator.tasks_.tolist(), estimator.losses_.tolist(), strict=True)
            loss = dict(names).get(task, loss)
        return cls.from_arrays(estimator.transform(X), y, loss=loss, task=task, ax=ax)

    @classmethod
    def from_arrays(
        cls,
        Z: ArrayLike,
        y: ArrayLike,
        *,
        loss: str = "squared_error",
        task: object = None,
        ax: Any = None,
    ) -> Self:
        """Draw the path of a head on components given as an array.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
        y : array-like of shape (n_samples,)
        loss : {"squared_error", "logistic", "huber"}, default="squared_error"
            "logistic" for labels 0 and 1, "huber" for targets with outliers.
        task : object, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        display : PathDisplay
        """
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(map(repr, LOSSES))}, got {loss!r}.")
        components = check_array(Z, input_name="Z")
        target = check_array(y, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
        if target.shape != (len(components),):
            raise ValueError(
                f"y must be one target of the {len(components)} rows of Z, got an array of shape "
                f"{target.shape}."
            )
        seen = np.isfinite(target)
        if len(np.unique(target[seen])) < 2:
            raise ValueError("y must have at least two different values that are not NaN.")
        unit = components[seen] - components[seen].mean(0)
        deviation = unit.std(0)
        unit /= np.where(deviation > 0, deviation, 1.0)
        if LOSSES[loss].from_statistics:
            alphas, coefs = _squared_error_path(unit, target[seen])
        else:
            alphas, coefs = _smooth_loss_path(loss, unit, target[seen])
        return cls(alphas=alphas / alphas[0], coefs=coefs, task=task).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw a line for each component that enters.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        self : PathDisplay
        """
        (axis,) = panels(ax, 1, (5.4, 3.8))
        for k in np.flatnonzero((self.coefs != 0).any(1)):
            axis.plot(self.alphas, self.coefs[k], label=str(k))
        axis.set(xscale="log", xlabel="alpha / alpha_max", ylabel="weight")
        axis.set_title(
            "path of a head" if self.task is None else f"path of the head of {self.task}"
        )
        axis.invert_xaxis()
        axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axis.legend(title="component", ncols=2, fontsize="small")
        self.ax_, self.figure_ = axis, axis.figure
        return self
