"""GroupLassoSVC: the convex few-shot classifier of the paper on given features."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._base import StampedEstimator, unchanged_on_failure
from sklearn_sparsedis.estimators._margin_problem import SHARES, MarginProblem, spread_of_ranges
from sklearn_sparsedis.inputs._arrays import check_features, check_labelled, readable
from sklearn_sparsedis.inputs._parameters import (
    check_choice,
    check_device,
    check_integer,
    check_real,
)
from sklearn_sparsedis.inputs._task_names import check_sortable
from sklearn_sparsedis.inputs._tensors import cast_finite, check_magnitude
from sklearn_sparsedis.solvers import SolveResult

__all__ = ["GroupLassoSVC"]

# Ratio of the features' ranges above which their units decide which are used.
LARGEST_SPREAD = 1000


class GroupLassoSVC(ClassifierMixin, StampedEstimator):
    r"""Multiclass SVM that uses few features, the same ones for all classes.

    .. math::
        \min_W \sum_i c_i \max_l [\Delta_{il} + (W_l - W_{y_i}) \cdot x_i]
        + \lambda_1 \sum_j \|W_{:j}\|_2 + \tfrac{\lambda_2}{2} \|W\|_F^2

    where Delta_il is one for every class but the sample's own, for which it is zero. As with a
    Lasso, the penalties act on the features in their own units: scale them first, for instance by
    `StandardScaler`, unless their units are comparable.

    Parameters
    ----------
    group_reg : float in [0, inf) or "auto", default=0.1
        Lambda_1, the factor of the penalty that removes features; zero gives the multiclass SVM of
        Crammer and Singer with C = 1 / l2_reg. "auto" takes the fraction of the bound, of ten from
        0.9 to 0.01, with the best accuracy in cross-validation.
    group_reg_mode : {"relative", "absolute"}, default="relative"
        Whether `group_reg` is a fraction of the bound from which on, without an intercept, no
        feature is used (the "uniform spread", exact for two classes), or lambda_1 itself.
    l2_reg : float in (0, inf), default=1.0
        Lambda_2. It acts on the scale of the features: standardise them, or divide them by the
        root of their mean squared norm, for values around one to make sense.
    cv : int, splitter, iterable or None, default=None
        Folds to choose "auto" by, as in scikit-learn; None stands for five stratified ones.
    fit_intercept : bool, default=True
        Whether to add a column of ones, which the group penalty leaves out and `l2_reg` does not.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss.
    tol : float in (0, inf), default=1e-6
        Relative duality gap at which the problem counts as solved.
    max_iter : int, default=100
        Largest number of interior-point iterations or, of many samples, of Newton steps.
    device : str or torch.device, default="cpu"
        Device to compute on; "auto" takes an accelerator if there is one.

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
    group_regs_ : ndarray of shape (n_regs,)
        Fractions of the bound that "auto" tried.
    cv_accuracies_ : ndarray of shape (n_folds, n_regs)
        Accuracies of "auto" on the rows that each fold left out.
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
    Up to n_samples * (n_classes - 1) = 500 the problem is solved in its dual, whatever the number
    of features. Above, and where X is sparse, an augmented Lagrangian method costs time and memory
    in proportion to the number of samples, and copies at most a part of X. Where that makes no
    progress because more features are in use than there are samples, an interior-point method in
    the dual takes over. The fit is deterministic.

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
        group_reg: float | str = 0.1,
        *,
        group_reg_mode: str = "relative",
        l2_reg: float = 1.0,
        cv: Any = None,
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-6,
        max_iter: int = 100,
        device: str | torch.device = "cpu",
    ):
        self.group_reg = group_reg
        self.group_reg_mode = group_reg_mode
        self.l2_reg = l2_reg
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
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
        data, labels = check_labelled(self, X, y, reset=True, accept_sparse="csr")
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
            of_class = self._class_weights(classes, index, weight[counts])
            weight[counts] *= of_class[index].astype(weight.dtype)
        rows = data if counts.all() else data[counts]
        problem = MarginProblem(
            rows,
            index,
            weight[counts],
            len(classes),
            bool(self.fit_intercept),
            check_device(self.device),
        )
        limits = float(self.l2_reg), float(self.tol), int(self.max_iter)
        chosen = self._choose(problem, limits)
        (result,) = problem.solve([chosen["group_reg_"]], *limits)
        self._store(result, classes, counts)
        for name, value in chosen.items():
            setattr(self, name, value)
        self._warn(rows)
        return self

    def _check_parameters(self) -> None:
        if not isinstance(self.group_reg, str):
            check_real("group_reg", self.group_reg, 0, np.inf, closed="left")
        elif self.group_reg != "auto":
            raise TypeError(f'group_reg must be a number or "auto", got {self.group_reg!r}.')
        check_choice("group_reg_mode", self.group_reg_mode, ("absolute", "relative"))
        check_real("l2_reg", self.l2_reg, 0, np.inf, closed="neither")
        check_real("tol", self.tol, 0, np.inf, closed="neither")
        check_integer("max_iter", self.max_iter, 1)

    def _class_weights(
        self, classes: NDArray[Any], index: NDArray[np.intp], weight: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Weights of the classes, as scikit-learn from 1.7 on makes them with weights of rows."""
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            total = np.bincount(index, weights=weight).astype(np.float64)
            balanced: NDArray[np.float64] = total.sum() / (len(classes) * total)
            return balanced
        return compute_class_weight(self.class_weight, classes=classes, y=classes[index])

    def _choose(self, problem: MarginProblem, limits: tuple[float, float, int]) -> dict[str, Any]:
        """Fitted attributes of lambda_1 and of how it was chosen."""
        if self.group_reg == "auto":
            folds = check_cv(self.cv, problem.index, classifier=True)
            rows = folds.split(np.zeros((len(problem.index), 1)), problem.index)
            accuracies = problem.fold_accuracies(rows, *limits)
            # SHARES fall, so that ties are decided for the strongest penalty.
            best = SHARES[accuracies.mean(axis=0).argmax()]
            chosen = {"group_regs_": SHARES.copy(), "cv_accuracies_": accuracies}
            return {"group_reg_": float(best * problem.bound), **chosen}
        relative = self.group_reg_mode == "relative"
        return {"group_reg_": float(self.group_reg) * (problem.bound if relative else 1.0)}

    def _store(self, result: SolveResult, classes: NDArray[Any], counts: NDArray[np.bool_]) -> None:
        self.classes_ = classes
        self.coef_ = np.ascontiguousarray(result.coef.cpu().numpy().T)
        self.intercept_ = np.zeros(len(classes), self.coef_.dtype)
        if result.intercept is not None:
            self.intercept_ = result.intercept.cpu().numpy()
        self.support_ = np.any(self.coef_ != 0, axis=0)
        self.dual_coef_ = np.zeros((len(counts), len(classes)), self.coef_.dtype)
        if result.dual_coef is not None:
            self.dual_coef_[counts] = result.dual_coef.cpu().numpy()
        self.dual_gap_ = float(result.gap)
        self.n_iter_ = int(result.n_iter)

    def _warn(self, X: Any) -> None:
        if (spread := spread_of_ranges(X)) > LARGEST_SPREAD:
            warn_caller(
                f"The ranges of the features differ by a factor of up to {spread:.1e}, and the "
                "penalties would act on each in its own unit. Scale the features first, for "
                "instance by StandardScaler, or MaxAbsScaler where X is sparse.",
            )
        if self.dual_gap_ > self.tol:
            warn_caller(
                f"GroupLassoSVC stopped at a relative duality gap of {self.dual_gap_:.1e}, above "
                f"tol={self.tol:g}, after {self.n_iter_} iterations. Scale the features (for "
                "instance by StandardScaler), or increase l2_reg, max_iter or tol.",
                ConvergenceWarning,
            )
        if not self.support_.any():
            warn_caller(
                f"No feature is in use: group_reg={self.group_reg} ({self.group_reg_mode}) is at "
                "or above its maximum for these data, so that all samples get the same scores. "
                "Decrease group_reg.",
            )

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Score the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Scores; for two classes the second one's minus the first one's.
        """
        check_is_fitted(self)
        data = check_features(self, X, accept_sparse="csr")
        with np.errstate(over="ignore", invalid="ignore"):
            scores = data @ self.coef_.T + self.intercept_
            if len(self.classes_) == 2:
                scores = scores[:, 1] - scores[:, 0]
        return cast_finite(scores, scores.dtype, "the scores")

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class of the largest score.
        """
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[best]

    @property
    def predict_proba(self) -> Any:
        """No probabilities: scikit-learn's CalibratedClassifierCV fits them to the scores."""
        raise AttributeError(
            "GroupLassoSVC has no predict_proba, because its scores are no probabilities. Wrap it "
            "in sklearn.calibration.CalibratedClassifierCV, which fits them by cross-validation."
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
