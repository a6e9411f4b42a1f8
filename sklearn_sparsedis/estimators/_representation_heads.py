"""Heads of all tasks on given components, in the units of Y."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.basis._components import Components
from sklearn_sparsedis.basis._sparsest_heads import solve_sparsest_heads
from sklearn_sparsedis.estimators._head_settings import HeadSettings
from sklearn_sparsedis.estimators._residuals import HeldOutResiduals
from sklearn_sparsedis.inputs._losses import (
    calibrate_intercepts,
    loss_names,
    one_kind,
    standard_units,
)
from sklearn_sparsedis.inputs._outputs import common_scale, join_supports
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.inputs._tensors import to_tensor
from sklearn_sparsedis.losses import SquaredError
from sklearn_sparsedis.nn._common_head import CommonHead
from sklearn_sparsedis.training._table_heads import refit_heads, settle_losses, solve_heads

__all__ = ["FittedHeads", "fit_heads", "residuals_of", "standardise"]


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
    coef_residual: NDArray[np.float64] | None = None
    landmarks: NDArray[np.float64] | None = None
    coef_landmarks: NDArray[np.float64] | None = None
    residual_share: NDArray[np.float64] | None = None
    support_probability: NDArray[np.float64] | None = None
    residual_std: NDArray[np.float64] | None = None
    residual_quantiles: NDArray[np.float64] | None = None

    @classmethod
    def unsolved(cls, targets: Targets, n_components: int) -> "FittedHeads":
        """Heads that are zero, on which no penalty acts."""
        n_tasks = targets.shape[1]
        coef = np.zeros((n_tasks, n_components))
        return cls(
            coef=coef,
            intercept=np.zeros(n_tasks),
            alpha_max=np.full(n_tasks, np.nan),
            dual_gap=np.zeros(n_tasks),
            tasks=targets.tasks,
            layout=targets.layout,
            losses=loss_names(targets),
            one_kind=np.zeros(n_tasks, dtype=bool),
            support=coef != 0,
            common=None,
        )

    def with_residuals(self, found: HeldOutResiduals | None, targets: Targets) -> "FittedHeads":
        """Heads with what residuals in standard units say of targets."""
        if found is None:
            return self
        std = found.std * standard_units(targets)[1]
        return replace(self, residual_std=std, residual_quantiles=found.quantiles)

    def warn_if_nothing_is_shared(self, settings: HeadSettings) -> None:
        """Say that no two tasks use the same component, where they were trained with zeros.

        Tasks with a common head share that.
        """
        n_tasks = int(self.support.any(axis=1).sum())
        sparse = settings.penalty.trained_through.sparse and self.common is None
        if sparse and n_tasks > 1 and self.support.sum(axis=0).max() == 1:
            warn_caller(
                f"No component is used by two of the {n_tasks} tasks, so that they share "
                "nothing and each might as well have a model of its own. Fit more tasks together, "
                "lower alpha, or choose penalty='l2', with which all tasks use all components."
            )

    def warn(self, tol: float) -> None:
        """Name tasks that cannot be learned, and heads that are not solved to a tolerance."""
        single = np.flatnonzero(self.one_kind)
        if len(single):
            names = ", ".join(str(name) for name in self.tasks[single[:5]])
            warn_caller(
                f"{len(single)} of {len(self.tasks)} tasks have labels of one kind only: "
                f"{names}{', ...' if len(single) > 5 else ''}. Their predictions are constant.",
            )
        late = int((self.dual_gap > tol).sum())
        if late:
            warn_caller(
                f"{late} of {len(self.dual_gap)} heads did not reach tol={tol:g}: the worst "
                f"relative duality gap is {self.dual_gap.max():.1e}. Raise alpha or tol.",
                ConvergenceWarning,
            )


def standardise(
    targets: Targets, *, jointly: bool = False
) -> tuple[Targets, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Targets in the units that their losses want; and these, location and scale of each task.

    Jointly, mean and variance are those of all targets together.
    """
    location, scale, varied = standard_units(targets, jointly=jointly)
    centred = targets.array - targets.at(location)
    standard = centred / targets.at(scale) * targets.at(varied)
    return targets.with_array(standard), (location, scale)


def fit_heads(
    settings: HeadSettings,
    Z: NDArray[Any],
    targets: Targets,
    basis: Components | None = None,
    common: Bunch | None = None,
    *,
    refits: bool = False,
) -> FittedHeads:
    """Heads of all tasks on given components, in the units of Y.

    Parameters
    ----------
    settings : HeadSettings
    Z : ndarray of shape (n, m)
    targets : Targets
    basis : Components, optional
        Of "l0", where it was found on these rows.
    common : Bunch, optional
        Common head of other tasks, from which these deviate; fitted on these where it is wanted
        and not given.
    refits : bool, default=False
        Whether heads are refitted on their supports (`refit_heads`).
    """
    if common is None:
        standard, (mean, scale) = standardise(targets, jointly=settings.common_head)
    else:
        standard, (mean, scale) = _residual_units(targets, common)
    unit = common_scale(scale, standard)
    components = to_tensor(Z)  # whose dtype says how far they are rounded
    table = settle_losses(components, standard.table(components, torch.float64))
    penalty = settings.penalty
    if penalty.turns_components:
        heads = solve_sparsest_heads(components, table, basis)
    else:
        problem = settings.problem(to_tensor(unit))
        if common is not None:
            problem = replace(problem, common=_in_units(common, mean[0], scale[0]))
        heads = solve_heads(problem, components, table)
        heads = refit_heads(heads, components, table) if refits else heads
    if not penalty.in_units_of_targets:
        unit = np.ones_like(scale)
    coef = heads.coef.numpy() * scale[:, None]
    intercept = heads.intercept.numpy() * scale + mean
    # for probabilities, all labels count the same
    if settings.balanced and targets.losses is not None:
        scores = targets.values.predictions(components, to_tensor(coef), to_tensor(intercept))
        intercept = intercept + calibrate_intercepts(scores.numpy(), targets)
    if common is None and heads.common is not None:
        common = _from_units(heads.common, float(mean[0]), float(scale[0]))
    return FittedHeads(
        coef=coef,
        intercept=intercept,
        alpha_max=heads.alpha_max.numpy() * unit,
        dual_gap=heads.result.gap.numpy(),
        tasks=targets.tasks,
        layout=targets.layout,
        losses=loss_names(targets),
        one_kind=one_kind(targets),
        # of the deviations, where there is a head to deviate from
        support=join_supports(
            (coef if heads.common is None else heads.result.coef.numpy()) != 0, targets
        ),
        common=common,
    )


def residuals_of(heads: FittedHeads, Z: NDArray[Any], targets: Targets) -> HeldOutResiduals | None:
    """Residuals, in standard units, of targets about heads on components Z (n, m)."""
    predicted = targets.values.predictions(
        to_tensor(Z), to_tensor(heads.coef), to_tensor(heads.intercept)
    ).numpy()
    residual = (predicted - targets.array) / targets.at(standard_units(targets)[1])
    squared = heads.losses == SquaredError.name
    return HeldOutResiduals.of(to_tensor(residual), targets.values, squared)


def _residual_units(
    targets: Targets, common: Bunch
) -> tuple[Targets, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Targets in units of the noise about a common head."""
    n_tasks = targets.shape[1]
    mean, scale = np.full(n_tasks, common.intercept), np.full(n_tasks, common.noise**0.5)
    standard = (targets.array - targets.at(mean)) / targets.at(scale)
    return targets.with_array(standard), (mean, scale)


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
