"""Heads of new tasks with a prior from the old ones, between NumPy and `adaptation`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis.adaptation._evidence import Scales, Strengths
from sklearn_sparsedis.adaptation._learn import learn_common_prior, learn_prior
from sklearn_sparsedis.adaptation._prior import TaskPrior
from sklearn_sparsedis.adaptation._rows import draw_rows, rows_of_tasks
from sklearn_sparsedis.estimators._representation_heads import FittedHeads
from sklearn_sparsedis.estimators._representation_training import FittedEncoder
from sklearn_sparsedis.inputs._losses import standard_units
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import SquaredError
from sklearn_sparsedis.nn._encoders import column_moments
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._observed import ObservedTargets
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode, rows_at_once

__all__ = ["AdaptedRows", "adapt_heads", "has_prior", "learn_task_prior"]

# rows of the old tasks that the prior is learned from, and their numbers
MOST_ROWS = 4096
MOST_NUMBERS = 2**24
# numbers of the rows of new tasks up to which these have heads on the features of their own
MOST_FEATURES = 2**26
# held-out labels of most tasks without which those of training take their place
ENOUGH_HELD_OUT = 10
# old tasks, and labels of each, from which a mean head is learned
COMMON_TASKS = 1000
COMMON_LABELS = 200


def has_prior(targets: Targets) -> NDArray[np.bool_]:
    """Mask of the tasks that can have a prior: with squared errors and their own supports."""
    n_tasks = targets.shape[1]
    if targets.task_of_output is not None:
        return np.zeros(n_tasks, dtype=bool)
    losses = targets.losses or (SquaredError(),) * n_tasks
    return np.array([isinstance(loss, SquaredError) for loss in losses])


def learn_task_prior(
    fitted: FittedEncoder,
    X: NDArray[Any] | Rows,
    Z: NDArray[Any],
    targets: Targets,
    heads: FittedHeads,
    *,
    common: bool,
    seed: int,
) -> Bunch | None:
    """What the tasks of a fit say of new ones; None where they say nothing.

    The strengths come from labels that were held out of the training, as long as there are
    enough of them, because components fit the labels that they were trained on too well.

    Parameters
    ----------
    fitted : FittedEncoder
    X : ndarray or Rows of shape (n, p)
    Z : ndarray of shape (n, m)
    targets, heads
        Of the fit.
    common : bool
        Whether tasks resemble one another and have targets in the same units.
    seed : int
        Of the choice of rows and tasks.
    """
    chosen = np.flatnonzero(has_prior(targets))
    if not len(chosen):
        return None
    index = np.arange(0, len(Z), -(-len(Z) // min(MOST_ROWS, max(64, MOST_NUMBERS // X.shape[1]))))
    rows = torch.from_numpy(np.asarray(_take(X, index), dtype=np.float64))
    center, scale = column_moments(rows)
    components = torch.from_numpy(Z[index].astype(np.float64))
    table = _of_tasks(targets.table(torch.empty(len(Z), 0), torch.float64), chosen)
    table = table.targets(torch.from_numpy(index))
    features = (rows - center) / scale
    if common:
        tasks, draws = draw_rows(components, features, table.Y, seed)
        if not draws:
            return None
        sizes, most = (COMMON_LABELS,), COMMON_TASKS
        _, (everything,) = draw_rows(
            components, features[:, :0], table.Y, seed, sizes=sizes, most_tasks=most
        )
        prior = learn_common_prior(draws, everything)
    else:
        unit = standard_units(targets)[1][chosen]
        final = components, torch.from_numpy(heads.coef[chosen] / unit[:, None])
        tried = final[1]
        held_out = _held_out(fitted, chosen, center, scale)
        if held_out is not None:
            components, features, table, own = held_out
            tried = tried if own is None else own
        tasks, draws = draw_rows(components, features, table.Y, seed)
        if not draws:
            return None
        others = torch.ones(len(tried), dtype=torch.bool)
        others[tasks] = False
        order = torch.cat([tasks, others.nonzero()[:COMMON_TASKS, 0]])
        prior = learn_prior(draws, tried[order], (final[0], final[1][order]))
    return _to_arrays(prior, center, scale)


def _held_out(
    fitted: FittedEncoder, chosen: NDArray[np.intp], center: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, TaskTable, Tensor | None] | None:
    """Components, features, targets and heads of rows that were held out, if they are enough."""
    if fitted.judged is None:
        return None
    table = fitted.judged.table
    n = len(table.X)
    some = torch.arange(0, n, -(-n // min(MOST_ROWS, max(64, MOST_NUMBERS // table.X.shape[1]))))
    X = torch.cat([table.read(part) for part in some.split(rows_at_once(table.X.shape[1]))])
    table = _of_tasks(table.targets(some), chosen)
    if table.Y.count.double().median() < ENOUGH_HELD_OUT:
        return None
    encoder, heads = fitted.judged.encoder, fitted.judged.heads
    with torch.no_grad(), seeded(0):
        components = encode(encoder, X.to(encoder.mean)).double()
    return (
        components,
        (X.double() - center) / scale,
        table,
        None if heads is None else heads[chosen],
    )


def _of_tasks(table: TaskTable, chosen: NDArray[np.intp]) -> TaskTable:
    """Targets of some tasks, on all rows."""
    return table._replace(Y=table.Y.of_tasks(torch.from_numpy(chosen)), losses=None)


def _take(X: NDArray[Any] | Rows, index: NDArray[np.intp]) -> NDArray[Any]:
    """Rows at an index, of a file some at a time."""
    if isinstance(X, np.ndarray):
        return X[index]
    size = rows_at_once(X.shape[1])
    return np.concatenate([X.take(index[i : i + size]) for i in range(0, len(index), size)])


def _to_arrays(prior: TaskPrior, center: Tensor, scale: Tensor) -> Bunch:
    scales, strengths = prior.scales, prior.strengths
    return Bunch(
        mean=prior.mean.numpy(),
        moment=scales.moment.numpy(),
        feature=float(scales.feature),
        level=float(scales.level),
        dof=float(scales.dof),
        heads=strengths.heads.numpy(),
        features=strengths.features.numpy(),
        noise=strengths.noise.numpy(),
        probability=prior.log_probability.exp().numpy(),
        variance=float(prior.variance),
        center=center.numpy(),
        scale=scale.numpy(),
    )


def _from_arrays(prior: Bunch) -> TaskPrior:
    def tensor(name: str) -> Tensor:
        return torch.as_tensor(prior[name], dtype=torch.float64)

    return TaskPrior(
        mean=tensor("mean"),
        scales=Scales(tensor("moment"), tensor("feature"), tensor("level"), tensor("dof")),
        strengths=Strengths(tensor("heads"), tensor("features"), tensor("noise")),
        log_probability=tensor("probability").log(),
        variance=tensor("variance"),
    )


@dataclass(frozen=True)
class AdaptedRows:
    """Rows and targets of new tasks, and the prior that their heads have.

    Attributes
    ----------
    prior : TaskPrior
    components : Tensor of shape (n, m)
    features : Tensor of shape (n, p)
        Standardised; p is zero without heads on features.
    targets : DenseTargets or ObservedTargets of shape (n, T)
    """

    prior: TaskPrior
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
        return cls(_from_arrays(prior), components, features, targets.values)

    def packs(self) -> Any:
        """Tasks with their rows, some at a time."""
        return rows_of_tasks(self.components, self.features, self.targets)

    def deviations(
        self, Z: Tensor, features: Tensor, columns: Tensor | None
    ) -> NDArray[np.float64]:
        """Standard deviations of targets of rows, of all tasks (k, T) or of one a row (k,).

        Parameters
        ----------
        Z : Tensor of shape (k, m)
        features : Tensor of shape (k, p)
        columns : Tensor of shape (k,), optional
            The task of each row.
        """
        features = features[:, : self.features.shape[1]]
        if columns is None:
            found = torch.empty(len(Z), self.targets.shape[1], dtype=torch.float64)
            for tasks, rows in self.packs():
                found[:, tasks] = self.prior.deviation(rows, Z, features).T
            return found.numpy()
        found = torch.empty(len(Z), dtype=torch.float64)
        for tasks, rows in self.packs():
            for i, task in enumerate(tasks.tolist()):
                own = columns == task
                if own.any():
                    found[own] = self.prior.deviation(rows.task(i), Z[own], features[own])[0]
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
    def of_arrays(cls, prior: Bunch, labels: Bunch) -> "AdaptedRows":
        """From `to_arrays`."""
        components, features, row, value, weight, start = (
            torch.from_numpy(labels[name])
            for name in ("components", "features", "row", "value", "weight", "start")
        )
        Y = ObservedTargets(row, value, weight, start, len(components))
        return cls(_from_arrays(prior), components, features, Y)


def features_of(prior: Bunch, X: NDArray[Any] | Rows) -> Tensor:
    """Standardised features of rows, of a file some at a time."""
    return encode(lambda part: torch.from_numpy((part - prior.center) / prior.scale), X)


def adapt_heads(heads: FittedHeads, rows: AdaptedRows, prior: Bunch) -> FittedHeads:
    """Heads of new tasks, in the units of Y and of X, beside those under the penalty alone."""
    n_tasks, m = heads.coef.shape
    coef, intercept = np.zeros((n_tasks, m)), np.zeros(n_tasks)
    on_features = np.zeros((n_tasks, len(prior.center)))
    share = np.zeros(n_tasks)
    for which, some in rows.packs():
        tasks, found = which.numpy(), rows.prior.adapt(some)
        coef[tasks], intercept[tasks] = found.coef.numpy(), found.intercept.numpy()
        share[tasks] = found.residual_share.numpy()
        if found.feature_coef.shape[1]:
            on_features[tasks] = found.feature_coef.numpy() / prior.scale
    return replace(
        heads,
        coef=coef,
        intercept=intercept - on_features @ prior.center,
        coef_residual=on_features,
        residual_share=share if rows.features.shape[1] else np.zeros(n_tasks),
    )
