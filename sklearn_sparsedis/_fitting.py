"""What SparseDisentangledRepresentation does in fit: encoder, training, heads."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearn_sparsedis._checkpoints import agree, check_callbacks, open_record, skorch_callbacks
from sklearn_sparsedis._losses import calibrate_intercepts, one_kind, task_weights
from sklearn_sparsedis._output_tasks import common_scale, join_supports
from sklearn_sparsedis._rows import Rows
from sklearn_sparsedis._sparsest_heads import (
    SparsestBasis,
    find_sparsest_basis,
    missing_directions,
    solve_sparsest_heads,
)
from sklearn_sparsedis._validation import (
    LARGEST_RATE,
    MIN_LABELS,
    Targets,
    check_choice,
    check_device,
    check_integer,
    check_real,
    check_sizes,
    draw_seed,
    to_tensor,
)
from sklearn_sparsedis.implicit import LEAST_SQUARES
from sklearn_sparsedis.nn import (
    ENCODERS,
    CommonHead,
    Encoder,
    HeadProblem,
    build_network,
    column_moments,
    column_scale,
    linear_path,
)
from sklearn_sparsedis.tasks import FileRows, TaskTable
from sklearn_sparsedis.training import (
    OPTIMIZERS,
    BilevelObjective,
    TrainingPlan,
    TrainingRun,
    encode,
    rows_at_once,
    split_rows,
    start_linear_path,
    train,
)

__all__ = [
    "FittedEncoder",
    "FittedHeads",
    "check_parameters",
    "fit_encoder",
    "fit_heads",
    "users_network",
]

# penalty of an estimator -> penalty of the heads through which its encoder is trained
TRAINED_THROUGH = {**{name: name for name in LEAST_SQUARES}, "l0": "l2"}
# penalties of deviations from a common head
COMMON_PENALTIES = ("l1", "l2")
# with fewer rows than this, "auto" spends none of them on early stopping
MIN_ROWS_TO_HOLD_OUT = 100
# with fewer than this, the held-out rows are worth a second training on all rows
MIN_ROWS_TO_SPARE = 2000
# rows of a table in a file that show what components lack
MAX_ROWS_READ = 20_000
# share of the steps in which training goes on from a start near its end
CONTINUED = 1 / 3
# whole evaluations without improvement before training stops, as a share of all of them
PATIENCE = 15


@dataclass(frozen=True)
class FittedEncoder:
    """A trained encoder on the CPU, in evaluation mode, and how its training went."""

    encoder: Encoder
    run: TrainingRun
    basis: SparsestBasis | None = None


@dataclass(frozen=True)
class FittedHeads:
    """Heads in the units of Y; attributes as the estimator's of the same names."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    alpha_max: NDArray[np.float64]
    dual_gap: NDArray[np.float64]
    tasks: NDArray[Any]
    layout: str
    losses: NDArray[np.str_]
    one_kind: NDArray[np.bool_]
    support: NDArray[np.bool_]
    common: Bunch | None


