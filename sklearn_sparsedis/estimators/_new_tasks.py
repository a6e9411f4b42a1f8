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
from sklearn_sparsedis.estimators._representation_heads import FittedHeads
from sklearn_sparsedis.inputs._losses import loss_names
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.training._encode import encode

__all__ = ["AdaptedRows", "adapt_heads", "features_of", "has_prior"]

# numbers of the rows of new tasks up to which these have heads on the features of their own
MOST_FEATURES = 2**26
PRIORS = {SquaredError.name: ValuePrior, Logistic.name: LabelPrior}


def has_prior(prior: Bunch | None, targets: Targets) -> bool:
    """Return True if all tasks have losses with a prior, and supports of their own."""
    known = {name for name in PRIORS if prior is not None and prior[name] is not None}
    return targets.task_of_output is None and set(loss_names(targets)) <= known


def _from_arrays(name: str, prior: Bunch) -> TaskPrior:
    def tensor(name: str) -> Tensor:
        return torch.as_tensor(prior[name], dtype=torch.float64)

    found = PRIORS[name](
        mean=tensor("mean"),
        scales=Scales(tensor("moment"), tensor("feature"), tensor("level"), tensor("dof")),
        strengths=Strengths(tensor("heads"), tensor("features"), tensor("noise")),
        log_probability=tensor("probability").log(),
        variance=tensor("variance"),
    )
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
    features : Tensor of shape (n, p)
        Standardised; p is zero without heads on features.
    targets : DenseTargets or ObservedTargets of shape (n, T)
    """

    priors: dict[str, TaskPrior]
    losses: NDArray[np.str_]
    components: Tensor
    features: Tensor
    targets: TargetValues

    @classmethod
    def of(
        cls,
        prior: Bunch,
        X: NDArray[Any] | Rows,
        Z: NDArray[Any],
        targets: Targets,
        *,
        residual: bool,
    ) -> "AdaptedRows":
        """From what a user gave, without features where these are very many numbers."""
        components = torch.from_numpy(Z.astype(np.float64))
        if residual and len(Z) * X.shape[1] <= MOST_FEATURES:
            features = features_of(prior, X)
        else:
            features = components[:, :0]
        return cls(_priors(prior), loss_names(targets), components, features, targets.values)

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
        self, Z: Tensor, features: Tensor, predicted: Tensor, columns: Tensor | None
    ) -> NDArray[np.float64]:
        """Standard deviations of targets of rows, of all tasks (k, T) or of one a row (k,).

        Parameters
        ----------
        Z : Tensor of shape (k, m)
        features : Tensor of shape (k, p)
        predicted : Tensor of shape (k, T) or (k,)
            Of labels 0 and 1 their probabilities, which say how they scatter.
        columns : Tensor of shape (k,), optional
            The task of each row.
        """
        features = features[:, : self.features.shape[1]]
        found = (predicted * (1 - predicted)).clamp_min(0).sqrt()
        for tasks, prior, rows in self.packs():
            if not isinstance(prior, ValuePrior):
                continue
            if columns is None:
                found[:, tasks] = prior.deviation(rows, Z, features).T
                continue
            for i, task in enumerate(tasks.tolist()):
                own = columns == task
                if own.any():
                    found[own] = prior.deviation(rows.task(i), Z[own], features[own])[0]
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
    def of_arrays(cls, prior: Bunch, labels: Bunch, losses: NDArray[np.str_]) -> "AdaptedRows":
        """From `to_arrays`."""
        components, features, row, value, weight, start = (
            torch.from_numpy(labels[name])
            for name in ("components", "features", "row", "value", "weight", "start")
        )
        Y = ObservedTargets(row, value, weight, start, len(components))
        return cls(_priors(prior), losses, components, features, Y)


def _priors(prior: Bunch) -> dict[str, TaskPrior]:
    return {name: _from_arrays(name, prior[name]) for name in PRIORS if prior[name]}


def features_of(prior: Bunch, X: NDArray[Any] | Rows) -> Tensor:
    """Standardised features of rows, of a file some at a time."""
    return encode(lambda part: torch.from_numpy((part - prior.center) / prior.scale), X)


def adapt_heads(heads: FittedHeads, rows: AdaptedRows, prior: Bunch) -> FittedHeads:
    """Heads of new tasks, in the units of Y and of X.

    Those given keep what the priors do not say: the components that are used, if anything.
    """
    n_tasks, m = heads.coef.shape
    coef, intercept = np.zeros((n_tasks, m)), np.zeros(n_tasks)
    on_features = np.zeros((n_tasks, len(prior.center)))
    share = np.zeros(n_tasks)
    used = heads.support.astype(np.float64)
    for which, own, some in rows.packs():
        tasks, found = which.numpy(), own.adapt(some)
        coef[tasks], intercept[tasks] = found.coef.numpy(), found.intercept.numpy()
        share[tasks] = found.residual_share.numpy()
        if found.support_probability is not None:
            used[tasks] = found.support_probability.numpy()
        if found.feature_coef.shape[1]:
            on_features[tasks] = found.feature_coef.numpy() / prior.scale
    return replace(
        heads,
        coef=coef,
        intercept=intercept - on_features @ prior.center,
        support=used > 0.5,
        support_probability=used,
        coef_residual=on_features,
        residual_share=share if rows.features.shape[1] else np.zeros(n_tasks),
        one_kind=np.zeros(n_tasks, dtype=bool),  # which the prior does not leave constant
        alpha_max=np.full(n_tasks, np.nan),  # of no use without a penalty
        dual_gap=np.zeros(n_tasks),
    )
