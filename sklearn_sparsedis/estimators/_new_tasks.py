"""Heads of new tasks with a prior from the old ones, between NumPy and `adaptation`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import TaskRows
from sklearn_sparsedis.adaptation._evidence import Scales, Strengths
from sklearn_sparsedis.adaptation._prior import LabelPrior, TaskPrior, ValuePrior
from sklearn_sparsedis.adaptation._rows import rows_of_tasks
from sklearn_sparsedis.adaptation._spike_slab import Spikes
from sklearn_sparsedis.estimators._beside import Beside, landmarks_among, landmarks_of
from sklearn_sparsedis.estimators._representation_heads import FittedHeads
from sklearn_sparsedis.inputs._losses import loss_names
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._observed import ObservedTargets

__all__ = ["AdaptedRows", "adapt_heads", "has_prior"]

# numbers of the rows of new tasks up to which these have heads on the features of their own
MOST_FEATURES = 2**26
# tasks that tell which strengths those of the others need not be tried with
TELLING = 100
PRIORS = {SquaredError.name: ValuePrior, Logistic.name: LabelPrior}


def has_prior(prior: Bunch | None, targets: Targets) -> bool:
    """Return True if all tasks have losses with a prior, and supports of their own."""
    known = {name for name in PRIORS if prior is not None and prior[name] is not None}
    return targets.task_of_output is None and set(loss_names(targets)) <= known


def _from_arrays(name: str, prior: Bunch, beside: Beside) -> TaskPrior:
    def tensor(name: str) -> Tensor:
        return torch.as_tensor(prior[name], dtype=torch.float64)

    kinds = beside.kinds(len(prior["feature"]))
    feature = tensor("feature")[:, None] * kinds
    found = PRIORS[name](
        mean=tensor("mean"),
        scales=Scales(tensor("moment"), feature, tensor("level"), tensor("dof")),
        strengths=Strengths(tensor("heads"), tensor("features"), tensor("noise")),
        log_probability=tensor("probability").log(),
        variance=tensor("variance"),
    )
    missing = kinds[1:].sum(1) == 0
    without = (found.strengths.features[:, 1:][:, missing] == 0).all(1)
    if without.any():  # without landmarks nothing is on similarities
        found = found.with_strengths(without.nonzero()[:, 0])
    if isinstance(found, ValuePrior) and prior.used_share is not None:
        spikes = Spikes(*(tensor(f"used_{name}") for name in ("share", "variance", "mean")))
        return replace(found, spikes=spikes, sparse=tensor("sparse"))
    return found


@dataclass(frozen=True)
class AdaptedRows:
    """Rows and targets of new tasks, and the priors that their heads have.

    Attributes
    ----------
    priors : dict from loss to TaskPrior
    losses : ndarray of shape (T,)
        Of the tasks.
    components : Tensor of shape (n, m)
    features : Tensor of shape (n, q)
        Beside the components; q is zero without heads on features.
    targets : DenseTargets or ObservedTargets of shape (n, T)
    beside : Beside
        What the features are.
    """

    priors: dict[str, TaskPrior]
    losses: NDArray[np.str_]
    components: Tensor
    features: Tensor
    targets: TargetValues
    beside: Beside

    @classmethod
    def of(
        cls,
        prior: Bunch,
        X: NDArray[Any] | Rows,
        Z: NDArray[Any],
        targets: Targets,
        *,
        residual: bool | str,
    ) -> "AdaptedRows":
        """From what a user gave, without features where these are very many numbers."""
        components = torch.from_numpy(Z.astype(np.float64))
        beside, features = _no_features(prior), components[:, :0]
        if residual and len(Z) * X.shape[1] <= MOST_FEATURES:
            landmarks = None
            if prior.distance is not None and residual != "linear":
                landmarks = landmarks_among(X, prior.scale, prior.distance)
            beside = Beside(prior.center, prior.scale, landmarks)
            features = beside.features(X)
        priors, losses = _priors(prior, beside), loss_names(targets)
        return cls(priors, losses, components, features, targets.values, beside)

    @property
    def chooses_components(self) -> bool:
        """Whether the priors of all tasks say which components they use."""
        return all(self.priors[name].chooses_components for name in np.unique(self.losses))

    def packs(self) -> Iterator[tuple[Tensor, TaskPrior, TaskRows]]:
        """Tasks with their prior and their rows, some at a time."""
        for name in np.unique(self.losses):
            tasks = torch.from_numpy(np.flatnonzero(self.losses == name))
            Y = self.targets.of_tasks(tasks)
            for some, rows in rows_of_tasks(self.components, self.features, Y):
                yield tasks[some], self.priors[name], rows

    def deviations(
        self, X: NDArray[Any] | Rows, Z: Tensor, predicted: Tensor, columns: Tensor | None
    ) -> NDArray[np.float64]:
        """Standard deviations of targets of rows, of all tasks (k, T) or of one a row (k,).

        Parameters
        ----------
        X : ndarray or Rows of shape (k, p)
        Z : Tensor of shape (k, m)
        predicted : Tensor of shape (k, T) or (k,)
            Of labels 0 and 1 their probabilities, which say how they scatter.
        columns : Tensor of shape (k,), optional
            The task of each row.
        """
        features = self.beside.features(X) if self.features.shape[1] else Z[:, :0]
        missed = self.beside.missed(features)
        found = (predicted * (1 - predicted)).clamp_min(0).sqrt()
        for tasks, prior, rows in self.packs():
            if not isinstance(prior, ValuePrior):
                continue
            if columns is None:
                found[:, tasks] = prior.deviation(rows, Z, features, missed).T
                continue
            for i, task in enumerate(tasks.tolist()):
                own = columns == task
                if own.any():
                    some = None if missed is None else missed[own]
                    found[own] = prior.deviation(rows.task(i), Z[own], features[own], some)[0]
        return found.numpy()

    def to_arrays(self) -> Bunch | None:
        """Arrays from which `of_arrays` restores them; None if they have too many numbers."""
        if self.components.numel() + self.features.numel() > MOST_FEATURES:
            return None
        Y = self.targets.observed()
        return Bunch(
            components=self.components.numpy(),
            features=self.features.numpy(),
            row=Y.row.numpy(),
            value=Y.value.numpy(),
            weight=Y.weight.numpy(),
            start=Y.start.numpy(),
        )

    @classmethod
    def of_arrays(
        cls,
        prior: Bunch,
        labels: Bunch,
        losses: NDArray[np.str_],
        landmarks: NDArray[np.float64] | None,
    ) -> "AdaptedRows":
        """From `to_arrays`, and the rows that are landmarks."""
        components, features, row, value, weight, start = (
            torch.from_numpy(labels[name])
            for name in ("components", "features", "row", "value", "weight", "start")
        )
        Y = ObservedTargets(row, value, weight, start, len(components))
        beside = _no_features(prior)
        if features.shape[1]:
            beside = Beside(prior.center, prior.scale, landmarks_of(prior, landmarks))
        return cls(_priors(prior, beside), losses, components, features, Y, beside)


def _no_features(prior: Bunch) -> Beside:
    return Beside(prior.center[:0], prior.scale[:0], None)


def _priors(prior: Bunch, beside: Beside) -> dict[str, TaskPrior]:
    return {name: _from_arrays(name, prior[name], beside) for name in PRIORS if prior[name]}


def adapt_heads(heads: FittedHeads, rows: AdaptedRows, prior: Bunch) -> FittedHeads:
    """Heads of new tasks, in the units of Y and of X.

    Those given keep what the priors do not say: the components that are used, if anything.
    """
    n_tasks, m = heads.coef.shape
    coef, intercept = np.zeros((n_tasks, m)), np.zeros(n_tasks)
    p, landmarks = len(prior.center), rows.beside.landmarks
    on_features = np.zeros((n_tasks, p))
    on_landmarks = None if landmarks is None else np.zeros((n_tasks, len(landmarks)))
    share = np.zeros(n_tasks)
    used = heads.support.astype(np.float64)
    narrowed: dict[type[TaskPrior], TaskPrior] = {}
    for which, own, some in rows.packs():
        kind = type(own)
        if kind not in narrowed and len(which) >= TELLING:
            narrowed[kind] = own.likely_given(some)
        tasks, found = which.numpy(), narrowed.get(kind, own).adapt(some)
        coef[tasks], intercept[tasks] = found.coef.numpy(), found.intercept.numpy()
        share[tasks] = found.residual_share.numpy()
        if found.support_probability is not None:
            used[tasks] = found.support_probability.numpy()
        if found.feature_coef.shape[1]:
            on_features[tasks] = found.feature_coef[:, :p].numpy() / prior.scale
        if landmarks is not None and on_landmarks is not None:
            on_landmarks[tasks] = landmarks.coefficients(found.feature_coef[:, p:]).numpy()
    return replace(
        heads,
        coef=coef,
        intercept=intercept - on_features @ prior.center,
        support=used > 0.5,
        support_probability=used,
        coef_residual=on_features,
        landmarks=None if landmarks is None else landmarks.rows.numpy(),
        coef_landmarks=on_landmarks,
        residual_share=share if rows.features.shape[1] else np.zeros(n_tasks),
        one_kind=np.zeros(n_tasks, dtype=bool),  # which the prior does not leave constant
        alpha_max=np.full(n_tasks, np.nan),  # of no use without a penalty
        dual_gap=np.zeros(n_tasks),
    )
