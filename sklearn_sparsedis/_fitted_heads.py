"""Heads of all tasks on given components, in the units of Y."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis._losses import calibrate_intercepts, one_kind
from sklearn_sparsedis._output_tasks import common_scale, join_supports
from sklearn_sparsedis._sparsest_heads import SparsestBasis, solve_sparsest_heads
from sklearn_sparsedis._validation import Targets, to_tensor
from sklearn_sparsedis.implicit import LEAST_SQUARES
from sklearn_sparsedis.nn import CommonHead, HeadProblem

__all__ = ["TRAINED_THROUGH", "FittedHeads", "fit_heads", "head_problem", "standardise"]

# penalty of an estimator -> penalty of the heads through which its encoder is trained
TRAINED_THROUGH = {**{name: name for name in LEAST_SQUARES}, "l0": "l2"}


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


def head_problem(p: Any, scale: Tensor) -> HeadProblem:
    """Inner problem for targets that were divided by `scale`."""
    relative, penalty = p.alpha_mode == "relative", TRAINED_THROUGH[p.penalty]
    alpha = p.alpha if relative or penalty == "l2" else p.alpha / scale
    balanced, common = p.class_weight == "balanced", bool(p.common_head)
    return HeadProblem(penalty, alpha, relative, float(p.tol), balanced=balanced, common=common)


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
        problem = head_problem(estimator, to_tensor(unit))
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
