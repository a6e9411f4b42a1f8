"""One training of an encoder: for how long, judged by held-out labels, and in which basis."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.basis._components import Components
from sklearn_sparsedis.basis._sparsest_heads import find_sparsest_basis
from sklearn_sparsedis.estimators._encoders import new_encoder
from sklearn_sparsedis.estimators._residuals import HeldOutResiduals
from sklearn_sparsedis.estimators._settings import RepresentationSettings
from sklearn_sparsedis.inputs._losses import task_weights
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import SquaredError
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.nn._head_parts import Heads
from sklearn_sparsedis.tasks._batches import TaskBatches
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._far_rows import goes_on_linearly
from sklearn_sparsedis.training._held_out import evaluation
from sklearn_sparsedis.training._judge import LinearJudge
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._start import predict_linearly
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._train import TrainingPlan, train

__all__ = ["FittedEncoder", "JudgedEncoder", "is_judged", "train_encoder"]

# with fewer than this, the held-out labels are worth a second training on all rows
MIN_ROWS_TO_SPARE = 2000
# with more rows, or sets of rows that have tasks of their own, heads have no errors to speak of, or
# ridge regression takes long
MAX_JUDGED_ROWS = 10_000
MAX_JUDGED_ROW_SETS = 200
# numbers of these rows, which are held in memory
MAX_JUDGED_NUMBERS = 2**24
# steps of first trainings where `max_iter` is at least FEW times as large, and evaluations in them
SHORT, FEW = {100: 10, 400: 40}, 3
# of the search for a basis of sparser heads, which more starts and rounds made no better. No zero
# is rounded: that is what the penalty is for
DRAFT = {"n_starts": 32, "max_rounds": 2, "min_effect": 0.0, "trust": False}
# evaluations on held-out labels during a training
N_EVALUATIONS = 50


@dataclass(frozen=True)
class JudgedEncoder:
    """An encoder, and labels that its training did not see.

    Attributes
    ----------
    encoder : Encoder
        On the CPU, in evaluation mode.
    table : TaskTable
        Labels that were held out.
    heads : Tensor of shape (T, m) or None
        On its components for standard targets; None where it is the encoder that is kept.
    """

    encoder: Encoder
    table: TaskTable
    heads: Tensor | None


@dataclass(frozen=True)
class FittedEncoder:
    """A trained encoder on the CPU, in evaluation mode, and how its training went."""

    encoder: Encoder
    run: TrainingRun
    basis: Components | None = None
    judged: JudgedEncoder | None = None
    # what heads are fitted to, if not the labels alone: in standard units, and those of Y
    values: TargetValues | None = None
    # whether it is linear, and rows far from the others follow the line
    linear: bool = False
    targets: Targets | None = None
    # of held-out labels in standard units
    residuals: HeldOutResiduals | None = None

    def warn(self, n_components: int, *, turned: bool, of_predictions: bool) -> None:
        """Say what is wrong with a basis, or which components a linear encoder cannot have.

        `of_predictions` is for an encoder of a regressor's predictions, and not of X.
        """
        if self.basis is not None and self.basis.basis.problems:
            warn_caller(self.basis.basis.message)
        constant = [] if turned else self.encoder.unreached()
        if constant:
            rank = n_components - len(constant)
            said, remedy = "X", ', or encoder="mlp"'
            if of_predictions:
                said, remedy = "the encoder's predictions of the tasks", ""
            warn_caller(
                f"n_components={n_components} exceeds the rank of {said}, {rank}, and a linear "
                f"map has no more independent components: components {constant} are constant "
                f"zero. Set n_components={rank}{remedy}."
            )


def train_encoder(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
    parts: tuple[TaskTable, TaskTable] | None,
) -> tuple[float, FittedEncoder]:
    """One training; its loss for the choice among several, and its outcome.

    Its encoder is chosen on the second part of the table after a training on the first; without
    parts it is the last one of a training on all.
    """
    table = _read_if_small(table)
    part, held_out = map(_read_if_small, parts) if parts else (table, None)
    judged = residuals = None
    with seeded(seed):
        arguments = settings, part, targets, started
        objective, run, used = _train_as_long_as_it_pays(*arguments, plan, seed, held_out)
        loss, share = min(run.held_out_losses, default=np.nan), run.judgement["label_share"]
        # one head has no sparsest basis
        turns = settings.heads.penalty.trained_through.sparse and table.Y.shape[1] > 1
        turns = turns and _is_cut_short(run, used.max_iter < plan.max_iter)
        # callbacks have seen the training that chose the number of steps
        plan = replace(used, callbacks=(), title="again, on all labels")
        if held_out is not None:
            again = len(table.X) < MIN_ROWS_TO_SPARE or run.judgement["as_at_start"]
            judged = JudgedEncoder(objective.encoder, held_out, None)
            if isinstance(table.X, Tensor) and len(table.X) <= MAX_JUDGED_ROWS:
                heads = _final_heads(objective, _mixed(objective.encoder, part, share))
                judged = replace(judged, heads=heads.coef if again else None)
                residuals = _residuals(objective.encoder, heads, held_out)
            if again:
                arguments = settings, table, targets, started
                objective, _ = _train(*arguments, plan, seed, n_steps=run.best_step)
        objective.eval()
        goal = _mixed(objective.encoder, table, share)
        linear = run.judgement["as_at_start"] and goes_on_linearly(objective.encoder, table)
        if turns:
            _turn(objective, goal, plan.device, seed)
        if not settings.heads.penalty.convex:  # the objective tells local minima apart best
            loss = float(objective.fit_heads(table).result.objective.mean())
        elif np.isnan(loss) and settings.training.n_init > 1:
            loss = float(objective.mean_loss(objective.fit_heads(table).loss))
        else:
            objective.calibrate(table)
    values = None if share == 1 else goal.Y
    return loss, FittedEncoder(
        objective.encoder, run, judged=judged, values=values, linear=linear, residuals=residuals
    )


def _read_if_small(table: TaskTable) -> TaskTable:
    """Rows of a file in memory where trainings on so few rows are judged."""
    if isinstance(table.X, Tensor) or not _is_small(table):
        return table
    return table._replace(X=encode(lambda rows: rows, table.X))


def _is_small(table: TaskTable) -> bool:
    n, d = table.X.shape
    return n <= MAX_JUDGED_ROWS and n * d <= MAX_JUDGED_NUMBERS


def _residuals(encoder: Encoder, heads: Heads, table: TaskTable) -> HeldOutResiduals | None:
    """Residuals of labels in standard units; None without squared errors."""
    with torch.no_grad():
        predicted = table.Y.predictions(encode(encoder, table.X), heads.coef, heads.intercept)
    squared = table.which(lambda loss: isinstance(loss, SquaredError)).numpy()
    return HeldOutResiduals.of(predicted - table.Y.value, table.Y, squared)


def _train_as_long_as_it_pays(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
    held_out: TaskTable | None,
) -> tuple[BilevelObjective, TrainingRun, TrainingPlan]:
    """Train for few steps, and anew on longer schedules while these may gain more; the best.

    Where training is not better than its start, that is what is kept.
    """
    arguments, schedules = (settings, table, targets, started), {plan.max_iter: N_EVALUATIONS}
    if held_out is not None and is_judged(settings, table, started):
        first = {n: often for n, often in SHORT.items() if plan.max_iter >= FEW * n}
        schedules = first | schedules
    lowest = np.inf
    for length, often in schedules.items():
        tried = replace(plan, max_iter=length)
        trained = _train(*arguments, tried, seed, held_out, n_evaluations=often)
        loss = min(trained[1].held_out_losses, default=np.nan)
        if not loss >= lowest:
            (objective, run), plan_of_best, lowest = trained, tried, loss
        if not trained[1].judgement["gains"]:
            break
    if run.judgement["as_at_start"]:
        objective = _objective(*arguments, seed, more_rows=False)
        run = replace(run, best_step=0)
    return objective, run, plan_of_best


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
        and _is_small(table)
        and table.Y.n_row_sets <= MAX_JUDGED_ROW_SETS
    )


def _is_cut_short(run: TrainingRun, shortened: bool) -> bool:
    """Whether a training ended before it could find the basis that it would end in."""
    return shortened or run.judgement["hurts"] or not run.judgement["gains"]


def _turn(objective: BilevelObjective, table: TaskTable, device: torch.device, seed: int) -> None:
    """Turn components to the basis of sparsest heads, within the span of those that were kept.

    It is taken where the inner problems reach lower objectives there than in the basis that there
    was, with heads that are no less sparse.
    """
    encoder = objective.encoder
    with torch.no_grad():
        raw = encode(encoder.raw, table.X)
    found = find_sparsest_basis(raw, table, search=DRAFT, device=device, seed=seed)
    before = _final_heads(objective, table)
    encoder.rotate(torch.from_numpy(found.matrix).to(raw))
    after = _final_heads(objective, table)
    lower = after.result.objective.mean() < before.result.objective.mean()
    if not lower or after.coef.count_nonzero() > before.coef.count_nonzero():
        encoder.rotation = None


def _mixed(encoder: Encoder, table: TaskTable, label_share: float) -> TaskTable:
    """A table with ridge predictions for a part of its targets."""
    if label_share == 1:
        return table
    linear = predict_linearly(encoder, table)[0]
    value = label_share * table.Y.value + (1 - label_share) * linear.Y.value
    return table._replace(Y=table.Y.with_value(value))


def _final_heads(objective: BilevelObjective, table: TaskTable) -> Heads:
    """Heads of an encoder that is not trained any further."""
    objective.eval()
    with torch.no_grad():
        return objective.fit_heads(table)


def _train(
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
    objective = _objective(settings, table, targets, started, seed, more_rows=plan.constant_rate)
    n_steps = plan.max_iter if n_steps is None else n_steps
    n_batches = max(n_steps, 1)
    evaluate: Callable[[BilevelObjective], float] | None = None
    if held_out is not None:
        n_batches = max(1, plan.max_iter // n_evaluations)
        if is_judged(settings, table, started):
            linear, beside = predict_linearly(objective.encoder, table, [held_out])
            evaluate = LinearJudge(table, held_out, linear, beside, plan.device)
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


def _objective(
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
