"""GroupLassoSVC: the convex few-shot classifier of the paper on given features."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor

from sklearn_sparsedis._arrays import check_features, check_labelled, readable
from sklearn_sparsedis._base import StampedEstimator
from sklearn_sparsedis._validation import (
    cast_finite,
    check_choice,
    check_device,
    check_integer,
    check_magnitude,
    check_real,
    check_sortable,
    to_tensor,
    unchanged_on_failure,
)
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.solvers import SolveResult, solve_group_lasso_svm

__all__ = ["GroupLassoSVC"]


class GroupLassoSVC(ClassifierMixin, StampedEstimator):
    r"""Multiclass SVM that uses few features, the same ones for all classes.

    .. math::
        \min_W \sum_i c_i \max_l [\Delta_{il} + (W_l - W_{y_i}) \cdot x_i]
        + \lambda_1 \sum_j \|W_{:j}\|_2 + \tfrac{\lambda_2}{2} \|W\|_F^2

    where Delta_il is one for every class but the sample's own, for which it is zero.

    Parameters
    ----------
    group_reg : float in [0, inf), default=0.1
        Lambda_1, the strength that switches features off; zero gives the multiclass SVM of Crammer
        and Singer with C = 1 / l2_reg.
    group_reg_mode : {"relative", "absolute"}, default="relative"
        Whether `group_reg` is a fraction of the bound from which on, without an intercept, no
        feature is used (the "uniform spread", exact for two classes), or lambda_1 itself.
    l2_reg : float in (0, inf), default=1.0
        Lambda_2. It acts on the scale of the features: standardise them, or divide them by the
        root of their mean squared norm, for values around one to make sense.
    fit_intercept : bool, default=True
        Whether to add a column of ones, which the group penalty leaves out and `l2_reg` does not.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss.
    tol : float in (0, inf), default=1e-6
        Relative duality gap at which the problem counts as solved.
    max_iter : int, default=100
        Largest number of interior-point iterations.
    device : str or torch.device, default="cpu"
        Where to compute; "auto" takes an accelerator where there is one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    coef_ : ndarray of shape (n_classes, n_features)
        Coefficients of each class, also where there are two.
    intercept_ : ndarray of shape (n_classes,)
        Intercept of each class.
    support_ : ndarray of bool, shape (n_features,)
        Features in use.
    dual_coef_ : ndarray of shape (n_samples, n_classes)
        Dual solution; each row lies in the probability simplex, but those of samples of weight
        zero, which are zero.
    dual_gap_ : float
        Relative duality gap: how far the objective can be above its minimum.
    group_reg_ : float
        Lambda_1 in absolute terms.
    n_iter_ : int
        Iterations taken.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    sklearn.svm.LinearSVC : The same without the group penalty, as multi_class="crammer_singer".
    sklearn_sparsedis.solvers.solve_group_lasso_svm : Batches of problems on tensors.

    Notes
    -----
    The problem is solved in its dual, of n_samples * n_classes variables whatever the number of
    features: memory grows with the square of that product, so this is for hundreds of samples, not
    for tens of thousands. The fit is deterministic.

    References
    ----------
    Lachapelle et al. (2023), "Synergies between Disentanglement and Sparsity: Generalization and
    Identifiability in Multi-Task Learning", ICML, arXiv 2211.14666.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from sklearn_sparsedis import GroupLassoSVC
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GroupLassoSVC(group_reg=0.7).fit(scale(X), y)
    >>> model.support_
    array([False, False,  True,  True])
    """

    def __init__(
        self,
        group_reg: float = 0.1,
        *,
        group_reg_mode: str = "relative",
        l2_reg: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-6,
        max_iter: int = 100,
        device: str | torch.device = "cpu",
    ):
        self.group_reg = group_reg
        self.group_reg_mode = group_reg_mode
        self.l2_reg = l2_reg
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; computation follows their dtype, float32 or float64.
        y : array-like of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss, nonnegative.

        Returns
        -------
        self
            The fitted classifier.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y, sample_weight)

    def _fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        self._check_parameters()
        data, labels = check_labelled(self, X, y, reset=True)
        check_magnitude("X", data)
        check_sortable("y", labels)
        check_classification_targets(labels)
        weight = _check_sample_weight(
            readable(sample_weight, "sample_weight"),
            data,
            dtype=data.dtype,
            ensure_non_negative=True,
            copy=True,
        )
        counts = weight > 0
        classes, index = np.unique(labels[counts], return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least two classes with a positive "
                f"weight; the data contain {len(classes)} class(es): {classes.tolist()}"
            )
        if self.class_weight is not None:
            of_class = compute_class_weight(
                self.class_weight, classes=classes, y=labels[counts], sample_weight=weight[counts]
            )
            weight[counts] *= of_class[index].astype(weight.dtype)
        result, group_reg = self._solve(data[counts], index, weight[counts], len(classes))
        self._store(result, classes, counts)
        self.group_reg_ = group_reg
        self._warn()
        return self

    def _check_parameters(self) -> None:
        check_real("group_reg", self.group_reg, 0, np.inf, closed="left")
        check_choice("group_reg_mode", self.group_reg_mode, ("absolute", "relative"))
        check_real("l2_reg", self.l2_reg, 0, np.inf, closed="neither")
        check_real("tol", self.tol, 0, np.inf, closed="neither")
        check_integer("max_iter", self.max_iter, 1)

    def _solve(
        self, X: NDArray[Any], index: NDArray[np.intp], weight: NDArray[Any], n_classes: int
    ) -> tuple[SolveResult, float]:
        """Result with the intercept as the last feature, and lambda_1."""
        device = check_device(self.device)
        F, labels, c = (to_tensor(array, device) for array in (X, index, weight))
        omega = F.new_ones(F.shape[1])
        if self.fit_intercept:
            F = torch.cat([F, F.new_ones(len(F), 1)], dim=1)
            omega = torch.cat([omega, omega.new_zeros(1)])
        group_reg = float(self.group_reg)
        if self.group_reg_mode == "relative":
            group_reg *= float(_bound(F, labels, n_classes, omega, c))
        result = solve_group_lasso_svm(
            F,
            labels,
            group_reg,
            float(self.l2_reg),
            n_classes=n_classes,
            feature_weight=omega,
            sample_weight=c,
            tol=float(self.tol),
            max_iter=int(self.max_iter),
        )
        return result, group_reg

    def _store(self, result: SolveResult, classes: NDArray[Any], counts: NDArray[np.bool_]) -> None:
        coef = result.coef.cpu().numpy().T
        n_features = self.n_features_in_
        intercept = coef[:, n_features] if self.fit_intercept else np.zeros(len(classes))
        self.classes_ = classes
        self.coef_ = np.ascontiguousarray(coef[:, :n_features])
        self.intercept_ = intercept.astype(coef.dtype)
        self.support_ = np.any(self.coef_ != 0, axis=0)
        self.dual_coef_ = np.zeros((len(counts), len(classes)), coef.dtype)
        if result.dual_coef is not None:
            self.dual_coef_[counts] = result.dual_coef.cpu().numpy()
        self.dual_gap_ = float(result.gap)
        self.n_iter_ = int(result.n_iter)

    def _warn(self) -> None:
        if self.dual_gap_ > self.tol:
            warn_caller(
                f"GroupLassoSVC stopped at a relative duality gap of {self.dual_gap_:.1e}, above "
                f"tol={self.tol:g}, after {self.n_iter_} iterations. Scale the features (for "
                "instance by StandardScaler), or increase l2_reg, max_iter or tol.",
                ConvergenceWarning,
            )
        if not self.support_.any():
            warn_caller(
                f"No feature is in use: group_reg={self.group_reg:g} ({self.group_reg_mode}) is at "
                "or above its maximum for these data, so that all samples get the same scores. "
                "Decrease group_reg.",
            )

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Score the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Scores; for two classes the second one's minus the first one's.
        """
        check_is_fitted(self)
        data = check_features(self, X)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = data @ self.coef_.T + self.intercept_
            if len(self.classes_) == 2:
                scores = scores[:, 1] - scores[:, 0]
        return cast_finite(scores, scores.dtype, "the scores")

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class of the largest score.
        """
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[best]


def _bound(F: Tensor, labels: Tensor, n_classes: int, omega: Tensor, c: Tensor) -> Tensor:
    Y = torch.nn.functional.one_hot(labels, n_classes).to(F.dtype)
    return uniform_spread_bound(F, Y, feature_weight=omega, sample_weight=c)
