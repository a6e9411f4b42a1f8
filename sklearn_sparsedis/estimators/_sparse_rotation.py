"""Rotate any features to the basis in which the heads of many tasks are sparsest."""

from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Bunch, Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.basis._components import Components, find_components, shared_reader
from sklearn_sparsedis.basis._correlation import components_of_correlation
from sklearn_sparsedis.basis._given_heads import components_of_heads
from sklearn_sparsedis.basis._moments import (
    Moments,
    ReadMoments,
    ReadRows,
    shared_moments,
    some_rows,
    task_moments,
)
from sklearn_sparsedis.estimators._agreement import agree
from sklearn_sparsedis.estimators._base import (
    StampedEstimator,
    unchanged_on_failure,
)
from sklearn_sparsedis.estimators._task_predictions import TaskPredictions
from sklearn_sparsedis.inputs._arrays import check_features, check_numbers, column_names
from sklearn_sparsedis.inputs._given_heads import (
    check_correlation,
    check_covariance,
    check_errors,
    row_names,
)
from sklearn_sparsedis.inputs._observations import (
    Observations,
    check_observations,
    check_weights,
)
from sklearn_sparsedis.inputs._parameters import (
    check_choice,
    check_device,
    check_integer,
    check_real,
    draw_seed,
)
from sklearn_sparsedis.inputs._rows import Rows, check_rows
from sklearn_sparsedis.inputs._tensors import cast_finite


