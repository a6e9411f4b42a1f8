"""GroupLassoSVMMetaClassifier: an encoder trained such that few examples of new classes suffice."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_sparsedis._warnings import muted
from sklearn_sparsedis.estimators._base import (
    ComponentHeads,
    StampedEstimator,
    unchanged_on_failure,
)
from sklearn_sparsedis.estimators._callbacks import end_fit, fit_tasks, new_attributes
from sklearn_sparsedis.estimators._episode_settings import EpisodeSettings, few_shot_head
from sklearn_sparsedis.estimators._meta_episodes import EpisodesMixin, check_labels
from sklearn_sparsedis.estimators._meta_training import (
    check_features,
    encode_array,
    fit_meta_encoder,
    fold_center,
)
from sklearn_sparsedis.inputs._arrays import check_labelled
from sklearn_sparsedis.inputs._parameters import check_device
from sklearn_sparsedis.inputs._tensors import check_magnitude
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._episode_heads import FewShotHead
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS
from sklearn_sparsedis.training._callback_protocol import CallbackSupportMixin, with_callbacks

__all__ = ["GroupLassoSVMMetaClassifier"]

# Rows times classes above which a head is solved less exactly, and to which gap.
LARGE_HEAD, LARGE_HEAD_TOL = 20_000, 1e-3


class GroupLassoSVMMetaClassifier(
    CallbackSupportMixin,
    EpisodesMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    ComponentHeads,
    StampedEstimator,
):
    r"""Few-shot classifier: shared features of which each small task uses a few.

    An encoder g is trained on episodes, small classification problems with classes drawn from y,
    through the heads that the features give on their support rows [1]_:

    .. math:: \min_{\theta, \gamma} \frac1E \sum_e CE(\gamma\, x^q_e \hat W_e, y^q_e)
       \quad\text{s.t.}\quad \hat W_e \in \arg\min_W
       \sum_i \max_l [\Delta_{il} + (W_l - W_{y_i}) \cdot x_i]
       + \lambda_1 \sum_j \|W_{:j}\|_2 + \frac{\lambda_2}{2} \|W\|_F^2

    where x are the features g(X) of the episode, less their mean over its support rows and divided
    by the root of their mean squared norm around it. The gradient goes through the heads by exact
    implicit differentiation. New classes then need a head only (`adapt`), not training.

    Parameters
    ----------
    n_components : int, default=64
        Number of features; for "conv4" and "resnet12" the channels of the last block, for
        "discriminant" the largest number. Ignored by "identity" and a module of yours.
    encoder : str, nn.Module or callable, default="mlp"
        Network: "mlp", "linear", "conv", "conv4" or "resnet12", which is the paper's with
        DropBlock. "identity" and "discriminant" are not trained by steps, and are for rows that are
        embeddings already: the one centres rows on the mean of X and divides them by their lengths,
        and the other then takes the directions along which classes of y differ, each scaled by
        what a single row says of its class. A callable is called with
        (n_features_in, n_components). A module of yours is copied and gets X as it is (images with
        `input_shape`); parameters of it that do not require gradients stay as they are.
    hidden_layer_sizes : sequence of int, default=(100, 100)
        Widths of "mlp", which has a linear path beside it.
    input_shape : tuple of int or None, default=None
        (height, width[, channels]) of the images that the rows of X are, which were flattened with
        their channels last; square and grey by default. Given, the columns of X share one scale
        also for "mlp" and "linear". A module of yours gets rows as they are if it takes them, and
        otherwise, where this is given, what its first layer wants: images (n, channels, height,
        width), as `nn.Conv2d` does, or (n, height, width[, channels]).
    head : str, default="group_lasso_svm"
        Inner problem, or "svm" for the one above with lambda_1 = 0; "ridge" and "logistic" have the
        same lambda_2; "prototype" is the nearest class mean, and "sparse_prototype" the same on
        those features that "group_lasso_svm" uses. For new classes of one row each take
        "sparse_prototype", which is about a point more accurate than the default.
    group_reg : float in [0, inf), default=0.1
        Lambda_1 as a fraction of the bound from which on no feature is used (the "uniform
        spread", exact for two classes); for "group_lasso_svm" and "sparse_prototype".
    l2_reg : float in (0, inf), default=0.15
        Lambda_2 with one support row a class, in units of the mean squared norm of the centred
        support features; with n rows of k classes it is times ``sqrt(n / k)``. With a weaker one
        the same `group_reg` leaves fewer features.
    fit_intercept : bool, default=False
        Whether "group_lasso_svm", "svm" and "logistic" have an intercept beside the centring, which
        the group penalty leaves out and `l2_reg` does not. The paper's head has none; for ordinary
        classification of few features it is worth having.
    n_way, n_shot, n_query : int, default=5, 5 and 10
        Classes of an episode in training, and rows of each to fit and to judge the head. Where y
        does not allow them they are reduced: `n_way` to the number of classes of two rows or
        more, then `n_query`, then `n_shot`.
    episodes_per_batch : int, default=4
        Episodes an outer step.
    label_smoothing : float in [0, 1), default=0.1
        Share of a query row's label that is spread over all classes.
    rotations : bool, default=False
        Whether images turned by 90, 180 and 270 degrees are further classes in training.
    discriminants : bool, default=False
        Whether, after training, features are turned to the directions along which the classes of y
        differ, and scaled by what a single row says of its class, as under encoder="discriminant";
        of ten classes or more. Heads of new classes are then better and need fewer features.
    max_iter : int or None, default=None
        Outer steps. None stands for as many as draw each row 60 times, within 100 and 1000.
    learning_rate : float, default=3e-3
        Falls to zero along a cosine.
    optimizer : {"adam", "adamw", "sgd"}, default="adamw"
        Optimiser of the encoder and of the scale.
    weight_decay : float, default=5e-4
        Weight decay.
    n_init : int, default=1
        Trainings from different starts; the one of the least loss on held-out classes is kept, or
        on the last quarter of the steps where none are held out.
    early_stopping : bool or "auto", default="auto"
        Whether classes are held out to choose the best encoder by episodes of them; "auto" does
        where `n_way` of them can be.
    validation_fraction : float in (0, 1), default=0.1
        Share of the classes held out of meta-training; their rows still count in the final head.
    n_iter_no_change : int or None, default=None
        Evaluations, of 25 in all, without improvement before training stops; None stands for 10.
    tol : float, default=1e-6
        Relative duality gap at which a head is solved; 1e-5 in single precision at best. A head
        whose rows times classes are above 20,000, as that of hundreds of classes after training, is
        solved to 1e-3, because it takes minutes otherwise.
    warm_start : bool, default=False
        Whether `fit` goes on from the encoder of the last call.
    callbacks : sequence of skorch callbacks or None, default=None
        Called during training; with `callbacks.Checkpoint` a training that was killed can be
        continued. Callbacks of scikit-learn's protocol, such as `callbacks.EarlyStopping`, go to
        `set_callbacks`.
    device : str or torch.device, default="auto"
        Where to train and encode; the fitted model is kept on the CPU, and heads outside training
        are solved there.
    random_state : int, RandomState instance or None, default=None
        Seed; the global generators are not touched.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    coef_ : ndarray of shape (n_classes, n_components)
        Coefficients of each class on the features, also where there are two.
    intercept_ : ndarray of shape (n_classes,)
        Intercept of each class.
    coef_features_ : ndarray of shape (n_classes, n_features)
        With encoder="linear" only, the same heads on the columns of X:
        ``X @ coef_features_.T + intercept_features_`` gives the scores of the classes.
    intercept_features_ : ndarray of shape (n_classes,)
        Their intercepts.
    support_ : ndarray of bool, shape (n_components,)
        Features in use.
    dual_gap_ : float
        Relative duality gap of the head; zero for "prototype" and "ridge".
    scale_ : float
        Learned factor of the scores in `predict_proba`.
    encoder_ : nn.Module
        Trained encoder with its scaling of inputs.
    n_way_, n_shot_, n_query_ : int
        Sizes of the episodes in training.
    loss_curve_ : ndarray
        Outer loss of each step.
    validation_loss_curve_ : ndarray
        Cross-entropy on episodes of held-out classes; empty when there are none.
    n_iter_ : int
        Steps after which the encoder that was kept had been reached.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features, where X had string names.

    See Also
    --------
    GroupLassoSVC : The same head on given features.
    sklearn_sparsedis.model_selection.evaluate_episodes : Any classifiers on the same episodes.

    Notes
    -----
    After meta-training a head is fitted on all rows of X, so that `predict` knows the classes of y.
    Labels that `score` meets and that the
    model does not know count as errors.

    In a training from the start with a head that has zeros, the first 80 % of the steps go through
    ridge heads, and then `group_reg` grows from zero until 90 %.

    The head's parameters may be changed after `fit` by `set_params`: `adapt` and the methods for
    episodes use the new ones on the encoder that was trained with the old ones.

    Fixed seeds give equal models on one machine.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_sparsedis import GroupLassoSVMMetaClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> old = y < 6
    >>> model = GroupLassoSVMMetaClassifier(input_shape=(8, 8), max_iter=20, random_state=0)
    >>> model.fit(X[old], y[old]).predict(X[old]).shape
    (1083,)
    >>> scores = model.score_episodes(X[~old], y[~old], n_way=4, n_shot=5, random_state=0)
    >>> scores.mean > 0.8
    True
    """

    _networks = EPISODE_ENCODERS

    def __init__(
        self,
        n_components: int = 64,
        *,
        encoder: str | nn.Module | Callable[[int, int], nn.Module] = "mlp",
        hidden_layer_sizes: Sequence[int] = (100, 100),
        input_shape: Sequence[int] | None = None,
        head: str = "group_lasso_svm",
        group_reg: float = 0.1,
        l2_reg: float = 0.15,
        fit_intercept: bool = False,
        n_way: int = 5,
        n_shot: int = 5,
        n_query: int = 10,
        episodes_per_batch: int = 4,
        label_smoothing: float = 0.1,
        rotations: bool = False,
        discriminants: bool = False,
        max_iter: int | None = None,
        learning_rate: float = 3e-3,
        optimizer: str = "adamw",
        weight_decay: float = 5e-4,
        n_init: int = 1,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-6,
        warm_start: bool = False,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.head = head
        self.group_reg = group_reg
        self.l2_reg = l2_reg
        self.fit_intercept = fit_intercept
        self.n_way = n_way
        self.n_shot = n_shot
        self.n_query = n_query
        self.episodes_per_batch = episodes_per_batch
        self.label_smoothing = label_smoothing
        self.rotations = rotations
        self.discriminants = discriminants
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.n_init = n_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Meta-train the encoder on episodes of these classes, then fit a head for all of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of a table, or flattened images.
        y : array-like of shape (n_samples,)
            Labels of two classes or more; two of them need two rows.

        Returns
        -------
        self
        """
        context = self._init_callback_context(max_subtasks=None)
        with unchanged_on_failure(self):
            settings = self._check_parameters()
            settings.encoder.warn_channels_first()
            started = getattr(self, "encoder_", None) if self.warm_start else None
            rows, labels = check_labelled(self, X, y, ensure_min_samples=2, reset=started is None)
            check_magnitude("X", rows)
            classes, index = check_labels(labels, type(self).__name__)
            watching = fit_tasks(
                self,
                context,
                lambda encoder: self._attributes(encoder, rows, index, classes),
                X,
                y,
            )
            fitted = fit_meta_encoder(settings, self._identity(), rows, index, started, watching)
            self.encoder_ = fitted.encoder
            self.scale_ = fitted.scale
            self.n_way_, self.n_shot_, self.n_query_ = fitted.sizes
            self.loss_curve_ = np.array(fitted.run.losses)
            self.validation_loss_curve_ = np.array(fitted.run.held_out_losses)
            self.n_iter_ = fitted.run.best_step
            self._set_head(rows, index, classes)
            end_fit(self, context, X, y)
        return self

    def _check_parameters(self) -> EpisodeSettings:
        """The parameters in records; raises for one that is not in its domain."""
        return EpisodeSettings.of(self.get_params(deep=False))

    def _head(self) -> FewShotHead:
        return few_shot_head(self.get_params(deep=False))

    def _attributes(
        self,
        encoder: Encoder,
        rows: NDArray[Any],
        index: NDArray[np.int64],
        classes: NDArray[Any],
    ) -> dict[str, Any]:
        """Fitted attributes if training ended with this encoder; the scale is not known yet."""
        ready = copy.copy(self)
        ready.encoder_ = copy.deepcopy(encoder).to("cpu").eval()
        ready.scale_ = 1.0
        with muted():
            ready._set_head(rows, index, classes)
        return new_attributes(ready, self)

    def adapt(self, X_support: ArrayLike, y_support: ArrayLike) -> Self:
        """Classifier for new classes on the same encoder.

        Parameters
        ----------
        X_support : array-like of shape (n_samples, n_features)
            Rows of the new classes, from one of each on.
        y_support : array-like of shape (n_samples,)
            Their labels; two classes or more.

        Returns
        -------
        model : GroupLassoSVMMetaClassifier
            A fitted copy that shares `encoder_` with this one, which does not change.
        """
        check_is_fitted(self)
        rows, labels = check_labelled(self, X_support, y_support)
        classes, index = check_labels(labels, type(self).__name__)
        adapted = copy.copy(self)
        adapted._set_head(rows, index, classes)
        return adapted

    def _set_head(self, X: NDArray[Any], index: NDArray[np.int64], classes: NDArray[Any]) -> None:
        features = encode_array(self.encoder_, X, check_device(self.device, fitted=True))
        check_features(features, self.encoder_.mean.dtype)
        head = self._head()
        if len(index) * len(classes) > LARGE_HEAD:
            head = replace(head, tol=max(head.tol, LARGE_HEAD_TOL))
        heads = head.fit(features, torch.from_numpy(index), len(classes))
        self.classes_ = classes
        self.coef_, self.intercept_ = fold_center(heads)
        self.support_ = heads.used.numpy()
        self.dual_gap_ = float(heads.gap)
        self._n_features_out = features.shape[1]
        self._warn(heads, head.tol)

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Features of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In the dtype of X, neither centred nor scaled.
        """
        rows = self._check_X(X)
        return self._encode(rows).numpy().astype(rows.dtype, copy=False)

    def _encoder_module(self) -> nn.Module:
        return copy.deepcopy(self.encoder_)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            For two classes the second one's score minus the first one's.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _scores(self, X: ArrayLike) -> NDArray[np.float64]:
        return self._encode(self._check_X(X)).numpy() @ self.coef_.T + self.intercept_

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of the classes: the softmax of the scores times `scale_`.

        The scale was learned by cross-entropy on the episodes of training, so the probabilities
        are those of tasks of that size, with smoothed labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        scores = self._scores(X)
        # the largest is zero, so that a large scale does no harm
        return softmax(self.scale_ * (scores - scores.max(axis=1, keepdims=True)), axis=1)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the largest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