def check_parameters(estimator: Any) -> None:
    """Raise for a parameter that is not in its domain."""
    p = estimator
    check_integer("n_components", p.n_components, 1)
    if isinstance(p.encoder, str) or not (isinstance(p.encoder, nn.Module) or callable(p.encoder)):
        also = ", an nn.Module, or a callable (n_features_in, n_components) -> nn.Module"
        check_choice("encoder", p.encoder, ENCODERS, also)
    check_sizes("hidden_layer_sizes", p.hidden_layer_sizes)
    check_sizes("input_shape", p.input_shape, none="square grey images")
    check_choice("penalty", p.penalty, TRAINED_THROUGH)
    if not isinstance(p.common_head, bool | np.bool_):
        raise TypeError(f"common_head must be True or False, got {p.common_head!r}.")
    if p.common_head and p.penalty not in COMMON_PENALTIES:
        known = " or ".join(f"'{name}'" for name in COMMON_PENALTIES)
        raise ValueError(
            f"common_head=True is not available with penalty={p.penalty!r}: choose {known}."
        )
    check_choice("alpha_mode", p.alpha_mode, ("absolute", "relative"))
    if p.class_weight is not None:
        check_choice("class_weight", p.class_weight, ("balanced",), ", or None")
    relative = p.alpha_mode == "relative"
    check_real("alpha", p.alpha, 0, 1 if relative else np.inf)
    check_real("query_fraction", p.query_fraction, 0, 1, closed="neither", none="the same rows")
    check_integer("max_iter", p.max_iter, 0)
    check_integer("batch_size", p.batch_size, 2)
    check_integer("tasks_per_batch", p.tasks_per_batch, 1, none="all tasks")
    check_real("learning_rate", p.learning_rate, 0, LARGEST_RATE, closed="right")
    check_choice("optimizer", p.optimizer, OPTIMIZERS)
    check_real("weight_decay", p.weight_decay, 0, LARGEST_RATE)
    check_integer("n_init", p.n_init, 1)
    if p.early_stopping not in (True, False, "auto"):
        raise ValueError(f'early_stopping must be True, False or "auto", got {p.early_stopping!r}.')
    check_real("validation_fraction", p.validation_fraction, 0, 1, closed="neither")
    check_integer("n_iter_no_change", p.n_iter_no_change, 1, none="a third of the evaluations")
    check_real("tol", p.tol, 0, np.inf, closed="neither")
    check_callbacks(p.callbacks)
    check_device(p.device)


def fit_encoder(
    estimator: Any,
    X: NDArray[Any] | Rows,
    targets: Targets,
    started: Encoder | None,
    *,
    one_epoch: bool,
    watching: Sequence[Callback] = (),
) -> FittedEncoder:
    """Train an encoder, from `started` where that is given; the best of `n_init` runs.

    The callbacks in `watching` are told of all trainings, beside the estimator's own.
    """
    p = estimator
    values, _ = standardise(targets, jointly=bool(p.common_head))
    weights = None if targets.weights is None else to_tensor(targets.weights)
    Y = to_tensor(values.astype(X.dtype))
    table = TaskTable(_rows_of(X), Y, weights, targets.binary, targets.task_of_output)
    device = check_device(p.device)
    arrays = {"X": X, "Y": targets.values, "sample_weight": targets.weights}
    drawn = agree(p, arrays, draw_seed(p.random_state))
    seeds = np.random.RandomState(drawn).randint(2**31 - 1, size=p.n_init)
    record = None
    if not one_epoch:
        record = open_record(p, arrays, drawn, started)
    callbacks = [*skorch_callbacks(p.callbacks), *watching]
    plan = _plan(p, table, device, callbacks, fresh=started is None, one_epoch=one_epoch)
    plan = replace(plan, record=record)
    fitted: list[tuple[float, FittedEncoder]] = []
    for seed in seeds.tolist() if started is None else seeds[:1].tolist():
        fitted.append(_run(p, table, started, plan, seed, hold_out=not one_epoch))
    if p.penalty == "mcp" and started is None and not one_epoch:
        best = min(fitted, key=lambda pair: pair[0])[1]
        fitted.append(_from_sparsest_basis(p, table, targets, best, plan, int(seeds[0])))
    best = min(fitted, key=lambda pair: pair[0])[1]
    if p.penalty != "l0":
        return best
    basis = _rotate(best.encoder, table, targets, device, int(seeds[0]), started)
    return replace(best, basis=basis)


