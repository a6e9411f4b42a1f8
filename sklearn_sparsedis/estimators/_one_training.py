"""One training of an encoder on a table, and others like it that each do without other labels."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_sparsedis.estimators._encoders import new_encoder
from sklearn_sparsedis.estimators._settings import RepresentationSettings
from sklearn_sparsedis.inputs._losses import task_weights
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._held_out import evaluation, hold_out
from sklearn_sparsedis.training._judge import LinearJudge
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._start import predict_linearly
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._train import TrainingPlan, train

__all__ = [
    "N_EVALUATIONS",
    "Trial",
    "TrialRunner",
    "is_judged",
    "is_small",
    "linear_judge",
    "new_objective",
    "read_if_small",
    "train_once",
]

# with more rows, or sets of rows that have tasks of their own, heads have no errors to speak of, or
# ridge regression takes long
MAX_JUDGED_ROWS = 10_000
MAX_JUDGED_ROW_SETS = 200
# numbers of these rows, which are held in memory
MAX_JUDGED_NUMBERS = 2**24
# evaluations on held-out labels during a training
N_EVALUATIONS = 50
# rows that several trials together are judged on, if one has fewer; and trials at most
MIN_JUDGED_ROWS = 100
MAX_TRIALS = 10


@dataclass(frozen=True)
class Trial:
    """A training on a table, and the labels that it did without."""

    objective: BilevelObjective
    table: TaskTable
    held_out: TaskTable

    def judge(self, device: torch.device) -> LinearJudge:
        """Its losses beside those of ridge regression."""
        judge = linear_judge(self.objective.encoder, self.table, self.held_out, device)
        judge(self.objective)
        return judge


@dataclass(frozen=True)
class TrialRunner:
    """Trainings that are repeated with other labels held out: a few rows say little."""

    settings: RepresentationSettings
    table: TaskTable
    targets: Targets
    started: Encoder | None
    plan: TrainingPlan
    seed: int

    @property
    def judged(self) -> bool:
        """As `is_judged`."""
        return is_judged(self.settings, self.table, self.started)

    def repeat(self, first: Trial, n_steps: int) -> list[Trial]:
        """The first trial, and as many more as give MIN_JUDGED_ROWS rows to judge on."""
        trials = [first]
        n = min(MAX_TRIALS, -(-MIN_JUDGED_ROWS // len(first.held_out.X)))
        for number in range(1, n):
            fraction = self.settings.training.validation_fraction
            parts = hold_out(self.table, fraction, self.seed + number)
            if parts is not None:
                arguments = self.targets, self.started, self.plan, self.seed
                one, _ = train_once(self.settings, parts[0], *arguments, n_steps=n_steps)
                trials.append(Trial(one, *parts))
        return trials


def train_once(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
    held_out: TaskTable | None = None,
    n_steps: int | None = None,
    n_evaluations: int = N_EVALUATIONS,
) -> tuple[BilevelObjective, TrainingRun]:
    """One training on a table, and how it went; as `train`."""
    objective = new_objective(settings, table, targets, started, seed, more_rows=plan.constant_rate)
    n_steps = plan.max_iter if n_steps is None else n_steps
    n_batches = max(n_steps, 1)
    evaluate: Callable[[BilevelObjective], float] | None = None
    if held_out is not None:
        n_batches = max(1, plan.max_iter // n_evaluations)
        if is_judged(settings, table, started):
            evaluate = linear_judge(objective.encoder, table, held_out, plan.device)
        else:
            evaluate = evaluation(table.to(plan.device), held_out.to(plan.device), seed)
    batches = TaskBatches(
        table.to(plan.device),
        batch_size=settings.batch_size,
        tasks_per_batch=settings.tasks_per_batch,
        query_fraction=settings.query_fraction,
        n_batches=n_batches,
        n_total=n_steps,
        seed=seed,
        part=objective.ranks.part,
    )
    return objective, train(objective, batches, plan, evaluate, n_steps)


def linear_judge(
    encoder: Encoder, table: TaskTable, held_out: TaskTable, device: torch.device
) -> LinearJudge:
    """Comparison on held-out labels with the ridge regression of a table."""
    linear, beside = predict_linearly(encoder, table, [held_out])
    return LinearJudge(table, held_out, linear, beside, device)


def new_objective(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    started: Encoder | None,
    seed: int,
    *,
    more_rows: bool,
) -> BilevelObjective:
    if started is None:
        encoder = new_encoder(settings.encoder, table, seed, more_rows=more_rows)
    else:
        encoder = copy.deepcopy(started).to(table.X.dtype)
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    problem = settings.heads.problem(torch.ones((), dtype=torch.float64))
    weight = task_weights(targets, balanced=problem.balanced)
    return BilevelObjective(
        encoder, problem, table.Y.shape[1], settings.encoder.n_components, weight
    )


def is_judged(settings: RepresentationSettings, table: TaskTable, started: Encoder | None) -> bool:
    """Whether held-out labels compare a training with ridge regression, which it starts with."""
    return (
        started is None
        and settings.regressor is None
        and settings.encoder.encoder in ("linear", "mlp")
        and settings.heads.penalty.convex
        and settings.heads.of_stacked_predictions
        and table.losses is None
        and table.task_of_output is None
        and is_small(table)
        and table.Y.n_row_sets <= MAX_JUDGED_ROW_SETS
    )


def read_if_small(table: TaskTable) -> TaskTable:
    """Rows of a file in memory where trainings on so few rows are judged."""
    if isinstance(table.X, Tensor) or not is_small(table):
        return table
    return table._replace(X=encode(lambda rows: rows, table.X))


def is_small(table: TaskTable) -> bool:
    n, d = table.X.shape
    return n <= MAX_JUDGED_ROWS and n * d <= MAX_JUDGED_NUMBERS
