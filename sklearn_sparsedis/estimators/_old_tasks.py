"""What the old tasks of a fit say of new ones, between NumPy and `adaptation`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis.adaptation._design import TaskRows
from sklearn_sparsedis.adaptation._learn import (
    FinalHeads,
    learn_common_prior,
    learn_label_prior,
    learn_prior,
)
from sklearn_sparsedis.adaptation._prior import TaskPrior, ValuePrior
from sklearn_sparsedis.adaptation._rows import DRAWN, draw_rows
from sklearn_sparsedis.estimators._beside import (
    Beside,
    landmarks_among,
    take_rows,
    typical_distance,
)
from sklearn_sparsedis.estimators._fitted_encoder import FittedEncoder
from sklearn_sparsedis.estimators._representation_heads import FittedHeads
from sklearn_sparsedis.inputs._losses import loss_names, standard_units
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Logistic, SquaredError
from sklearn_sparsedis.nn._encoders import column_moments
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode, rows_at_once

__all__ = ["LEARNERS", "learn_task_prior"]

# rows of the old tasks that the prior is learned from, and their numbers
MOST_ROWS = 4096
MOST_NUMBERS = 2**24
# held-out labels of most tasks without which those of training take their place
ENOUGH_HELD_OUT = 10
# labels 0 and 1 in a draw, which say less than values
LABELS_DRAWN = (30, 80)
# old tasks, and labels of each, from which a mean head is learned
COMMON_TASKS = 1000
COMMON_LABELS = 500


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
    """What the tasks of a fit say of new ones, by their loss; None where they say nothing.

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
    if targets.task_of_output is not None:
        return None
    index = np.arange(0, len(Z), -(-len(Z) // min(MOST_ROWS, max(64, MOST_NUMBERS // X.shape[1]))))
    rows = np.asarray(take_rows(X, index), dtype=np.float64)
    center, scale = (x.numpy() for x in column_moments(torch.from_numpy(rows)))
    distance = typical_distance(rows, scale)
    # of tasks about a common head each has few rows, which tell no curve from noise
    landmarks = None if common else landmarks_among(rows, scale, distance)
    beside = Beside(center, scale, landmarks)
    old = OldTasks(
        components=torch.from_numpy(Z[index].astype(np.float64)),
        features=beside.features(rows),
        kinds=beside.kinds(1 if landmarks is None else 2),
        table=targets.table(torch.empty(len(Z), 0), torch.float64),
        rows=torch.from_numpy(index),
        heads=torch.from_numpy(heads.coef / standard_units(targets)[1][:, None]),
        used=torch.from_numpy(heads.support),
        held_out=None if common else _held_out(fitted, beside),
        common=common,
        seed=seed,
    )
    names, found = loss_names(targets), {}
    for name, learn in LEARNERS.items():
        prior = learn(old, np.flatnonzero(names == name)) if name in names else None
        found[name] = None if prior is None else to_arrays(prior)
    if all(prior is None for prior in found.values()):
        return None
    compared = None if landmarks is None else distance
    return Bunch(center=center, scale=scale, distance=compared, **found)


@dataclass(frozen=True)
class OldTasks:
    """Some rows of the tasks of a fit, and their heads.

    Attributes
    ----------
    components : Tensor of shape (n, m)
    features : Tensor of shape (n, q)
        Beside the components.
    kinds : Tensor of shape (k, q)
        One where a feature is of a kind, and zero elsewhere.
    table : TaskTable
        Targets of all rows.
    rows : Tensor of shape (n,)
        Which of the table these are.
    heads : Tensor of shape (T, m)
        In units of the targets.
    used : Tensor of bool, shape (T, m)
        Which components they use.
    held_out : HeldOut or None
    common : bool
        Whether tasks resemble one another and have targets in the same units.
    seed : int
        Of the choice of rows and tasks.
    """

    components: Tensor
    features: Tensor
    kinds: Tensor
    table: TaskTable
    rows: Tensor
    heads: Tensor
    used: Tensor
    held_out: "HeldOut | None"
    common: bool
    seed: int

    def targets(self, chosen: NDArray[np.intp]) -> TargetValues:
        """Of some tasks, on these rows."""
        return _of_tasks(self.table, chosen).targets(self.rows).Y

    def value_prior(self, chosen: NDArray[np.intp]) -> TaskPrior | None:
        """Of tasks with squared errors.

        The strengths come from labels that were held out of the training, as long as there are
        enough of them, because components fit the labels that they were trained on too well.
        """
        if self.common:
            return self._from_rows(learn_common_prior, chosen)
        Y, heads, used = self.targets(chosen), self.heads[chosen], self.used[chosen]
        tried, components, features, known = heads, self.components, self.features, Y
        if self.held_out is not None:
            table = _of_tasks(self.held_out.table, chosen)
            if table.Y.count.double().median() >= ENOUGH_HELD_OUT:
                components, features = self.held_out.components, self.held_out.features
                known = table.Y
                if self.held_out.heads is not None:
                    tried = self.held_out.heads[chosen]
        tasks, draws = draw_rows(components, features, known, self.seed)
        if not draws:
            return None
        own, rows = draw_rows(
            self.components, self.features, Y.of_tasks(tasks), self.seed, sizes=DRAWN[-1:]
        )
        order = _first(tasks[own], len(heads))
        final = FinalHeads(self.components, heads[order], used[order], rows[0] if rows else None)
        return learn_prior(draws, tried[_first(tasks, len(heads))], final, self.kinds)

    def label_prior(self, chosen: NDArray[np.intp]) -> TaskPrior | None:
        """Of tasks with labels 0 and 1."""
        return self._from_rows(learn_label_prior, chosen, LABELS_DRAWN)

    def _from_rows(
        self,
        learn: Callable[[list[TaskRows], TaskRows, Tensor], TaskPrior],
        chosen: NDArray[np.intp],
        sizes: Sequence[int] = DRAWN,
    ) -> TaskPrior | None:
        Y = self.targets(chosen)
        draws = draw_rows(self.components, self.features, Y, self.seed, sizes=sizes)[1]
        if not draws:
            return None
        (everything,) = draw_rows(
            self.components,
            self.features[:, :0],
            Y,
            self.seed,
            sizes=(COMMON_LABELS,),
            most_tasks=COMMON_TASKS,
        )[1]
        return learn(draws, everything, self.kinds)


LEARNERS = {SquaredError.name: OldTasks.value_prior, Logistic.name: OldTasks.label_prior}


class HeldOut(NamedTuple):
    """Rows that were held out of the training.

    Attributes
    ----------
    components : Tensor of shape (n, m)
        Of the encoder that did not see them.
    features : Tensor of shape (n, q)
    table : TaskTable
        Targets of these rows.
    heads : Tensor of shape (T, m), optional
        Of that encoder's components.
    """

    components: Tensor
    features: Tensor
    table: TaskTable
    heads: Tensor | None


def _held_out(fitted: FittedEncoder, beside: Beside) -> HeldOut | None:
    if fitted.judged is None:
        return None
    table = fitted.judged.table
    n = len(table.X)
    some = torch.arange(0, n, -(-n // min(MOST_ROWS, max(64, MOST_NUMBERS // table.X.shape[1]))))
    X = torch.cat([table.read(part) for part in some.split(rows_at_once(table.X.shape[1]))])
    encoder = fitted.judged.encoder
    with torch.no_grad(), seeded(0):
        components = encode(encoder, X.to(encoder.mean)).double()
    features = beside.features(X.double().numpy())
    return HeldOut(components, features, table.targets(some), fitted.judged.heads)


def _first(tasks: Tensor, n: int) -> Tensor:
    """Order of n tasks in which some come first, with not very many others."""
    others = torch.ones(n, dtype=torch.bool)
    others[tasks] = False
    return torch.cat([tasks, others.nonzero()[:COMMON_TASKS, 0]])


def _of_tasks(table: TaskTable, chosen: NDArray[np.intp]) -> TaskTable:
    """Targets of some tasks, on all rows."""
    return table._replace(Y=table.Y.of_tasks(torch.from_numpy(chosen)), losses=None)


def to_arrays(prior: TaskPrior) -> Bunch:
    scales, strengths = prior.scales, prior.strengths
    found = Bunch(
        mean=prior.mean.numpy(),
        moment=scales.moment.numpy(),
        feature=scales.feature.amax(1).numpy(),
        level=float(scales.level),
        dof=float(scales.dof),
        heads=strengths.heads.numpy(),
        features=strengths.features.numpy(),
        noise=strengths.noise.numpy(),
        probability=prior.log_probability.exp().numpy(),
        variance=float(prior.variance),
    )
    if isinstance(prior, ValuePrior):
        spikes = prior.spikes
        found.used_share = None if spikes is None else spikes.share[0].numpy()
        found.used_variance = None if spikes is None else spikes.slab[0].numpy()
        found.used_mean = None if spikes is None else spikes.center[0].numpy()
        found.sparse = 0.0 if prior.sparse is None else float(prior.sparse)
    return found