def _from_sparsest_basis(
    p: Any,
    table: TaskTable,
    targets: Targets,
    before: FittedEncoder,
    plan: TrainingPlan,
    seed: int,
) -> tuple[float, FittedEncoder]:
    """Go on under a penalty with local minima, from the basis in which the heads are sparsest."""
    turned = copy.deepcopy(before.encoder)
    _rotate(turned, table, targets, plan.device, seed, None)
    plan = replace(plan, max_iter=round(CONTINUED * plan.max_iter), anneal=False)
    loss, after = _run(p, table, turned, plan, seed, hold_out=True)
    run = TrainingRun(
        before.run.losses + after.run.losses,
        before.run.held_out_losses + after.run.held_out_losses,
        len(before.run.losses) + after.run.best_step,
    )
    return loss, replace(after, run=run)


def _rotate(
    encoder: Encoder,
    table: TaskTable,
    targets: Targets,
    device: torch.device,
    seed: int,
    started: Encoder | None,
) -> SparsestBasis | None:
    """Turn the outputs of an encoder to the basis in which the heads are sparsest.

    An encoder that has such a basis keeps it where these rows do not determine another one.
    """
    with torch.no_grad():
        raw = encode(encoder.raw, table.X)
    found = find_sparsest_basis(raw, table.Y, targets, device=device, seed=seed)
    if found.basis.problems and started is not None and started.rotation is not None:
        return None
    encoder.rotate(found.matrix)
    encoder.calibrate(raw.double() @ found.matrix.T, table.row_weights)
    weights = None if targets.weights is None else to_tensor(targets.weights)
    missing = _missing(table, raw, weights)
    if missing is None:
        return found
    basis = replace(found.basis, problems=(*found.basis.problems, missing))
    return replace(found, basis=basis)


