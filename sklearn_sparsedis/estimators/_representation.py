"""SparseDisentangledRepresentation: an encoder trained through sparse heads of many tasks."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    MultiOutputMixin,
    RegressorMixin,
)
from sklearn.utils import Bunch, Tags
from sklearn.utils.metaestimators import available_if
from torch import nn

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.estimators._base import StampedEstimator, unchanged_on_failure
from sklearn_sparsedis.estimators._callbacks import end_fit, fit_tasks, new_attributes
from sklearn_sparsedis.estimators._component_count import choose_components
from sklearn_sparsedis.estimators._encoded_tasks import EncodedTasks
from sklearn_sparsedis.estimators._fitted_encoder import FittedEncoder
from sklearn_sparsedis.estimators._head_settings import HeadSettings
from sklearn_sparsedis.estimators._new_tasks import (
    AdaptedRows,
    adapt_heads,
    has_prior,
)
from sklearn_sparsedis.estimators._old_tasks import learn_task_prior
from sklearn_sparsedis.estimators._regressors import is_regressor
from sklearn_sparsedis.estimators._representation_heads import FittedHeads, fit_heads, residuals_of
from sklearn_sparsedis.estimators._representation_training import (
    fit_encoder,
    fit_regressor,
    open_training,
    ready_encoder,
)
from sklearn_sparsedis.estimators._settings import RepresentationSettings
from sklearn_sparsedis.inputs._observations import known_tasks
from sklearn_sparsedis.inputs._parameters import check_choice
from sklearn_sparsedis.inputs._rows import Rows, check_rows, read_or_stay
from sklearn_sparsedis.inputs._targets import (
    Targets,
    check_range,
    check_targets,
)
from sklearn_sparsedis.inputs._tensors import check_magnitude, to_tensor
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._networks import ENCODERS
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.training._callback_protocol import (
    CallbackContext,
    CallbackSupportMixin,
    with_callbacks,
)

__all__ = ["SparseDisentangledRepresentation"]


def _is_network(model: "SparseDisentangledRepresentation") -> bool:
    """Return True for an encoder whose training can go on."""
    return not is_regressor(model.encoder)


class SparseDisentangledRepresentation(
    CallbackSupportMixin,
    EncodedTasks,  # whose score goes before that of all regressors
    MultiOutputMixin,
    RegressorMixin,
    StampedEstimator,
):
    """Components of X that are shared by many tasks, each of which uses only a few of them.

    An encoder g is trained through the heads that its components give, which solve a Lasso (or
    ridge) problem each [1]_:

    .. math:: \\min_\\theta \\frac1T \\sum_t \\frac1{2n} \\|g_\\theta(X) w_t + b_t - y_t\\|^2
       \\quad\\text{s.t.}\\quad w_t, b_t \\in \\arg\\min_{w, b}
       \\frac1{2n} \\|g_\\theta(X) w + b - y_t\\|^2 + \\alpha_t \\Omega(w)

    with the gradient through the heads by implicit differentiation.

    Parameters
    ----------
    n_components : int or "auto", default=10
        Number of components. A linear encoder has at most as many as the rank of X, and "l0" as
        many as the rank of its encoder's outputs: more are constant zero, with a warning. With
        "l0" "auto" takes as many as heads use directions beyond their errors: of X for a linear
        encoder, and else of the outputs of a network with more than enough of them, which is
        trained before. Otherwise "auto" takes as few as predict labels that such a network, or a
        regressor, has not seen as well as the best number does: not worse by a standard error and
        by .001 of the loss of the constant. A network is trained before, with more than enough.
    encoder : {"linear", "mlp", "conv"}, nn.Module, callable or regressor, default="mlp"
        Network; a callable is called with (n_features_in, n_components). A module of yours is
        copied, gets X as it is (images with `input_shape`), and must map rows to n_components
        values. With a regressor of scikit-learn's kind, such as a random forest, components are
        combinations of its predictions of all tasks: heads, and the basis in which these are
        sparse, are fitted to predictions of each row by regressors that have not seen it (`cv`),
        and new rows get the mean of what these predict. Components are at most as many as tasks.
        A classifier is for tasks of labels 0 and 1 with the loss "logistic": its log-odds, from
        `decision_function` or else `predict_proba`, take the place of predictions.
    hidden_layer_sizes : sequence of int, default=(100, 100)
        Widths of "mlp", which has a linear path beside it.
    input_shape : tuple of int or None, default=None
        (height, width[, channels]) of the images that the rows of X are, which were flattened with
        their channels last; square and grey for "conv" by default. A module of yours gets rows as
        they are if it takes them, and otherwise, where this is given, what its first layer wants:
        images (n, channels, height, width), as `nn.Conv2d` does, or (n, height, width[, channels]).
    penalty : {"elasticnet", "l0", "l1", "l2", "mcp"} or penalties.Penalty, default="l1"
        ||w||_1, ||w||_2^2 / 2, "elasticnet" between the two (`l1_ratio`), or the minimax concave
        penalty, which starts as "l1" and does not
        shrink large coefficients (`functional.mcp_penalty`, gamma = 2). It has many local minima:
        the training goes on once more from the basis of "l0", for a third of the steps, and the
        lower objective is kept. With "l0" the encoder is
        trained through ridge heads as with "l2", which determine its components up to a linear map;
        then these are turned to the basis in which least-squares heads have most zeros, and heads
        are fitted on the supports found. A penalty of your own is an object
        (`penalties.SeparablePenalty`).
    alpha : float, "auto" or None, default=None
        Strength of the penalty. None stands for 0.05. Where the encoder is a regressor, heads of
        squared errors under a sparse penalty are fitted to its predictions, and refitted by least
        squares on their supports: then alpha chooses zeros and shrinks nothing, and None stands
        for 0.05 in training and 0.2 for the final heads. With "l0" that of the ridge in training;
        zeros are chosen by their evidence, with no strength to be set. With "auto" components are
        trained at 0.05, and the strength of the final heads is chosen on labels that neither they
        nor the components were fitted to: with a sparse penalty the largest whose loss is not worse
        than the lowest by a standard error and by .005 of that of the constant, or else that of the
        lowest (`path_`). Where few rows are held out, several trainings hold out others.
    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether alpha is in [0, 1] as a fraction of `alpha_max_`, or in the units of the objective
        above.
    l1_ratio : float in (0, 1], default=0.5
        Share of "l1" in the penalty "elasticnet": l1_ratio ||w||_1 + (1 - l1_ratio) ||w||_2^2 / 2.
    common_head : bool, default=False
        Whether the heads are deviations from one head that all tasks share,
        :math:`w_t = w_0 + v_t, b_t = b_0 + c_t`, with the penalty on :math:`v_t` and intercepts
        shrunk towards :math:`b_0`: for tasks that resemble one another and have targets in the
        same units, above all small ones. A relative alpha is raised where a task has so few labels
        that the spread of the deviations between tasks supports no weaker penalty. For the
        penalties "l1", "l2" and "elasticnet", and the squared error.
    task_of_output : sequence of int or str, one a column of Y, or None, default=None
        The task that each column is an output of; with None every column is a task. The outputs of
        a task, in units of their standard deviations, share their support: with "l1" the penalty
        on the coefficients :math:`w_{tj}` of a task's outputs on component j is
        :math:`\\|w_{tj}\\|_2`, the paper's L2,1 norm [1]_, and alpha, `alpha_max_` and
        `dual_gap_` are the task's; "l2" has no zeros to share. A row counts for a task only where
        all of its outputs are observed, with the same weight. For the squared error, without
        `common_head` and `task_id`.
    loss : str, sequence or mapping, default="squared_error"
        Loss of the tasks: "squared_error", "logistic", "huber", or "auto"; a sequence has one a
        task, a mapping from names of tasks leaves those that it does not name with "squared_error".
        "logistic" is for labels 0 and 1: above, the mean log-loss of the log-odds g(x) w_t + b_t
        takes the place of the squared error, and `predict` gives the probability of 1. "auto" takes
        it for tasks of which all labels are 0 or 1 and both occur. "huber" is for targets with
        outliers, which then have a bounded influence: residuals beyond a threshold that the data
        give (`solvers.huber_delta`) count by their size and not its square, and the unit of the
        targets comes from medians. Both are for the penalties "l1", "l2" and "elasticnet", without
        `common_head`.
    class_weight : {"balanced"} or None, default=None
        "balanced" weighs the labels of each logistic task so that 0 and 1 count the same in all.
        Intercepts are then fitted again with the labels as they are, so that predictions stay
        probabilities: compare them with the share of 1 rather than with one half.
    query_fraction : float in (0, 1) or None, default=None
        Share of a batch on which the heads are judged and not fitted; None judges on the same rows.
    max_iter : int or None, default=None
        Outer steps. None stands for 1500; where the encoder is a regressor, for 300, or none under
        penalties that are the same in every basis. 500 or more are taken only where held-out labels
        say that 100 are not enough (`early_stopping`).
    batch_size : int, default=1024
        Rows a step; with `tasks_per_batch` and missing labels, rows a task of a step at most.
    tasks_per_batch : int or None, default=None
        Tasks a step, drawn in proportion to their numbers of labels, where labels are missing with
        rows on which each was observed; all when None.
    learning_rate : float, default=3e-3
        Falls to zero along a cosine; the linear path of "linear" and "mlp" has three times as much.
    optimizer : {"adam", "adamw", "sgd"}, default="adamw"
        Optimiser of the encoder.
    weight_decay : float, default=0.01
        Weight decay of the encoder.
    n_init : int, default=1
        Trainings from different seeds, of which that with the lowest loss is kept; with "mcp" that
        with the lowest objective.
    early_stopping : bool or "auto", default="auto"
        Whether labels are held out to choose the best encoder; "auto" does for a network from 100
        rows, and from 20 that differ where they say whether to train at all (below). With fewer
        than 2000 rows the encoder is then trained again on all, for the number of steps found.
        Where no task can spare a label, a warning says so, and the last encoder is kept. For
        "linear" and "mlp" with squared errors and a convex penalty other than "l0", held-out labels
        say as well whether 100 or 400 steps are enough, whether they are better than ridge
        regression, with which the training starts, and to what shares of labels and ridge
        predictions heads are fitted.
    validation_fraction : float in (0, 1), default=0.1
        Share of the labelled rows whose labels are held out. A task keeps two labels, and of 0 and
        1 one of each kind; one with labels to spare gives at least one, from whatever row.
    n_iter_no_change : int or None, default=None
        Evaluations, of 50 in all, without improvement before training stops; None stands for 15.
        Where held-out labels say whether to train at all, it also stops after three of which each
        is clearly worse than the best before.
    tol : float, default=1e-6
        Relative duality gap at which a head is solved.
    warm_start : bool, default=False
        Whether `fit` goes on from the encoder of the last call.
    cv : int, splitter of scikit-learn, iterable of splits, or None, default=None
        For an encoder that is a regressor: the parts of the rows that it is fitted without in turn.
        An integer is their number, None stands for 5, both at random; rows of one of the `groups`
        of `fit` stay together. Each row must be in one test set.
    callbacks : sequence of skorch callbacks or None, default=None
        Called during training; with `callbacks.Checkpoint` a training that was killed can be
        continued. Callbacks of scikit-learn's protocol, such as `callbacks.EarlyStopping`, go to
        `set_callbacks`.
    device : str or torch.device, default="auto"
        Where to compute; the fitted model is kept on the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed; the global generators are not touched.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_components)
        Heads, in the units of Y; of the log-odds for logistic tasks.
    intercept_ : ndarray of shape (n_tasks,)
        Intercepts.
    coef_features_ : ndarray of shape (n_tasks, n_features)
        With encoder="linear" only, the same heads on the columns of X:
        ``X @ coef_features_.T + intercept_features_`` gives the predictions, or their log-odds.
    intercept_features_ : ndarray of shape (n_tasks,)
        Their intercepts.
    support_ : ndarray of bool, shape (n_tasks, n_components)
        Which task uses which component; with `common_head`, in which it deviates. The same for
        all outputs of a task. Heads that `adapt` gave with a prior have no zeros: theirs is what
        they use more probably than not.
    encoder_ : nn.Module
        Trained encoder with its scaling of inputs and outputs. Where a regressor comes before it,
        its inputs are what `regressor_.transform` gives.
    regressor_ : TaskRegressors or None
        Where the encoder is a regressor: `predict` maps rows to predictions of all tasks in units
        of their standard deviations, `transform` to the combinations of these that components are
        made of, and `stack.loss_of_rank` has the error with 1, 2, ... of these. `folds` has for
        each fold the regressors that were fitted without it, in pairs of the indices of tasks and
        the regressor that predicts these.
    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: the columns of a data frame Y, values of `task_id`, or else 0, 1, ...
    losses_ : ndarray of str, shape (n_tasks,)
        "squared_error", "logistic" or "huber".
    alpha_ : float
        `alpha`, or what "auto" chose.
    path_ : Bunch or None
        What "auto" chose by. For `alpha` arrays of the strengths tried, `alpha`, falling; the
        `loss` with each on labels not fitted to, in units of that of the best constant; the
        standard `error` of its difference from the lowest; and components that a task uses,
        `n_used`. For `n_components` the `loss_of_rank` of predictions along 1, 2, ... directions.
    alpha_max_ : ndarray of shape (n_tasks,)
        Unit of a relative alpha: for "l1", "elasticnet" and "mcp" the smallest alpha for which a
        head is zero, with "mcp" a Lasso head, for "l0" and "l2" the mean variance of the
        components, for "l2" with "logistic" times that of the label; NaN for heads with a prior.
    dual_gap_ : ndarray of shape (n_tasks,)
        Relative duality gap of each head; for "mcp" the relative gain of the best change of one
        coefficient (`solvers.solve_mcp_gram`), for "l0" the gap of least squares on the support;
        zero for heads with a prior, which are not iterated to a tolerance.
    common_head_ : Bunch or None
        With `common_head` the head from which those of the tasks deviate, `coef` of shape
        (n_components,) and `intercept`, and variances: `noise` of targets about their heads,
        `spread` of coefficients and `intercept_spread` of intercepts between tasks.
    prior_ : Bunch or None
        What the tasks of `fit` say of new ones, which `adapt` goes by: `squared_error` and
        `logistic`, one for each loss or None. Each has the `mean` head with its intercept, and
        second `moment`, of signals with variance one; combinations of the variances of `heads`,
        `features` and `noise`, which are shares of the targets' variance or, for labels, variances
        of log-odds; and the `probability` of each combination. Where old heads have zeros, new ones
        have some with the probability `sparse`: a component is used with that of `used_share`, and
        then has coefficients of the mean `used_mean` and the variance `used_variance`. `center` and
        `scale` are those of the columns of X, `distance` the typical one of two rows, or None where
        rows are not compared: with `common_head`, and where X is too large. None where tasks have
        other losses, and with `task_of_output`.
    coef_residual_ : ndarray of shape (n_tasks, n_features) or None
        Of heads that `adapt` gave with a prior: coefficients of the columns of X, which `predict`
        adds to the components' part.
    support_probability_ : ndarray of shape (n_tasks, n_components) or None
        Of heads that `adapt` gave with a prior: the posterior probability that a task uses a
        component; one or zero where the prior has no zeros, by the penalty.
    landmarks_ : ndarray of shape (n_landmarks, n_features) or None
        Rows of new tasks, at most 256, that further rows are compared with.
    coef_landmarks_ : ndarray of shape (n_tasks, n_landmarks) or None
        Coefficients of the similarities to them, which `predict` adds likewise: that of x and x' is
        exp(-sum_j |x_j - x'_j| / (s_j d)) with the `scale` s and the `distance` d of `prior_`.
    residual_share_ : ndarray of shape (n_tasks,) or None
        Expected share of both in the variance of the signal, given the labels.
    residual_std_ : ndarray of shape (n_tasks,) or None
        Standard deviation of each target about its prediction, on rows that the training has not
        seen: held out ones, or where the encoder is a regressor those of all folds. NaN for tasks
        without a squared error; None where no labels were held out.
    residual_quantiles_ : ndarray or None
        Quantiles of absolute residuals of such rows, in units of their task's deviation.
    confidence_ : Bunch or None
        With "l0" what the components rest on: `scores`, `chance`, `margin`, `stability`,
        `identified` and `identified_by` of each component, `n_latents`, `n_found` and `n_starts`,
        as `SparseRotation` explains them, where `partial_fit` uses no laws of components;
        `problems`, in words; `dense_coef`, the heads before the components were turned.
    loss_curve_ : ndarray
        Outer loss of each step.
    validation_loss_curve_ : ndarray
        Loss on held-out rows; empty when there are none.
    n_iter_ : int
        Steps after which the encoder that was kept had been reached; zero for ridge regression.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features, where X had string names.

    See Also
    --------
    SparseRotation : The sparsest basis of given features.

    Notes
    -----
    Targets are standardised inside, and log-losses divided by twice that of the best constant, so
    that tasks count the same. A logistic task with labels of one kind only, n of them, has the
    constant probability 1/(2n+2) or 1 - 1/(2n+2), which a warning says. A common head is fitted
    to all labels by least squares before the deviations from it [2]_, whose spread follows from
    moments of its residuals; `adapt` keeps both. Targets then have one scale for all tasks.
    Columns without variation get scale one. In a training from the start, alpha falls from half of
    alpha_max over 80 % of the steps, because a weak penalty has many bases in which it is locally
    best. Fixed seeds give equal models on one machine.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.
    .. [2] Bastani, "Predicting with Proxies: Transfer Learning in High Dimension", Management
       Science 2021.

    Examples
    --------
    >>> from sklearn_sparsedis import SparseDisentangledRepresentation
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> data = make_sparse_multitask(200, 20, random_state=0)
    >>> model = SparseDisentangledRepresentation(6, encoder="linear", max_iter=50, random_state=0)
    >>> model.fit(data.X, data.Y).transform(data.X).shape
    (200, 6)
    """

    _networks = ENCODERS

    def __init__(
        self,
        n_components: int | Literal["auto"] = 10,
        *,
        encoder: str | nn.Module | Callable[[int, int], nn.Module] | BaseEstimator = "mlp",
        hidden_layer_sizes: Sequence[int] = (100, 100),
        input_shape: Sequence[int] | None = None,
        penalty: str | Penalty = "l1",
        alpha: float | Literal["auto"] | None = None,
        alpha_mode: str = "relative",
        l1_ratio: float = 0.5,
        common_head: bool = False,
        task_of_output: Sequence[Any] | NDArray[Any] | None = None,
        loss: str | Sequence[str] | Mapping[Any, str] = "squared_error",
        class_weight: Literal["balanced"] | None = None,
        query_fraction: float | None = None,
        max_iter: int | None = None,
        batch_size: int = 1024,
        tasks_per_batch: int | None = None,
        learning_rate: float = 3e-3,
        optimizer: str = "adamw",
        weight_decay: float = 0.01,
        n_init: int = 1,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-6,
        warm_start: bool = False,
        cv: Any = None,
        callbacks: Sequence[Any] | None = None,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.penalty = penalty
        self.alpha = alpha
        self.alpha_mode = alpha_mode
        self.l1_ratio = l1_ratio
        self.common_head = common_head
        self.task_of_output = task_of_output
        self.loss = loss
        self.class_weight = class_weight
        self.query_fraction = query_fraction
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tasks_per_batch = tasks_per_batch
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.n_init = n_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.cv = cv
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        task_id: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> Self:
        """Train the encoder, then fit the heads of all tasks on all rows.

        Parameters
        ----------
        X : array-like or dataset of shape (n_samples, n_features)
            Rows of a table, or flattened images. Memory maps, HDF5 datasets, zarr arrays and the
            like are read when rows are needed and never as a whole, here and in the other methods;
            their numbers of one or two bytes become float32.
        Y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, or masked in a masked array, where a task was not observed on a row. In a
            `scipy.sparse` Y every explicit entry, also of zero, is an observation. The columns of
            a data frame name the tasks.
        task_id : array-like of shape (n_samples,), optional
            Long layout: the task that each row, with its one target in Y, belongs to.
        sample_weight : array-like of shape (n_samples,) or the shape of Y, optional
            Weights of rows or of single labels; a label of weight zero is a missing one.
        groups : array-like of shape (n_samples,), optional
            Groups of rows for `cv`, where the encoder is a regressor.
        y : array-like, optional
            Y under scikit-learn's name, for callers that pass it by keyword.

        Returns
        -------
        self
        """
        context = self._init_callback_context(max_subtasks=None)
        with unchanged_on_failure(self):
            started = self.encoder_ if self.warm_start and hasattr(self, "encoder_") else None
            Y = y if Y is None else Y
            return self._fit(
                X, Y, task_id, sample_weight, started, context, one_epoch=False, groups=groups
            )

    @available_if(_is_network)
    def partial_fit(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        task_id: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> Self:
        """Train the encoder for one more pass over these rows, then fit the heads on them.

        The learning rate is constant and no rows are held out. The tasks may differ from those
        of earlier calls: the fitted heads are the ones of this call. Tasks with the names that the
        model has keep its order.

        Parameters
        ----------
        X, Y, task_id, sample_weight, y
            As in `fit`.

        Returns
        -------
        self
        """
        with unchanged_on_failure(self):
            started = getattr(self, "encoder_", None)
            Y = y if Y is None else Y
            return self._fit(X, Y, task_id, sample_weight, started, None, one_epoch=True)

    def _fit(
        self,
        X: ArrayLike,
        Y: ArrayLike | None,
        task_id: ArrayLike | None,
        sample_weight: ArrayLike | None,
        started: Encoder | None,
        context: CallbackContext | None,
        *,
        one_epoch: bool,
        groups: ArrayLike | None = None,
    ) -> Self:
        settings = self._check_parameters()
        settings.encoder.warn_channels_first()
        rows = read_or_stay(check_rows(self, X, reset=started is None, min_samples=2))
        if isinstance(rows, np.ndarray):  # rows in a file are checked when they are read
            check_magnitude("X", rows)
        going_on = one_epoch and started is not None
        targets = self._check_targets(
            settings.heads,
            rows,
            Y,
            task_id,
            sample_weight,
            tasks=known_tasks(Y, self.tasks_) if going_on else None,
        )
        seed, record = open_training(
            settings, self._identity(), rows, targets, started, one_epoch=one_epoch
        )
        self.regressor_, inputs, fitted_to = fit_regressor(settings, rows, targets, groups, seed)
        of_rank = None
        if self.n_components == "auto":
            parts = (settings, inputs, fitted_to, started, seed, self.regressor_)
            settings, of_rank = choose_components(*parts, one_epoch=one_epoch)
        metadata = {"task_id": task_id, "sample_weight": sample_weight, "groups": groups}
        watching = fit_tasks(
            self,
            context,
            lambda encoder: self._attributes(settings, encoder, inputs, fitted_to),
            X,
            Y,
            **metadata,
        )
        training = (settings, inputs, fitted_to, started, seed, record)
        labels = None if self.regressor_ is None else targets
        fitted = fit_encoder(*training, one_epoch=one_epoch, watching=watching, labels=labels)
        fitted_to = fitted.targets or fitted_to
        self._set_encoder(fitted, settings.final_heads, of_rank)
        before, self.encoder_.reach = self.encoder_.reach, None
        Z, common = self._encode(inputs), settings.heads.common_head
        weight = fitted_to.values.row_weights
        if not fitted.linear and not (going_on and before is None):  # few rows do not bound all
            longest = to_tensor(Z if weight is None else Z[weight.numpy() > 0])
            self.encoder_.restrain(longest, before)
        own, refits = self._with_alpha(settings.final_heads), settings.refits_heads
        heads = fit_heads(own, Z, fitted_to, fitted.basis, refits=refits)
        if settings.regressor is not None:  # no labels need be held out beside the folds
            fitted = replace(fitted, judged=None, residuals=residuals_of(heads, Z, targets))
        heads = heads.with_residuals(fitted.residuals, targets)
        self._set_heads(heads)
        heads.warn_if_nothing_is_shared(settings.heads)
        self.prior_ = learn_task_prior(
            fitted, rows, Z, targets, heads, common=common, seed=self.n_iter_
        )
        end_fit(self, context, X, Y, **metadata)
        return self

    def _check_parameters(self) -> RepresentationSettings:
        """The parameters in records; raises for one that is not in its domain."""
        return RepresentationSettings.of(self.get_params(deep=False))

    def _check_targets(
        self,
        settings: HeadSettings,
        rows: NDArray[Any] | Rows,
        Y: ArrayLike | None,
        task_id: ArrayLike | None,
        sample_weight: ArrayLike | None,
        tasks: NDArray[Any] | None = None,
    ) -> Targets:
        targets = check_targets(
            Y,
            len(rows),
            task_id=task_id,
            sample_weight=sample_weight,
            tasks=tasks,
            caller=type(self).__name__,
        )
        check_range(targets, rows.dtype)
        return settings.targets(targets)

    def _set_encoder(
        self,
        fitted: FittedEncoder,
        settings: HeadSettings,
        loss_of_rank: NDArray[np.float64] | None,
    ) -> None:
        """Set what a training gives, with the basis that components were turned to, if any."""
        turned = settings.penalty.turns_components
        self.encoder_ = fitted.encoder
        self.alpha_ = settings.alpha if fitted.path is None else fitted.path.alpha
        curves = {} if fitted.path is None else fitted.path.curves()
        curves |= {} if loss_of_rank is None else {"loss_of_rank": loss_of_rank}
        self.path_ = Bunch(**curves) if curves else None
        self.loss_curve_ = np.array(fitted.run.losses)
        self.validation_loss_curve_ = np.array(fitted.run.held_out_losses)
        self.n_iter_ = fitted.run.best_step
        self._n_features_out = len(fitted.encoder.mean)
        if fitted.basis is not None:
            self.confidence_ = fitted.basis.confidence()
        elif not turned or not hasattr(self, "confidence_"):
            self.confidence_ = None
        of_predictions = self.regressor_ is not None
        fitted.warn(self._n_features_out, turned=turned, of_predictions=of_predictions)

    def _attributes(
        self,
        settings: RepresentationSettings,
        encoder: Encoder,
        inputs: NDArray[Any] | Rows,
        targets: Targets,
    ) -> dict[str, Any]:
        """Fitted attributes if training ended with this encoder, without a basis of its heads."""
        ready = copy.copy(self)
        ready.encoder_ = ready_encoder(encoder, inputs, targets)
        own, refits = settings.final_heads, settings.refits_heads
        ready._n_features_out, ready.alpha_ = len(encoder.mean), own.alpha
        ready._set_heads(fit_heads(own, ready._encode(inputs), targets, refits=refits))
        return new_attributes(ready, self)

    def _with_alpha(self, settings: HeadSettings) -> HeadSettings:
        """The settings with the alpha that was chosen, where it is not given."""
        return replace(settings, alpha=self.alpha_) if settings.chooses_alpha else settings

    def _set_heads(self, heads: FittedHeads) -> None:
        self.coef_ = heads.coef
        self.intercept_ = heads.intercept
        self.support_ = heads.support
        self.common_head_ = heads.common
        self.tasks_ = heads.tasks
        self.losses_ = heads.losses
        self.alpha_max_ = heads.alpha_max
        self.dual_gap_ = heads.dual_gap
        self._layout = heads.layout
        self.coef_residual_ = heads.coef_residual
        self.landmarks_ = heads.landmarks
        self.coef_landmarks_ = heads.coef_landmarks
        self.residual_share_ = heads.residual_share
        self.support_probability_ = heads.support_probability
        self.residual_std_ = heads.residual_std
        self.residual_quantiles_ = heads.residual_quantiles
        self._labels: Bunch | None = None
        heads.warn(self.tol)

    def adapt(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        task_id: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        loss: str | Sequence[str] | Mapping[Any, str] | None = None,
        task_of_output: Sequence[Any] | NDArray[Any] | None = None,
        prior: Literal["learned"] | None = "learned",
        residual: bool | Literal["linear"] = True,
    ) -> Self:
        """Heads for new tasks on the same encoder.

        What the old tasks say of a new one, `prior_`, decides how far its few labels are trusted:
        in which directions heads are large, how much noise there is, and how much of the signal
        is in X beside the components, where the new task gets a second head, on the columns of X
        (`coef_residual_`) and on how similar rows are to those of the new tasks, by a Laplace
        kernel (`coef_landmarks_`).
        Each of many strengths is weighed with its probability given the labels. Where old heads of
        squared errors have zeros, heads are averaged over which components they use, and `support_`
        has those that are used more probably than not (`support_probability_`). Coefficients are
        the means given the labels: those of the others are small, and not zero.

        Parameters
        ----------
        X, Y, task_id, sample_weight
            As in `fit`, of the new tasks.
        loss : as the parameter of that name, optional
            Losses of the new tasks; the parameter's by default.
        task_of_output : as the parameter of that name, optional
            Tasks of the new columns; the parameter's by default.
        prior : "learned" or None, default="learned"
            With None heads are fitted as those of `fit` are, under the penalty, and so they are
            where there is no prior, which takes tasks of the same loss in `fit`, squared error or
            logistic, without `task_of_output`.
        residual : bool or "linear", default=True
            Whether new tasks have heads on X too, as far as their labels ask for it; with
            "linear" on its columns alone. Without, heads weigh components alone. There are none
            where the rows of X hold more than 67 million numbers.

        Returns
        -------
        model : SparseDisentangledRepresentation
            A fitted copy that shares `encoder_` with this one, which does not change.
        """
        rows = self._check_X(X)
        settings = HeadSettings.of(self.get_params(deep=False))
        if self.regressor_ is None:  # behind one, an alpha is chosen for refitted heads
            settings = self._with_alpha(settings)
        if loss is not None:
            settings = replace(settings, loss=loss)
        if task_of_output is not None:
            settings = replace(settings, task_of_output=task_of_output)
        targets = self._check_targets(settings, rows, Y, task_id, sample_weight)
        if prior is not None:
            check_choice("prior", prior, ("learned",), ", or None")
        if not isinstance(residual, bool):
            check_choice("residual", residual, ("linear",), ", True or False")
        adapted = copy.copy(self)
        Z, common = self._transform(rows), self.common_head_ if self.common_head else None
        known = None
        if prior is not None and has_prior(self.prior_, targets):
            known = AdaptedRows.of(self.prior_, rows, Z, targets, residual=residual)
        if known is not None and known.chooses_components:
            heads = FittedHeads.unsolved(targets, Z.shape[1])
        else:
            heads = fit_heads(settings, Z, targets, common=common)
        if known is not None:
            heads = adapt_heads(heads, known, self.prior_)
            equal = targets.tasks[~targets.values.varied.numpy()]
            if len(equal):
                warn_caller(
                    f"{len(equal)} of {len(targets.tasks)} new tasks have one label or labels that "
                    f"are all equal ({', '.join(map(str, equal[:5]))}): how they depend on X is "
                    "what the old tasks say, and nothing where units are each task's own. Add "
                    "labels."
                )
        adapted._set_heads(heads)
        adapted._labels = None if known is None else known.to_arrays()
        return adapted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
