"""Encoder and training of SparseDisentangledRepresentation."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch.callbacks import Callback
from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.basis._components import Components
from sklearn_sparsedis.basis._sparsest_heads import find_sparsest_basis, missing_directions
from sklearn_sparsedis.estimators._agreement import agree
from sklearn_sparsedis.estimators._base import Identity
from sklearn_sparsedis.estimators._checkpoints import open_record
from sklearn_sparsedis.estimators._encoder_training import train_encoder
from sklearn_sparsedis.estimators._encoders import check_started, new_encoder, rows_of
from sklearn_sparsedis.estimators._fitted_encoder import FittedEncoder
from sklearn_sparsedis.estimators._one_training import is_judged
from sklearn_sparsedis.estimators._regressors import TaskRegressors, cross_fit
from sklearn_sparsedis.estimators._representation_heads import standardise
from sklearn_sparsedis.estimators._settings import RepresentationSettings, TrainingSettings
from sklearn_sparsedis.estimators._stack import Stack
from sklearn_sparsedis.inputs._parameters import draw_seed
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._checkpoint import TrainingRecord
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._held_out import hold_out
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._table_heads import settle_losses
from sklearn_sparsedis.training._train import TrainingPlan

__all__ = ["fit_encoder", "fit_regressor", "open_training", "ready_encoder"]

# with fewer rows than this, "auto" spends none of them on early stopping; where they also say
# whether to train at all, a few are better than none
MIN_ROWS_TO_HOLD_OUT = 100
MIN_ROWS_TO_JUDGE = 20
# rows of a table in a file that show what components lack
MAX_ROWS_READ = 20_000
# share of the steps in which training goes on from a start near its end
CONTINUED = 1 / 3
# evaluations on held-out labels without improvement that stop a training
PATIENCE = 15


def open_training(
    settings: RepresentationSettings,
    identity: Identity,
    X: NDArray[Any] | Rows,
    targets: Targets,
    started: Encoder | None,
    *,
    one_epoch: bool,
) -> tuple[int, TrainingRecord | None]:
    """Draw the seed of a fit, on which all ranks agree, and open its record."""
    arrays = {"X": X, **targets.arrays()}
    drawn = agree(identity, arrays, draw_seed(settings.training.random_state))
    return drawn, None if one_epoch else open_record(identity, arrays, drawn, started)


def fit_regressor(
    settings: RepresentationSettings,
    X: NDArray[Any] | Rows,
    targets: Targets,
    groups: ArrayLike | None,
    seed: int,
) -> tuple[TaskRegressors | None, NDArray[Any] | Rows, Targets]:
    """Fit the regressor of the encoder if it is one.

    Returns
    -------
    regressor : TaskRegressors or None
    inputs : ndarray or Rows of shape (n, d)
        What the network behind it is trained on: combinations of predictions of rows that
        regressors have not seen; or else the rows.
    targets : Targets
        What heads are fitted to.
    """
    if settings.regressor is None:
        if groups is not None:
            raise ValueError(
                "groups are for an encoder that is a regressor, and this one is a network: leave "
                "groups out."
            )
        return None, X, targets
    standard, (mean, scale) = standardise(targets, jointly=settings.heads.common_head)
    held_out, fold, folds = cross_fit(settings.regressor, X, standard, groups, seed)
    stack = Stack.of(held_out, fold, standard, settings.regressor.n_components)
    if settings.heads.of_stacked_predictions:
        targets = stack.targets(held_out, standard, targets, mean, scale)
    return TaskRegressors(folds, stack), stack.combine(held_out), targets


def fit_encoder(
    settings: RepresentationSettings,
    X: NDArray[Any] | Rows,
    targets: Targets,
    started: Encoder | None,
    seed: int,
    record: TrainingRecord | None,
    *,
    one_epoch: bool,
    watching: Sequence[Callback] = (),
    labels: Targets | None = None,
) -> FittedEncoder:
    """Train an encoder, from `started` where that is given; the best of `n_init` runs.

    The callbacks in `watching` are told of all trainings, beside those of the settings. Where
    targets are predictions, `labels` are what they predict.
    """
    check_started(started, settings.encoder.n_components)
    training, penalty = settings.training, settings.heads.penalty
    standard, (mean, scale) = standardise(targets, jointly=settings.heads.common_head)
    x = rows_of(X)
    table = standard.table(x, x.dtype)
    seeds = np.random.RandomState(seed).randint(2**31 - 1, size=training.n_init)
    table = _settle_losses(settings, table, started, int(seeds[0]))
    standard = replace(standard, losses=table.losses)
    n_batches = -(-len(table.X) // min(settings.batch_size, len(table.X)))
    plan = training.plan(
        PATIENCE,
        watching,
        max_iter=n_batches if one_epoch else training.max_iter,
        anneal=started is None and not one_epoch and penalty.annealed,
        constant_rate=one_epoch,
        record=record,
    )
    # the same labels for all trainings, which are compared on them
    chooses = settings.heads.chooses_alpha
    spares = (training.max_iter > 0 or chooses) and _spares_labels(settings, table, started)
    parts = _held_out(training, table, int(seeds[0])) if spares and not one_epoch else None
    if chooses and parts is None and labels is None and not one_epoch:
        warn_caller(
            f'alpha="auto" took {settings.heads.alpha}, because no labels were held out to choose '
            f"it on: that takes {MIN_ROWS_TO_JUDGE} rows, and early_stopping not to be False. "
            "Add rows, or give alpha as a number."
        )
    judge = None
    if labels is not None:
        array = (labels.array - targets.at(mean)) / targets.at(scale)
        judge = replace(standard, values=labels.with_array(array).values).table(x, x.dtype)
    fitted: list[tuple[float, FittedEncoder]] = []
    for seed in seeds.tolist() if started is None else seeds[:1].tolist():
        fitted.append(train_encoder(settings, table, standard, started, plan, seed, parts, judge))
    if not penalty.convex and started is None and not one_epoch:
        best = min(fitted, key=lambda pair: pair[0])[1]
        fitted.append(
            _from_sparsest_basis(settings, table, standard, best, plan, int(seeds[0]), parts)
        )
    best = min(fitted, key=lambda pair: pair[0])[1]
    if best.values is not None:
        array = best.values.value.double().numpy() * targets.at(scale) + targets.at(mean)
        best = replace(best, targets=targets.with_array(array))
    if not penalty.turns_components:
        return best
    to_turn = (best.encoder, table, plan.device, int(seeds[0]), started)
    basis = _rotate(*to_turn, by_laws=not one_epoch)
    return replace(best, basis=basis)


def _settle_losses(
    settings: RepresentationSettings, table: TaskTable, started: Encoder | None, seed: int
) -> TaskTable:
    """The table with losses whose parameters come from targets and components at the start."""
    if all(loss.settled for loss in table.losses or ()):
        return table
    some = torch.arange(0, len(table.X), -(-len(table.X) // MAX_ROWS_READ))
    part = table.rows(some)
    with torch.no_grad(), seeded(seed):
        encoder = started or new_encoder(settings.encoder, table, seed, more_rows=False)
        raw = encode(copy.deepcopy(encoder).to(part.X.dtype).eval().raw, part.X)
    return table._replace(losses=settle_losses(raw, part).losses)


def _from_sparsest_basis(
    settings: RepresentationSettings,
    table: TaskTable,
    targets: Targets,
    before: FittedEncoder,
    plan: TrainingPlan,
    seed: int,
    parts: tuple[TaskTable, TaskTable] | None,
) -> tuple[float, FittedEncoder]:
    """Go on under a penalty with local minima, from the basis in which the heads are sparsest."""
    turned = copy.deepcopy(before.encoder)
    _rotate(turned, table, plan.device, seed, None, by_laws=False)
    plan = replace(plan, max_iter=round(CONTINUED * plan.max_iter), anneal=False)
    loss, after = train_encoder(settings, table, targets, turned, plan, seed, parts)
    run = TrainingRun(
        before.run.losses + after.run.losses,
        before.run.held_out_losses + after.run.held_out_losses,
        len(before.run.losses) + after.run.best_step,
    )
    return loss, replace(after, run=run)


def _rotate(
    encoder: Encoder,
    table: TaskTable,
    device: torch.device,
    seed: int,
    started: Encoder | None,
    *,
    by_laws: bool,
) -> Components | None:
    """Turn the outputs of an encoder to the basis in which the heads are sparsest.

    An encoder that has such a basis keeps it where these rows do not determine another one.
    """
    before, encoder.rotation = encoder.rotation, None
    with torch.no_grad(), seeded(seed):
        raw = encode(encoder.raw, table.X)
    found = find_sparsest_basis(raw, table, device=device, seed=seed, by_laws=by_laws)
    if found.basis.problems and started is not None and before is not None:
        encoder.rotation = before
        return None
    matrix = torch.from_numpy(found.matrix)
    encoder.rotate(matrix)
    encoder.calibrate(raw.double() @ matrix.T, table.row_weights)
    missing = _missing(table, raw)
    if missing is None:
        return found
    basis = replace(found.basis, problems=(*found.basis.problems, missing))
    return replace(found, basis=basis)


def _missing(table: TaskTable, raw: Tensor) -> str | None:
    """Say what the components lack; of a table in a file some rows tell."""
    if isinstance(table.X, Tensor):
        return missing_directions(table, raw)
    chosen = torch.arange(0, len(raw), -(-len(raw) // MAX_ROWS_READ))
    return missing_directions(table.rows(chosen), raw[chosen])


def ready_encoder(encoder: Encoder, X: NDArray[Any] | Rows, targets: Targets) -> Encoder:
    """Copy, on the CPU, of an encoder in training, normalised on all rows."""
    rows = targets.values.row_weights
    ready = copy.deepcopy(encoder).to("cpu").eval()
    with torch.no_grad(), seeded(0):
        ready.calibrate(encode(ready.raw, rows_of(X)), rows)
    return ready


def _spares_labels(
    settings: RepresentationSettings, table: TaskTable, started: Encoder | None
) -> bool:
    """Whether labels are wanted to be held out; of a row and its copies none can be."""
    wanted, n = settings.training.early_stopping, len(table.X)
    if wanted != "auto" or n >= MIN_ROWS_TO_HOLD_OUT:
        return bool(wanted)
    wanted = settings.heads.chooses_alpha or is_judged(settings, table, started)
    if n < MIN_ROWS_TO_JUDGE or not wanted:
        return False
    X = table.X if isinstance(table.X, Tensor) else encode(lambda rows: rows, table.X)
    return len(X.unique(dim=0)) >= MIN_ROWS_TO_JUDGE


def _held_out(
    settings: TrainingSettings, table: TaskTable, seed: int
) -> tuple[TaskTable, TaskTable] | None:
    """The table without the labels that are held out, and these; warns where there are none."""
    parts = hold_out(table, settings.validation_fraction, seed)
    if parts is None:
        warn_caller(
            "Training does not stop early, because no task has labels to spare for it: that takes "
            "three labels that are not all equal, and of the labels 0 and 1 two of one kind. Add "
            "labels, or set early_stopping=False."
        )
    return parts