def _missing(table: TaskTable, raw: Tensor, weights: Tensor | None) -> str | None:
    """What the components lack; of a table in a file some rows tell."""
    if isinstance(table.X, Tensor):
        return missing_directions(table.X, raw, table.Y, weights)
    chosen = torch.arange(0, len(raw), -(-len(raw) // MAX_ROWS_READ))
    weights = None if weights is None else weights[chosen]
    return missing_directions(table.X[chosen], raw[chosen], table.Y[chosen], weights)


def _run(
    p: Any,
    table: TaskTable,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
    *,
    hold_out: bool,
) -> tuple[float, FittedEncoder]:
    """One training; its loss for the choice among several, and its outcome."""
    with torch.random.fork_rng([plan.device] if plan.device.type == "cuda" else []):
        torch.manual_seed(seed)
        held_out = _held_out(p, table, seed) if hold_out else None
        if held_out is not None and held_out.any():
            part = table.part(~held_out)
            objective = _objective(p, part, started, seed)
            run = train(objective, part, plan, seed=seed, held_out=table.part(held_out))
            loss = min(run.held_out_losses)
            if len(table.X) < MIN_ROWS_TO_SPARE:
                # callbacks have seen the training that chose the number of steps
                plan = replace(plan, callbacks=())
                objective = _objective(p, table, started, seed)
                train(objective, table, plan, seed=seed, n_steps=run.best_step)
        else:
            objective = _objective(p, table, started, seed)
            run = train(objective, table, plan, seed=seed)
            loss = np.nan
    objective.eval()
    heads = objective.fit_heads(table)
    if p.penalty == "mcp":  # many local minima: the objective tells them apart best
        loss = float(heads.result.objective.mean())
    elif np.isnan(loss):
        loss = float(objective.mean_loss(heads.loss))
    return loss, FittedEncoder(objective.encoder, run)


def ready_encoder(encoder: Encoder, X: NDArray[Any] | Rows, targets: Targets) -> Encoder:
    """Copy, on the CPU, of an encoder in training, normalised on all rows."""
    weights = targets.weights
    if weights is not None and weights.ndim == 2:
        weights = weights.mean(1)
    rows = None if weights is None else to_tensor(weights)
    ready = copy.deepcopy(encoder).to("cpu").eval()
    with torch.no_grad():
        ready.calibrate(encode(ready.raw, _rows_of(X)), rows)
    return ready


def _plan(
    p: Any,
    table: TaskTable,
    device: torch.device,
    callbacks: Sequence[Callback],
    *,
    fresh: bool,
    one_epoch: bool,
) -> TrainingPlan:
    batch_size = min(p.batch_size, len(table.X))
    return TrainingPlan(
        max_iter=-(-len(table.X) // batch_size) if one_epoch else p.max_iter,
        batch_size=batch_size,
        tasks_per_batch=p.tasks_per_batch,
        query_fraction=p.query_fraction,
        optimizer=p.optimizer,
        learning_rate=p.learning_rate,
        weight_decay=p.weight_decay,
        device=device,
        anneal=fresh and not one_epoch and p.penalty in ("l1", "mcp"),
        constant_rate=one_epoch,
        patience=PATIENCE if p.n_iter_no_change is None else p.n_iter_no_change,
        callbacks=callbacks,
        verbose=bool(p.verbose),
    )


def _held_out(p: Any, table: TaskTable, seed: int) -> Tensor | None:
    wanted = p.early_stopping
    if wanted == "auto":
        wanted = len(table.X) >= MIN_ROWS_TO_HOLD_OUT
    if not wanted or p.max_iter == 0:
        return None
    return split_rows(table, p.validation_fraction, MIN_LABELS, seed)


def _objective(p: Any, table: TaskTable, started: Encoder | None, seed: int) -> BilevelObjective:
    encoder = _new_encoder(p, table, seed) if started is None else copy.deepcopy(started)
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    problem = _problem(p, torch.ones((), dtype=torch.float64))
    weight = task_weights(table.Y, table.weights, table.binary, balanced=problem.balanced)
    return BilevelObjective(encoder, problem, table.Y.shape[1], p.n_components, weight)


def _problem(p: Any, scale: Tensor) -> HeadProblem:
    """Inner problem for targets that were divided by `scale`."""
    relative, penalty = p.alpha_mode == "relative", TRAINED_THROUGH[p.penalty]
    alpha = p.alpha if relative or penalty == "l2" else p.alpha / scale
    balanced, common = p.class_weight == "balanced", bool(p.common_head)
    return HeadProblem(penalty, alpha, relative, float(p.tol), balanced=balanced, common=common)


def _new_encoder(p: Any, table: TaskTable, seed: int) -> Encoder:
    n_features = table.X.shape[1]
    own = isinstance(p.encoder, str)
    if own:
        network = build_network(
            ENCODERS,
            p.encoder,
            n_features,
            p.n_components,
            hidden_layer_sizes=p.hidden_layer_sizes,
            input_shape=p.input_shape,
        )
    else:
        network = users_network(p.encoder, n_features, p.n_components)
    network = network.to(table.X.dtype)
    center = table.X.new_zeros(n_features)
    scale = torch.ones_like(center)
    if own:
        moments = _pixel_moments if p.encoder == "conv" else _column_moments
        center, scale = moments(table.X, table.row_weights)
    encoder = Encoder(network, center.clone(), scale.clone(), p.n_components)
    if not own:
        _check_output(encoder, table.X[:2], p.n_components)
    if linear_path(network):
        start_linear_path(encoder, table, seed)
    return encoder


def _rows_of(X: NDArray[Any] | Rows) -> Tensor | FileRows:
    """Rows as a tensor, or where they are in a file as a table that reads them."""
    return to_tensor(X) if isinstance(X, np.ndarray) else FileRows(X)


def _column_moments(X: Tensor | FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column, as `column_moments` gives them."""
    if isinstance(X, Tensor):
        return column_moments(X, row_weights)
    mean, var = _read_moments(X, row_weights)
    return mean.to(X.dtype), column_scale(mean.to(X.dtype), var.to(X.dtype))


def _read_moments(X: FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance of each column of a file, read twice."""
    weight = torch.ones(len(X)) if row_weights is None else row_weights
    weight = weight.double() / weight.double().sum()

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        size = rows_at_once(X.shape[1])
        for i in range(0, len(X), size):
            yield weight[i : i + size], X[i : min(i + size, len(X))].double()

    mean = torch.stack([w @ x for w, x in chunks()]).sum(0)
    var = torch.stack([w @ (x - mean).square() for w, x in chunks()]).sum(0)
    return mean, var


def _pixel_moments(X: Tensor | FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """One centre and scale for all pixels, so that dark corners stay dark."""
    if not isinstance(X, Tensor):
        mean, var = _read_moments(X, None)
        n = len(X) * X.shape[1]
        spread = (var + (mean - mean.mean()).square()).mean() * (n / max(n - 1, 1))
        if row_weights is not None:
            mean, _ = _read_moments(X, row_weights)
        center, scale = mean.mean().to(X.dtype), spread.sqrt().to(X.dtype)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return center.expand(X.shape[1]), scale.expand(X.shape[1])
    means = X.mean(1)
    center = (
        means.mean()
        if row_weights is None
        else (row_weights / row_weights.sum()).to(X.dtype) @ means
    )
    scale = X.std()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return center.expand(X.shape[1]), scale.expand(X.shape[1])


def users_network(
    encoder: nn.Module | Callable[[int, int], nn.Module] | Any, n_features: int, n_components: int
) -> nn.Module:
    """Copy of the module that the user gave, or what the user's callable makes."""
    if isinstance(encoder, nn.Module):
        return copy.deepcopy(encoder)
    network = encoder(n_features, n_components)
    if not isinstance(network, nn.Module):
        raise TypeError(
            "encoder must return an nn.Module when it is called with (n_features_in, "
            f"n_components), got {type(network).__name__}."
        )
    return network


def _check_output(encoder: Encoder, rows: Tensor, n_components: int) -> None:
    encoder.eval()
    try:
        with torch.no_grad():
            output = encoder.raw(rows)
    except RuntimeError as error:
        raise ValueError(
            f"encoder cannot be applied to rows of shape {tuple(rows.shape)}: {error}"
        ) from error
    encoder.train()
    if output.shape != (len(rows), n_components):
        raise ValueError(
            f"encoder must map rows to n_components={n_components} values: it gave an output of "
            f"shape {tuple(output.shape)} for {len(rows)} rows. Change its last layer or "
            "n_components."
        )


def standardise(
    targets: Targets, *, jointly: bool = False
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Targets with mean zero and variance one per task, zero where missing; and their moments.

    Labels stay as they are. Jointly, mean and variance are those of all targets together.
    """
    values, weights = targets.values, targets.weights
    full = np.ones(len(values)) if weights is None else weights
    full = np.broadcast_to(full.reshape(len(values), -1), values.shape)
    total, axis = (full.sum(), None) if jointly else (full.sum(0), 0)
    mean = np.broadcast_to((full * values).sum(axis) / total, values.shape[1])
    centred = values - mean
    with np.errstate(over="ignore"):
        var = np.broadcast_to((full * centred**2).sum(axis) / total, values.shape[1])
    if not np.isfinite(var).all():
        raise ValueError(
            "Y has values too large for their squares to be represented: divide Y by a constant."
        )
    floor = (1e2 * np.finfo(np.float64).eps * np.abs(mean)) ** 2 + np.finfo(np.float64).tiny
    scale = np.where(var > floor, np.sqrt(var), 1.0)
    standard = np.where(full > 0, centred / scale, 0.0) * (var > floor)
    if targets.binary is None:
        return standard, (mean, scale)
    binary = np.array(targets.binary)
    labels = np.where(full > 0, values, 0.0)
    moments = np.where(binary, 0.0, mean), np.where(binary, 1.0, scale)
    return np.where(binary, labels, standard), moments


def fit_heads(
    estimator: Any,
    Z: NDArray[Any],
    targets: Targets,
    basis: SparsestBasis | None = None,
    common: Bunch | None = None,
) -> FittedHeads:
    """Heads of all tasks on given components, in the units of Y.

    Parameters
    ----------
    estimator : SparseDisentangledRepresentation
    Z : ndarray of shape (n, m)
    targets : Targets
    basis : SparsestBasis, optional
        Of "l0", where it was found on these rows.
    common : Bunch, optional
        Common head of other tasks, from which these deviate; fitted on these where it is wanted
        and not given.
    """
    if common is None:
        values, (mean, scale) = standardise(targets, jointly=bool(estimator.common_head))
    else:
        values, (mean, scale) = _residual_units(targets, common)
    unit = common_scale(scale, values, targets)
    weights = None if targets.weights is None else to_tensor(targets.weights)
    components = to_tensor(Z.astype(np.float64))
    if estimator.penalty == "l0":
        heads = solve_sparsest_heads(components, to_tensor(values), weights, basis)
    else:
        problem = _problem(estimator, to_tensor(unit))
        if common is not None:
            problem = replace(problem, common=_in_units(common, mean[0], scale[0]))
        heads = problem.solve(
            components,
            to_tensor(values),
            weights,
            binary=targets.binary,
            task_of_output=targets.task_of_output,
        )
    if estimator.penalty not in ("l1", "mcp"):
        unit = np.ones_like(scale)
    coef = heads.coef.numpy() * scale[:, None]
    intercept = heads.intercept.numpy() * scale + mean
    binary = np.zeros(len(scale), dtype=bool)
    single = binary
    if targets.binary is not None:
        binary, single = np.array(targets.binary), one_kind(targets)
        if estimator.class_weight is not None:  # for probabilities, all labels count the same
            tasks = np.flatnonzero(binary & ~single)
            scores = components.numpy() @ coef[tasks].T + intercept[tasks]
            intercept[tasks] += calibrate_intercepts(scores, targets, tasks)
    if common is None and heads.common is not None:
        common = _from_units(heads.common, float(mean[0]), float(scale[0]))
    return FittedHeads(
        coef=coef,
        intercept=intercept,
        alpha_max=heads.alpha_max.numpy() * unit,
        dual_gap=heads.result.gap.numpy(),
        tasks=targets.tasks,
        layout=targets.layout,
        losses=np.where(binary, "logistic", "squared_error"),
        one_kind=single,
        # of the deviations, where there is a head to deviate from
        support=join_supports(
            (coef if heads.common is None else heads.result.coef.numpy()) != 0, targets
        ),
        common=common,
    )


def _residual_units(
    targets: Targets, common: Bunch
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Targets in units of the noise about a common head."""
    n_tasks = targets.values.shape[1]
    mean, scale = np.full(n_tasks, common.intercept), np.full(n_tasks, common.noise**0.5)
    labelled = (
        True if targets.weights is None else targets.weights.reshape(len(targets.values), -1) > 0
    )
    return np.where(labelled, (targets.values - mean) / scale, 0.0), (mean, scale)


def _from_units(common: CommonHead, mean: float, scale: float) -> Bunch:
    """A common head in the units of Y."""
    return Bunch(
        coef=common.coef.numpy() * scale,
        intercept=float(common.intercept) * scale + mean,
        noise=float(common.noise) * scale**2,
        spread=float(common.spread) * scale**2,
        intercept_spread=float(common.intercept_spread) * scale**2,
    )


def _in_units(common: Bunch, mean: float, scale: float) -> CommonHead:
    """A common head for targets from which `mean` was taken and that were divided by `scale`."""

    def tensor(value: float | NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64)

    return CommonHead(
        coef=tensor(common.coef / scale),
        intercept=tensor((common.intercept - mean) / scale),
        noise=tensor(common.noise / scale**2),
        spread=tensor(common.spread / scale**2),
        intercept_spread=tensor(common.intercept_spread / scale**2),
    )
