"""What SparseDisentangledRepresentation does in fit: encoder, training, heads."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_sparsedis._sparsest_heads import (
    SparsestBasis,
    find_sparsest_basis,
    solve_sparsest_heads,
)
from sklearn_sparsedis._validation import (
    MIN_LABELS,
    Targets,
    check_choice,
    check_device,
    check_integer,
    check_real,
    draw_seed,
    to_tensor,
)
from sklearn_sparsedis.implicit import LEAST_SQUARES
from sklearn_sparsedis.nn import ENCODERS, Encoder, HeadProblem, column_moments, linear_path
from sklearn_sparsedis.tasks import TaskTable
from sklearn_sparsedis.training import (
    OPTIMIZERS,
    BilevelObjective,
    TrainingPlan,
    TrainingRun,
    encode,
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
# with fewer rows than this, "auto" spends none of them on early stopping
MIN_ROWS_TO_HOLD_OUT = 100
# with fewer than this, the held-out rows are worth a second training on all rows
MIN_ROWS_TO_SPARE = 2000
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


def check_parameters(estimator: Any) -> None:
    """Raise for a parameter that is not in its domain."""
    p = estimator
    check_integer("n_components", p.n_components, 1)
    if isinstance(p.encoder, str) or not (isinstance(p.encoder, nn.Module) or callable(p.encoder)):
        also = ", an nn.Module, or a callable (n_features_in, n_components) -> nn.Module"
        check_choice("encoder", p.encoder, ENCODERS, also)
    for width in p.hidden_layer_sizes:
        check_integer("hidden_layer_sizes", width, 1)
    check_choice("penalty", p.penalty, TRAINED_THROUGH)
    check_choice("alpha_mode", p.alpha_mode, ("absolute", "relative"))
    relative = p.alpha_mode == "relative"
    check_real("alpha", p.alpha, 0, 1 if relative else np.inf)
    check_real("query_fraction", p.query_fraction, 0, 1, closed="neither", none="the same rows")
    check_integer("max_iter", p.max_iter, 0)
    check_integer("batch_size", p.batch_size, 2)
    check_integer("tasks_per_batch", p.tasks_per_batch, 1, none="all tasks")
    check_real("learning_rate", p.learning_rate, 0, np.inf, closed="neither")
    check_choice("optimizer", p.optimizer, OPTIMIZERS)
    check_real("weight_decay", p.weight_decay, 0, np.inf, closed="left")
    check_integer("n_init", p.n_init, 1)
    if p.early_stopping not in (True, False, "auto"):
        raise ValueError(f'early_stopping must be True, False or "auto", got {p.early_stopping!r}.')
    check_real("validation_fraction", p.validation_fraction, 0, 1, closed="neither")
    check_integer("n_iter_no_change", p.n_iter_no_change, 1, none="a third of the evaluations")
    check_real("tol", p.tol, 0, np.inf, closed="neither")
    check_device(p.device)


def fit_encoder(
    estimator: Any,
    X: NDArray[Any],
    targets: Targets,
    started: Encoder | None,
    *,
    one_epoch: bool,
) -> FittedEncoder:
    """Train an encoder, from `started` where that is given; the best of `n_init` runs."""
    p = estimator
    values, _ = standardise(targets)
    weights = None if targets.weights is None else to_tensor(targets.weights)
    table = TaskTable(to_tensor(X), to_tensor(values.astype(X.dtype)), weights)
    device = check_device(p.device)
    seeds = np.random.RandomState(draw_seed(p.random_state)).randint(2**31 - 1, size=p.n_init)
    fitted: list[tuple[float, FittedEncoder]] = []
    for seed in seeds.tolist() if started is None else seeds[:1].tolist():
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            fitted.append(_run(p, table, started, device, seed, one_epoch))
    best = min(fitted, key=lambda pair: pair[0])[1]
    if p.penalty != "l0":
        return best
    basis = _rotate(best.encoder, table, targets, device, int(seeds[0]), started)
    return replace(best, basis=basis)


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
    return found


def _run(
    p: Any,
    table: TaskTable,
    started: Encoder | None,
    device: torch.device,
    seed: int,
    one_epoch: bool,
) -> tuple[float, FittedEncoder]:
    """One training; its loss for the choice among restarts, and its outcome."""
    plan = _plan(p, table, device, fresh=started is None, one_epoch=one_epoch)
    held_out = _held_out(p, table, seed) if not one_epoch else None
    if held_out is not None and held_out.any():
        part = table.rows(~held_out)
        objective = _objective(p, part, started, seed)
        run = train(objective, part, plan, seed=seed, held_out=table.rows(held_out))
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
        loss = float(heads.loss.mean())
    return loss, FittedEncoder(objective.encoder, run)


def _plan(
    p: Any, table: TaskTable, device: torch.device, *, fresh: bool, one_epoch: bool
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
        callbacks=list(p.callbacks or ()),
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
    return BilevelObjective(encoder, problem, table.Y.shape[1], p.n_components)


def _problem(p: Any, scale: Tensor) -> HeadProblem:
    """Inner problem for targets that were divided by `scale`."""
    relative, penalty = p.alpha_mode == "relative", TRAINED_THROUGH[p.penalty]
    alpha = p.alpha if relative or penalty == "l2" else p.alpha / scale
    return HeadProblem(penalty, alpha, relative, float(p.tol))


def _new_encoder(p: Any, table: TaskTable, seed: int) -> Encoder:
    n_features = table.X.shape[1]
    own = isinstance(p.encoder, str)
    if own:
        network = ENCODERS[p.encoder](
            n_features,
            p.n_components,
            hidden_layer_sizes=p.hidden_layer_sizes,
            input_shape=p.input_shape,
        )
    else:
        network = users_network(p, n_features)
    network = network.to(table.X.dtype)
    center, scale = table.X.new_zeros(n_features), table.X.new_ones(n_features)
    if own:
        moments = _pixel_moments if p.encoder == "conv" else column_moments
        center, scale = moments(table.X, table.row_weights)
    encoder = Encoder(network, center.clone(), scale.clone(), p.n_components)
    if not own:
        _check_output(encoder, table.X[:2], p.n_components)
    if linear_path(network):
        start_linear_path(encoder, table, seed)
    return encoder


def _pixel_moments(X: Tensor, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """One centre and scale for all pixels, so that dark corners stay dark."""
    means = X.mean(1)
    center = means.mean() if row_weights is None else row_weights.to(X) @ means / row_weights.sum()
    scale = X.std()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return center.expand(X.shape[1]), scale.expand(X.shape[1])


def users_network(p: Any, n_features: int) -> nn.Module:
    """Copy of the module that the user gave, or what the user's callable makes."""
    if isinstance(p.encoder, nn.Module):
        return copy.deepcopy(p.encoder)
    make: Callable[[int, int], nn.Module] = p.encoder
    network = make(n_features, p.n_components)
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