class SparseRotation(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, TaskPredictions, StampedEstimator
):
    """Components of given features that few tasks each use: the sparsest basis of their heads.

    Least-squares heads of many tasks on features F determine the latents only up to a linear map.
    If every task uses few latents, the basis in which the heads have most zeros is the one of the
    latents themselves [1]_, also when the latents are strongly correlated. This estimator finds it
    after the fact, for features from anywhere: raw columns, PCA scores, a frozen network.

    Parameters
    ----------
    n_components : int, "auto" or None, default=None
        Number of components. None and "auto" take as many as the heads span beyond what their
        errors would (`n_latents_`). Those past the rank of the features are constant zero, with a
        warning.
    n_init : int, default=None
        Random starts of the search; None takes 8 to 64, as many as a fixed budget of arithmetic
        allows, and searches up to four times more, from half as many, until two starts have led to
        the best basis.
    min_effect : float or "auto", default="auto"
        Smallest effect of interest: coefficients below this share of their head's norm (which is
        the standard deviation that the features explain of the target) count as zero. Real heads
        are nearly sparse, with many small coefficients that enough rows make significant. "auto"
        chooses the share by evidence, from zero to two sevenths; 0 takes every zero as exact.
    device : str or torch.device, default="cpu"
        Where the search runs. The heads are a small matrix: a CPU is rarely slower.
    random_state : int, RandomState instance or None, default=None
        Draws the starts. Pass an int for reproducible results.

    Attributes
    ----------
    rotation_ : ndarray of shape (n_components, n_features)
        ``transform(F) = (F - mean_) @ rotation_.T``. Components have unit variance on the training
        rows; those with most users come first, and the sum of a component's heads is positive.
    mixing_ : ndarray of shape (n_components, n_features)
        ``inverse_transform(Z) = Z @ mixing_ + mean_``, the regression of F on the components.
    mean_ : ndarray of shape (n_features,)
        Mean of the training features.
    coef_ : ndarray of shape (n_tasks, n_components)
        Heads on the components, refitted by least squares on their supports.
    coef_average_ : ndarray of shape (n_tasks, n_components)
        Heads averaged over which components the tasks use: those of least squares on all
        components, times `support_probability_`. Where heads are only nearly sparse they are nearer
        to the true ones than `coef_` and change less with the sample, because no coefficient
        comes or goes as a whole.
    intercept_ : ndarray of shape (n_tasks,)
        Intercepts of `coef_`.
    component_covariance_ : ndarray of shape (n_components, n_components)
        Covariance of the components on the training rows, which is their correlation: the factor
        correlations of factor analysis.
    structure_ : ndarray of shape (n_tasks, n_components)
        Covariance of targets and components that the heads imply, ``coef_ @
        component_covariance_``. With targets of unit variance `coef_` is the pattern of factor
        analysis, and this its structure matrix.
    coef_features_ : ndarray of shape (n_tasks, n_features)
        The same heads on the features, ``coef_ @ rotation_``.
    intercept_features_ : ndarray of shape (n_tasks,)
        Their intercepts.
    support_ : ndarray of bool, shape (n_tasks, n_components)
        Which task uses which component: those of a probability above one half. Of tasks that were
        left out of the search, those that least squares needs by a corrected BIC.
    support_probability_ : ndarray of shape (n_tasks, n_components)
        Posterior probability that a task uses a component; one half where nothing is known.
    min_effect_ : float
        The share of a head's norm below which coefficients count as zero, beside their errors;
        zero where the zeros are exact as far as the errors can tell.
    scores_ : ndarray of shape (n_components,)
        Evidence for each component's hyperplane: gain in log-likelihood (nats) of its heads'
        coefficients over heads without zeros. Zero for components that were not searched for, or
        that laws turned.
    chance_ : ndarray of shape (n_components,)
        Evidence that the component owes to having been chosen for these heads, found by
        cross-validation over the tasks, and three nats more.
    margin_ : ndarray of shape (n_components,)
        Log-likelihood (nats) lost when the component gives way to its best rival.
    stability_ : ndarray of shape (n_components,)
        Probability that the component stays what it is, with a correlation of more than .95: over
        bootstrap samples of the tasks, and the errors of the directions that each of them chooses.
    identified_ : ndarray of bool, shape (n_components,)
        Whether the data determine the component: `identified_by_` is not "nothing".
    identified_by_ : ndarray of str, shape (n_components,)
        What the component rests on. "sparsity": zeros of the heads, of which all components
        together have more evidence than chance, and which give this one a stability of .8 or more.
        "non-Gaussianity": laws of components where sparsity left some open, if these are
        independent and not normal; see Notes.
        "nothing": other axes fit the data as well.
    n_latents_ : int
        How many independent directions of the features the heads use beyond their errors.
    n_directions_ : int
        Independent directions of the features on which heads were fitted: the rank of F, or, where
        a task has fewer than three labels for each of these, as many leading principal components
        of the standardised features as all heads together need.
    n_found_, n_starts_ : int
        Random starts that led to this basis, and of all. Where it was found once only, more starts
        may find a better one.
    head_spectrum_ : ndarray of shape (min(n_tasks, rank of F),)
        Singular values of the heads in units of their standard errors, over the largest value that
        errors alone would give: `n_latents_` of them exceed one.
    losses_ : ndarray of str, shape (n_tasks,)
        "squared_error".
    coef_residual_ : ndarray of shape (n_tasks, n_features) or None
        Of heads that `adapt` gave with a prior: coefficients of the features beside the components.
    prior_ : Bunch or None
        Of heads that `adapt` gave with a prior: what the heads of the old tasks say of new ones, as
        in `SparseDisentangledRepresentation`.
    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks in the order of `coef_`: the columns of a data frame Y, values of
        `task_id`, or else 0, 1, 2, ...
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if they have any.

    See Also
    --------
    sklearn.decomposition.FastICA : Independent components; loses correlated latents.
    sklearn.decomposition.FactorAnalysis : Its ``rotation="varimax"`` is an orthogonal relative.

    Notes
    -----
    Cost: one Gram matrix of F, then a search that does not see the rows (see
    `solvers.solve_sparse_basis`). Tasks without enough rows for a head of their own are left out
    of the search and get a head on the components. Of features with many columns for the rows,
    such as outputs of a large pretrained network, heads are fitted on leading principal components,
    whose number is chosen by Akaike's criterion for heads that share a few directions.

    Components that sparsity leaves open, such as those of dense heads or of latents that all tasks
    use together, are turned to independent components (FastICA with log cosh) of the space that
    they span, if that raises the log-likelihood of heads and rows together, if neither the rows nor
    the components that sparsity determines refute their independence, and if one or more of them
    are known by their laws, with an expected correlation of .95 or more with a latent [3]_. Normal
    latents are never turned. It is done on the rows of `fit` (50,000 of them at most, and those of
    any weight count alike), if there are no fewer components than `n_latents_`. `partial_fit`,
    `fit_heads` and `fit_correlation` have no rows, and leave such components as they are.

    Tasks with labels 0 and 1, or with counts, need no other heads: on normal features those of
    least squares have the directions of those of the log-odds, or of log-rates [2]_, and nearly so
    on others. Heads of a logistic or Poisson regression, whose errors are smaller, can be given to
    `fit_heads` with their error matrices.

    Where torch.distributed is initialised, all ranks call `fit` or `partial_fit` with the same
    data: each reads a part of the rows, their moments are added, and all end with the same model.
    The search is the same on every rank.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.
    .. [2] Brillinger, "A generalized linear model with 'Gaussian' regressor variables", in "A
       Festschrift for Erich L. Lehmann", Wadsworth, 1983.
    .. [3] Tichavsky, Koldovsky, Oja, "Performance analysis of the FastICA algorithm and
       Cramer-Rao bounds for linear independent component analysis", IEEE Transactions on Signal
       Processing, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparsedis import SparseRotation
    >>> rng = np.random.default_rng(0)
    >>> latents = rng.standard_normal((500, 3))
    >>> heads = rng.standard_normal((40, 3)) * (rng.random((40, 3)) < 0.5)
    >>> F = latents @ rng.standard_normal((3, 3))
    >>> Y = latents @ heads.T + 0.1 * rng.standard_normal((500, 40))
    >>> Z = SparseRotation(random_state=0).fit(F, Y).transform(F)
    >>> bool(np.abs(np.corrcoef(latents.T, Z.T)[:3, 3:]).max(axis=0).min() > 0.99)
    True
    """

    def __init__(
        self,
        n_components: int | Literal["auto"] | None = None,
        *,
        n_init: int | None = None,
        min_effect: float | Literal["auto"] = "auto",
        device: str | torch.device = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_init = n_init
        self.min_effect = min_effect
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(
        self,
        F: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        task_id: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> "SparseRotation":
        """Fit the heads, find their sparsest basis and refit them in it.

        Parameters
        ----------
        F : array-like or dataset of shape (n_samples, n_features)
            Features. Memory maps, HDF5 datasets, zarr arrays and the like are read in chunks. Of a
            sparse F (`scipy.sparse`) some rows at a time are made dense; its Gram matrix is dense.
        Y : array-like, dataset or sparse array of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, or masked in a masked array, where a task was not observed on a row. Of
            a sparse Y (`scipy.sparse`, in the CSR, CSC or COO format) every explicit entry, also
            of zero, is an observation, and everything else is missing. The columns of a data frame
            name the tasks.
        task_id : array-like of shape (n_samples,), optional
            Long layout: the task that each row belongs to; Y is one-dimensional then.
        sample_weight : array-like of shape (n_samples,) or the shape of Y, optional
            Weights of rows or of single labels; one of two counts as two rows.
        y : array-like, optional
            Y under scikit-learn's name, for callers that pass it by keyword.

        Returns
        -------
        self : SparseRotation
        """
        Y = y if Y is None else Y
        with unchanged_on_failure(self):
            rows, observed, seed, weight = self._check(
                F, Y, task_id, sample_weight, reset=True, min_samples=2
            )
            ranks = Ranks.joined()
            self._moments: dict[str, Any] | None = None
            own = weight is not None and weight.ndim == 2
            if isinstance(observed.Y, Rows) and observed.shared and not own:
                moments = shared_moments(rows, observed.Y, ranks, weight)
                self._moments, read = dict(vars(moments)), shared_reader(moments)
            else:
                moments = shared_moments(rows, None, ranks, weight)
                read = partial(task_moments, rows, observed, ranks=ranks, weight=weight)
            n_labels = (
                float(moments.count) * observed.before[-1] / (len(rows) * len(observed.tasks))
            )
            self._layout = observed.layout
            laws = partial(some_rows, rows, weight=weight, ranks=ranks)
            self._find(moments, read, n_labels, observed.tasks, seed, laws)
            return self

    def partial_fit(self, F: ArrayLike, Y: ArrayLike) -> "SparseRotation":
        """Continue with more rows, on which all tasks were observed.

        Moments are kept and added to, and the search is run again, so that the model is the one
        that `fit` gives on all rows since the first call or the last `fit`: its least-squares heads
        to rounding, its basis to the accuracy with which the search converges. Give few large
        chunks rather than many small ones.

        Parameters
        ----------
        F : array-like or dataset of shape (n_samples, n_features)
            Features of the new rows; at least two in the first call.
        Y : array-like or dataset of shape (n_samples,) or (n_samples, n_tasks)
            Targets without NaN, of the same tasks in every call; in a data frame they are matched
            by name, otherwise by position.

        Returns
        -------
        self : SparseRotation
        """
        with unchanged_on_failure(self):
            first = not hasattr(self, "_moments")
            if not first and self._moments is None:
                raise ValueError(
                    "partial_fit continues only where every task was observed on every row, but "
                    "this model was fitted to tasks with rows of their own, or to heads without "
                    "rows. Use fit, or call partial_fit from the start with a Y without NaN."
                )
            least = 2 if first else 1
            rows, observed, seed, _ = self._check(F, Y, None, None, reset=first, min_samples=least)
            if not isinstance(observed.Y, Rows) or not observed.shared:
                raise ValueError(
                    "partial_fit needs every task on every row: Y has missing values. Use fit."
                )
            moments = shared_moments(rows, observed.Y, Ranks.joined())
            if not first and self._moments is not None:
                moments.add(..., Moments(**self._moments))
            self._moments = dict(vars(moments))
            n_rows, self._layout = float(moments.count), observed.layout
            self._find(moments, shared_reader(moments), n_rows, observed.tasks, seed)
            return self

    def fit_heads(
        self,
        coef: ArrayLike,
        *,
        stderr: ArrayLike | None = None,
        n_samples: int | None = None,
        feature_covariance: ArrayLike | None = None,
    ) -> "SparseRotation":
        """Find the sparsest basis of heads that are known already, without rows.

        Heads are linear models of tasks on common features: loadings of a factor analysis or of
        PCA, coefficients of regressions, effect sizes of a screen. The model is the one that `fit`
        gives on the rows behind the heads, if heads and errors are those of least squares, but for
        means: features and targets count as centred.

        Parameters
        ----------
        coef : array-like of shape (n_tasks, n_features)
            Heads. The index of a pandas data frame names the tasks, its columns the features.
        stderr : array-like of shape (n_tasks,), (n_tasks, n_features) or \
                (n_tasks, n_features, n_features), optional
            Errors of the heads. One number a head: the standard error of each coefficient on
            features of unit covariance. Numbers as in `coef`: the standard errors of all
            coefficients. A matrix a head: the covariance matrix of its errors. Heads count by their
            errors, and where these differ between coefficients, so do coefficients.
        n_samples : int, optional
            Where `stderr` is not given, the rows on which the heads of targets of unit variance
            were fitted, from which their errors follow. With neither, heads count as exact.
        feature_covariance : array-like of shape (n_features, n_features), optional
            Covariance matrix of the features; the identity by default, as factors and standardised
            principal components have it.

        Returns
        -------
        self : SparseRotation
            With `coef_` on components, and `rotation_` and `mixing_` between these and the
            features. `mean_` and `intercept_` are zero.
        """
        with unchanged_on_failure(self):
            heads = check_features(self, coef, reset=True, dtype=np.float64)
            self._check_parameters()
            covariance = check_covariance(feature_covariance, heads.shape[1])
            errors = check_errors(stderr, n_samples, heads, covariance)
            found = components_of_heads(
                heads, errors, covariance, self._n_wanted(), **self._search_options()
            )
            self._moments, self._layout = None, "wide"
            mean, scale = np.zeros(heads.shape[1]), np.sqrt(covariance.diagonal())
            covariance = found.matrix @ covariance @ found.matrix.T
            self._set(found, mean, scale, covariance, row_names(coef, len(heads)))
            return self

    def fit_correlation(
        self, R: ArrayLike, n_samples: int, n_components: int | Literal["auto"] = "auto"
    ) -> "SparseRotation":
        """Factor analysis of a correlation matrix: common factors, then their sparsest basis.

        The factors are extracted by maximum likelihood. Each variable is a task then, its loadings
        are its head, and the errors of the loadings are those of a regression on the factors that
        the other variables tell of. Where `min_effect` is "auto", it is 0.15 or more, because no
        loading of a real variable is exactly zero.

        Parameters
        ----------
        R : array-like of shape (n_variables, n_variables)
            Correlation matrix, positive definite. The columns of a data frame name the variables.
        n_samples : int
            Rows that it was computed from.
        n_components : int or "auto", default="auto"
            Number of factors. "auto" is the parameter of this name if that is a number. Else it is
            the most with which every factor has the largest loadings of three variables or more,
            up to the number with the least BIC, which in many rows counts ever smaller factors.

        Returns
        -------
        self : SparseRotation
            `coef_` is the pattern, `structure_` the structure matrix and `component_covariance_`
            has the correlations of the factors. `transform` gives factor scores of rows of
            standardised variables (their expectation given the row, by regression), and
            `inverse_transform` the part of the variables that factors explain.
        """
        with unchanged_on_failure(self):
            given = check_features(self, R, reset=True, dtype=np.float64)
            self._check_parameters()
            correlation, options = check_correlation(given), self._search_options()
            wanted = self._n_wanted()
            if n_components != "auto":
                check_integer("n_components", n_components, 1)
                wanted = n_components
            factors, found = components_of_correlation(correlation, n_samples, wanted, **options)
            covariance = found.matrix @ found.matrix.T
            matrix, mixing = found.matrix @ factors.scores(), found.mixing @ factors.loadings.T
            names = getattr(self, "feature_names_in_", np.arange(len(correlation)))
            self._moments, self._layout = None, "wide"
            found = replace(found, matrix=matrix, mixing=mixing)
            scale = np.ones(len(correlation))
            self._set(found, 0 * scale, scale, covariance, names)
            return self

    def _check(
        self,
        F: ArrayLike,
        Y: Any,
        task_id: ArrayLike | None,
        sample_weight: ArrayLike | None,
        *,
        reset: bool,
        min_samples: int,
    ) -> tuple[Rows, Observations, int, NDArray[np.float64] | None]:
        """Rows, targets, seed and weights of a fit, on which the ranks that share it agree."""
        rows = check_rows(self, F, reset=reset, min_samples=min_samples, accept_sparse=True)
        self._check_parameters()
        observed = check_observations(
            Y,
            len(rows),
            task_id=task_id,
            tasks=None if reset else self.tasks_,
            caller=type(self).__name__,
            ranks=Ranks.joined(),
        )
        names = np.array([str(task) for task in observed.tasks.tolist()])
        weight = check_weights(sample_weight, observed, column_names(Y))
        arrays = {"F": rows, **observed.arrays(), "names of tasks": names}
        if weight is not None:
            arrays["sample_weight"] = weight
        seed = agree(self._identity(), arrays, draw_seed(self.random_state))
        return rows, observed, seed, weight

    def _find(
        self,
        moments: Moments,
        read: ReadMoments,
        n_labels: float,
        tasks: NDArray[Any],
        seed: int,
        read_rows: ReadRows | None = None,
    ) -> None:
        """Find the components and set the fitted attributes."""
        options = {**self._search_options(seed), "read_rows": read_rows}
        found = find_components(moments, read, self._n_wanted(), n_labels=n_labels, **options)
        covariance = found.matrix @ moments.gram @ found.matrix.T
        self._set(found, moments.z_mean, np.sqrt(moments.gram.diagonal()), covariance, tasks)

    def _n_wanted(self) -> int | None:
        """The number of components, None for as many as the heads use."""
        return None if isinstance(self.n_components, str) else self.n_components

    def _search_options(self, seed: int | None = None) -> dict[str, Any]:
        return {
            "search": {
                "n_starts": self.n_init,
                "min_effect": None if isinstance(self.min_effect, str) else self.min_effect,
            },
            "device": check_device(self.device),
            "seed": draw_seed(self.random_state) if seed is None else seed,
        }

    def _set(
        self,
        found: Components,
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
        covariance: NDArray[np.float64],
        tasks: NDArray[Any],
    ) -> None:
        """Set the fitted attributes.

        Mean and scale are those of the features, the covariance that of the components.
        """
        basis = found.basis
        if basis.problems:
            warn_caller(basis.message)
        self.mean_, self._scale = mean, np.where(scale > 0, scale, 1.0)
        self.rotation_, self.mixing_ = found.matrix, found.mixing
        self.coef_, self.intercept_ = found.coef, found.intercept
        self.coef_average_ = found.coef_average
        self.component_covariance_, self.structure_ = covariance, found.coef @ covariance
        self.support_ = found.support
        self.support_probability_ = 1 - basis.unused
        for name in ("scores", "chance", "margin", "stability", "min_effect"):
            setattr(self, f"{name}_", getattr(basis, name))
        self.identified_by_, self.identified_ = basis.identified_by, basis.identified
        self.n_latents_, self.n_directions_ = basis.n_latents, found.n_directions
        self.n_found_, self.n_starts_ = basis.n_found, basis.n_starts
        self.head_spectrum_ = basis.spectrum
        self.tasks_ = tasks
        self.losses_ = np.full(len(tasks), "squared_error")
        self.coef_residual_: NDArray[np.float64] | None = None
        self.prior_: Bunch | None = None
        self._labels: Bunch | None = None
        self._n_features_out = len(found.matrix)

    def _check_parameters(self) -> None:
        self._check_n_components()
        check_integer("n_init", self.n_init, 1, none="a fixed budget of arithmetic")
        if isinstance(self.min_effect, str):
            check_choice("min_effect", self.min_effect, ("auto",), " or a number in [0, 1)")
        else:
            check_real("min_effect", self.min_effect, 0, 1, closed="left")
        check_device(self.device)

    def _check_n_components(self) -> None:
        """Raise unless n_components is "auto", None or between 1 and the number of features."""
        if self.n_components is None or self.n_components == "auto":
            return
        number = isinstance(self.n_components, Integral) and not isinstance(self.n_components, bool)
        if not number or self.n_components < 1:
            raise ValueError(
                f'n_components must be "auto", None or a positive int, got {self.n_components!r}.'
            )
        if self.n_components > self.n_features_in_:
            raise ValueError(
                f"n_components={self.n_components} must not exceed the number of features, "
                f"{self.n_features_in_}: a linear map has no more independent components."
            )

    def _linear_map(self, wanted: str) -> tuple[NDArray[Any], NDArray[Any]]:
        check_is_fitted(self)
        return self.rotation_, -self.rotation_ @ self.mean_

    def transform(self, F: ArrayLike) -> NDArray[Any]:
        """Components of features.

        Parameters
        ----------
        F : array-like or dataset of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In the dtype of F where it is float32 or float64.
        """
        return self._transform(self._check_X(F))

    def _encoder_module(self) -> nn.Module:
        # only here, because who rotates features needs no networks
        from sklearn_sparsedis.nn import Encoder, LinearNetwork

        matrix, center = torch.tensor(self.rotation_), torch.tensor(self.mean_)
        with torch.device("meta"):  # without drawing weights
            network = LinearNetwork(len(center), len(matrix))
        network.linear.weight = nn.Parameter(matrix)
        return Encoder(network, center, torch.ones_like(center), len(matrix))

    def _check_X(self, X: ArrayLike) -> Rows:
        check_is_fitted(self)
        return check_rows(self, X, reset=False, accept_sparse=True)

    def _transform(self, rows: Any) -> NDArray[Any]:
        Z = np.empty((len(rows), len(self.rotation_)), dtype=rows.dtype)
        for some, block in rows.chunks():
            Z[some] = cast_finite(
                (block - self.mean_) @ self.rotation_.T, rows.dtype, "the components"
            )
        return Z

    def adapt(
        self,
        F: ArrayLike,
        Y: ArrayLike,
        *,
        task_id: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        prior: Literal["learned"] | None = "learned",
        residual: bool = True,
    ) -> "SparseRotation":
        """Heads for new tasks on the same components.

        The heads of the old tasks say in which directions those of new ones are large. How much
        noise there is, and how much of the signal is in F beside the components, is weighed by the
        labels of each new task.

        Parameters
        ----------
        F, Y, task_id, sample_weight
            As in `fit`, of the new tasks.
        prior : "learned" or None, default="learned"
            With None heads are least squares on the support with the best corrected BIC.
        residual : bool, default=True
            Whether new tasks have heads on F beside the components too (`coef_residual_`).

        Returns
        -------
        model : SparseRotation
            A fitted copy with the components of this one, which does not change, and heads of the
            new tasks. `support_` is that of the heads without the prior; what was learned of the
            components (`scores_` and the like) is of the old tasks. With a prior it has standard
            deviations of predictions (`predict`, `predict_interval`).
        """
        # only here, because it loads what the trained estimators need
        from sklearn_sparsedis.estimators._rotated_tasks import (
            heads_of_new_tasks,
            prior_of_rotation,
        )
        from sklearn_sparsedis.inputs._targets import check_targets

        if prior is not None:
            check_choice("prior", prior, ("learned",), ", or None")
        rows = self._check_X(F)
        targets = check_targets(
            Y,
            len(rows),
            task_id=task_id,
            sample_weight=sample_weight,
            caller=f"{type(self).__name__}.adapt",
        )
        known = None
        if prior is not None:
            known = prior_of_rotation(
                self.coef_, self.component_covariance_, self.mean_, self._scale
            )
        heads, labels = heads_of_new_tasks(
            rows, self._transform(rows), targets, known, residual=residual
        )
        adapted = copy(self)
        adapted.prior_, adapted._labels = known, labels
        adapted.coef_, adapted.intercept_, adapted.tasks_ = heads.coef, heads.intercept, heads.tasks
        adapted.coef_average_ = heads.coef  # which averages with a prior
        adapted.structure_ = heads.coef @ self.component_covariance_
        adapted.support_ = heads.support
        used = heads.support_probability
        adapted.support_probability_ = heads.support.astype(np.float64) if used is None else used
        adapted.coef_residual_, adapted.losses_ = heads.coef_residual, heads.losses
        adapted._layout, adapted._moments = heads.layout, None
        return adapted

    def inverse_transform(self, Z: ArrayLike) -> NDArray[Any]:
        """Features reconstructed from components by linear regression.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)

        Returns
        -------
        F : ndarray of shape (n_samples, n_features)
            Exact where there are as many components as independent features.
        """
        check_is_fitted(self)
        components = check_numbers(Z, "Z")
        if components.shape[1] != len(self.mixing_):
            raise ValueError(
                f"Z has {components.shape[1]} columns, but {type(self).__name__} has "
                f"{len(self.mixing_)} components."
            )
        features = components @ self.mixing_ + self.mean_
        return cast_finite(features, components.dtype, "the features")
