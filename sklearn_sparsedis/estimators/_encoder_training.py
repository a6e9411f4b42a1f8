"""One training of an encoder: for how long, judged by held-out labels, and in which basis."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sklearn_sparsedis.basis._sparsest_heads import find_sparsest_basis
from sklearn_sparsedis.estimators._fitted_encoder import FittedEncoder, JudgedEncoder
from sklearn_sparsedis.estimators._one_training import (
    MAX_JUDGED_ROWS,
    N_EVALUATIONS,
    Trial,
    TrialRunner,
    is_judged,
    new_objective,
    read_if_small,
    train_once,
)
from sklearn_sparsedis.estimators._residuals import HeldOutResiduals
from sklearn_sparsedis.estimators._settings import RepresentationSettings
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import SquaredError
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.nn._head_parts import Heads
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._far_rows import goes_on_linearly
from sklearn_sparsedis.training._judge import judge_together
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._start import SMALLEST, predict_linearly
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._strength import PathPart, StrengthPath, follow_path
from sklearn_sparsedis.training._train import TrainingPlan

__all__ = ["train_encoder"]

# with fewer than this, the held-out labels are worth a second training on all rows
MIN_ROWS_TO_SPARE = 2000
# steps of first trainings where `max_iter` is at least FEW times as large, and evaluations in them
SHORT, FEW = {100: 10, 400: 40}, 3
# rows too few to show that a training fits noise
FEW_JUDGED = 10
# of the search for a basis of sparser heads, which more starts and rounds made no better. No zero
# is rounded: that is what the penalty is for
DRAFT = {"n_starts": 32, "max_rounds": 1, "min_effect": 0.0, "trust": False}


def train_encoder(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
    parts: tuple[TaskTable, TaskTable] | None,
    labels: TaskTable | None = None,
) -> tuple[float, FittedEncoder]:
    """One training; its loss for the choice among several, and its outcome.

    Its encoder is chosen on the second part of the table after a training on the first; without
    parts it is the last one of a training on all. Where the table has predictions for targets,
    `labels` are what they predict.
    """
    table = read_if_small(table)
    part, held_out = map(read_if_small, parts) if parts else (table, None)
    judged = residuals = path = None
    with seeded(seed):
        arguments = settings, part, targets, started
        objective, run, used = _train_as_long_as_it_pays(*arguments, plan, seed, held_out)
        loss = min(run.held_out_losses, default=np.nan)
        # one head has no sparsest basis
        turns = settings.heads.penalty.trained_through.sparse and table.Y.shape[1] > 1
        turns = turns and _is_cut_short(run, used.max_iter < plan.max_iter)
        # callbacks have seen the training that chose the number of steps
        plan = replace(used, callbacks=(), title="again, on all labels")
        if held_out is not None:
            runner = TrialRunner(settings, table, targets, started, plan, seed)
            trials, run = _settle_trials(runner, Trial(objective, part, held_out), run)
            again = len(table.X) < MIN_ROWS_TO_SPARE or run.judgement["as_at_start"]
            if settings.heads.chooses_alpha:
                path = _follow_path(trials, run, turns, plan.device, seed)
            judged, residuals = _judge_encoder(trials[0], run, again)
            objective = trials[0].objective
            if again:
                arguments = settings, table, targets, started
                objective, _ = train_once(*arguments, plan, seed, n_steps=run.best_step)
        objective.eval()
        share = run.judgement["label_share"]
        goal = _mixed(objective.encoder, table, share)
        if path is not None:
            objective.problem = replace(objective.problem, alpha=path.alpha)
        linear = run.judgement["as_at_start"] and goes_on_linearly(objective.encoder, table)
        if turns:
            _turn(
                objective, goal, plan.device, seed, table if _is_hardly_judged(held_out) else goal
            )
        if labels is not None and settings.heads.chooses_alpha:
            refits = settings.refits_heads
            path = follow_path([_on_labels(objective, goal, labels)._replace(refits=refits)])
        if not settings.heads.penalty.convex:  # the objective tells local minima apart best
            loss = float(objective.fit_heads(table).result.objective.mean())
        elif np.isnan(loss) and settings.training.n_init > 1:
            loss = float(objective.mean_loss(objective.fit_heads(table).loss))
        else:
            objective.calibrate(table)
    values = None if share == 1 else goal.Y
    return loss, FittedEncoder(
        objective.encoder,
        run,
        judged=judged,
        values=values,
        linear=linear,
        residuals=residuals,
        path=path,
    )


def _settle_trials(
    runner: TrialRunner, first: Trial, run: TrainingRun
) -> tuple[list[Trial], TrainingRun]:
    """Trials of the length that is kept, of which there are several where one judges few rows.

    A training that fits noise in the end, or that hardly any rows judge, is kept only if all of
    them say that it is better than ridge regression, or there is hardly any noise.
    """
    chooses, judgement = runner.settings.heads.chooses_alpha, run.judgement
    hardly_judged = _is_hardly_judged(first.held_out) and runner.judged
    in_doubt = (judgement["hurts"] or hardly_judged) and not judgement["as_at_start"]
    if not (chooses or in_doubt):
        return [first], run
    trials = runner.repeat(first, run.best_step)
    if in_doubt and len(trials) > 1:
        judges = [trial.judge(runner.plan.device) for trial in trials]
        judgement = judgement | judge_together(judges, hurts=judgement["hurts"])
        run = replace(run, judgement=judgement)
        if judgement["as_at_start"]:
            run = replace(run, best_step=0)
            arguments = runner.targets, runner.started, runner.seed
            start = new_objective(runner.settings, first.table, *arguments, more_rows=False)
            first = replace(first, objective=start)
            trials = runner.repeat(first, 0) if chooses else [first]
    return trials, run


def _follow_path(
    trials: Sequence[Trial], run: TrainingRun, turns: bool, device: torch.device, seed: int
) -> StrengthPath:
    """Judge heads of all strengths in all trials, in one basis."""
    parts, first = [], trials[0].objective
    for trial in trials:
        objective = trial.objective
        goal = _mixed(objective.encoder, trial.table, run.judgement["label_share"])
        if turns and objective is first:
            hardly = _is_hardly_judged(trial.held_out)
            _turn(first, goal, device, seed, trial.table if hardly else goal)
        elif turns:
            _turn_like(objective.encoder, first.encoder, trial.table)
        parts.append(_on_labels(objective, goal, trial.held_out))
    path = follow_path(parts)
    first.problem = replace(first.problem, alpha=path.alpha)
    return path


def _turn_like(encoder: Encoder, other: Encoder, table: TaskTable) -> None:
    """Turn components of one encoder to be as near to those of another as they can."""
    encoder.rotation = None
    with torch.no_grad():
        raw, wanted = encode(encoder.raw, table.X).double(), encode(other, table.X).double()
        inverse = torch.linalg.pinv(raw - raw.mean(0), rtol=SMALLEST)
        encoder.rotate((inverse @ (wanted - wanted.mean(0))).T)


def _on_labels(objective: BilevelObjective, table: TaskTable, labels: TaskTable) -> PathPart:
    """What heads are fitted to, and labels on which they are judged, with their components."""
    objective.eval()
    with torch.no_grad():
        Z, new = objective.calibrate(table), encode(objective.encoder, labels.X)
    return PathPart(objective.problem, Z, table, new, labels, objective.task_weight)


def _judge_encoder(
    trial: Trial, run: TrainingRun, again: bool
) -> tuple[JudgedEncoder, HeldOutResiduals | None]:
    """The encoder of a trial and its heads, and what its labels say of residuals."""
    encoder, judged = trial.objective.encoder, trial.held_out
    X = trial.table.X
    if not isinstance(X, Tensor) or len(X) + len(judged.X) > MAX_JUDGED_ROWS:
        return JudgedEncoder(encoder, judged, None), None
    goal = _mixed(encoder, trial.table, run.judgement["label_share"])
    heads = _final_heads(trial.objective, goal)
    kept = heads.coef if again else None
    return JudgedEncoder(encoder, judged, kept), _residuals(encoder, heads, judged)


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
        trained = train_once(*arguments, tried, seed, held_out, n_evaluations=often)
        loss = min(trained[1].held_out_losses, default=np.nan)
        if not loss >= lowest:
            (objective, run), plan_of_best, lowest = trained, tried, loss
        if not trained[1].judgement["gains"]:
            break
    if run.judgement["as_at_start"]:
        objective = new_objective(*arguments, seed, more_rows=False)
        run = replace(run, best_step=0)
    return objective, run, plan_of_best


def _is_cut_short(run: TrainingRun, shortened: bool) -> bool:
    """Whether a training ended before it could find the basis that it would end in."""
    return shortened or run.judgement["hurts"] or not run.judgement["gains"]


def _is_hardly_judged(held_out: TaskTable | None) -> bool:
    return held_out is not None and len(held_out.X) < FEW_JUDGED


def _turn(
    objective: BilevelObjective,
    table: TaskTable,
    device: torch.device,
    seed: int,
    searched: TaskTable,
) -> None:
    """Turn components to the basis of sparsest heads, within the span of those that were kept.

    It is searched for with the heads of one table, which may have labels where the other has ridge
    predictions: of few rows these are shrunk so far that they hide it. It is taken where the inner
    problems reach lower objectives there than in the basis that there was, with heads that are no
    less sparse.
    """
    encoder = objective.encoder
    with torch.no_grad():
        raw = encode(encoder.raw, table.X)
    found = find_sparsest_basis(raw, searched, search=DRAFT, device=device, seed=seed)
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