def standardise(targets: Targets) -> tuple[NDArray[np.float64], tuple[Any, Any]]:
    """Targets with mean zero and variance one per task, zero where missing; and their moments."""
    values, weights = targets.values, targets.weights
    full = np.ones(len(values)) if weights is None else weights
    full = np.broadcast_to(full.reshape(len(values), -1), values.shape)
    total = full.sum(0)
    mean = (full * values).sum(0) / total
    centred = values - mean
    with np.errstate(over="ignore"):
        var = (full * centred**2).sum(0) / total
    if not np.isfinite(var).all():
        raise ValueError(
            "Y has values too large for their squares to be represented: divide Y by a constant."
        )
    floor = (1e2 * np.finfo(np.float64).eps * np.abs(mean)) ** 2 + np.finfo(np.float64).tiny
    scale = np.where(var > floor, np.sqrt(var), 1.0)
    return np.where(full > 0, centred / scale, 0.0) * (var > floor), (mean, scale)


def fit_heads(
    estimator: Any, Z: NDArray[Any], targets: Targets, basis: SparsestBasis | None = None
) -> FittedHeads:
    """Heads of all tasks on given components, in the units of Y."""
    values, (mean, scale) = standardise(targets)
    weights = None if targets.weights is None else to_tensor(targets.weights)
    components = to_tensor(Z.astype(np.float64))
    if estimator.penalty == "l0":
        heads = solve_sparsest_heads(components, to_tensor(values), weights, basis)
    else:
        problem = _problem(estimator, to_tensor(scale))
        heads = problem.solve(components, to_tensor(values), weights)
    unit = scale if estimator.penalty in ("l1", "mcp") else np.ones_like(scale)
    return FittedHeads(
        coef=heads.coef.numpy() * scale[:, None],
        intercept=heads.intercept.numpy() * scale + mean,
        alpha_max=heads.alpha_max.numpy() * unit,
        dual_gap=heads.result.gap.numpy(),
        tasks=targets.tasks,
        layout=targets.layout,
    )
