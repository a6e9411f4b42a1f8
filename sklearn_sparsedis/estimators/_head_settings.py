"""Checked parameters of the heads of SparseDisentangledRepresentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sklearn_sparsedis.inputs._losses import mark_losses
from sklearn_sparsedis.inputs._outputs import number_tasks, share_supports
from sklearn_sparsedis.inputs._parameters import (
    check_choice,
    check_real,
)
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.losses import Loss
from sklearn_sparsedis.losses._groups import each_loss
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.penalties._registry import check_penalty, penalties_with

__all__ = ["HeadSettings"]

# strength of the penalty where none is given, and in training where labels choose that of the heads
TRAINING_ALPHA = 0.05


@dataclass(frozen=True)
class HeadSettings:
    """Heads of SparseDisentangledRepresentation; fields as its parameters.

    Attributes
    ----------
    relative : bool
        Whether `alpha` is a fraction of the penalty's unit.
    chooses_alpha : bool
        Whether held-out labels choose the alpha of the final heads; `alpha` is that of training.
    by_default : bool
        Whether `alpha` was not given.
    balanced : bool
        Whether the classes 0 and 1 of a task get the same total weight.
    """

    penalty: Penalty
    alpha: float
    relative: bool
    tol: float
    balanced: bool
    common_head: bool
    loss: Any
    task_of_output: Any
    chooses_alpha: bool = False
    by_default: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "HeadSettings":
        """From the parameters of an estimator; raises for one that is not in its domain."""
        penalty, common, mode = (params[k] for k in ("penalty", "common_head", "alpha_mode"))
        kind = check_penalty(params)
        if not isinstance(common, bool | np.bool_):
            raise TypeError(f"common_head must be True or False, got {common!r}.")
        if common and not kind.supports_common_head:
            known = penalties_with(lambda penalty: penalty.supports_common_head)
            raise ValueError(
                f"common_head=True is not available with penalty={penalty!r}: choose {known}."
            )
        check_choice("alpha_mode", mode, ("absolute", "relative"))
        if params["class_weight"] is not None:
            check_choice("class_weight", params["class_weight"], ("balanced",), ", or None")
        alpha, chooses = params["alpha"], isinstance(params["alpha"], str)
        if chooses:
            _check_automatic_alpha(alpha, kind, mode)
        if chooses or alpha is None:
            alpha = TRAINING_ALPHA
        check_real("alpha", alpha, 0, 1 if mode == "relative" else np.inf)
        return cls(
            penalty=kind,
            alpha=alpha,
            relative=mode == "relative",
            chooses_alpha=chooses,
            by_default=params["alpha"] is None,
            tol=float(params["tol"]),
            balanced=params["class_weight"] == "balanced",
            common_head=bool(common),
            loss=params["loss"],
            task_of_output=params["task_of_output"],
        )

    def targets(self, targets: Targets) -> Targets:
        """Targets with their losses and the tasks of their columns, which must suit the heads."""
        targets = mark_losses(targets, self.loss)
        for loss, chosen in each_loss(targets.losses, targets.shape[1]):
            if not loss.from_statistics:
                self._check_loss(loss, int(chosen.sum()), len(chosen))
        numbers = number_tasks(targets, self.task_of_output)
        if numbers is None:
            return targets
        if not _keep_support(self.penalty):
            raise ValueError(
                f"penalty={self.penalty.name!r} chooses the support of every output by itself, so "
                "that outputs of one task cannot share one: choose "
                f"{penalties_with(_keep_support)}, or leave task_of_output None."
            )
        if self.common_head:
            raise ValueError(
                "common_head=True is not available for tasks with several outputs: the outputs of "
                "a task do not resemble one head. Leave task_of_output None or common_head False."
            )
        return share_supports(targets, numbers) if self.penalty.sparse else targets

    def _check_loss(self, loss: Loss, n_chosen: int, n_tasks: int) -> None:
        """Raise where tasks cannot have a loss whose heads need the rows."""
        which = f"the loss {loss.name!r}, which {n_chosen} of {n_tasks} tasks have"
        if self.penalty.smooth is None:
            known = penalties_with(lambda penalty: penalty.smooth is not None)
            raise ValueError(
                f"penalty={self.penalty.name!r} is not available with {which}: choose {known}, or "
                "the loss 'squared_error' for all tasks."
            )
        if self.common_head:
            raise ValueError(
                f"common_head=True is not available with {which}: give all tasks the loss "
                "'squared_error', also those with labels 0 and 1."
            )
        if self.alpha == 0:
            raise ValueError(
                f"alpha must be above 0 with the loss {loss.name!r}: {loss.smooth.without_penalty}"
            )

    @property
    def of_stacked_predictions(self) -> bool:
        """Whether heads behind a regressor are fitted to its stacked predictions, not to labels.

        Evidence and a common head need to know how far labels are from heads.
        """
        return not self.penalty.turns_components and not self.common_head

    def problem(self, scale: Tensor) -> HeadProblem:
        """Inner problem for targets that were divided by `scale`."""
        penalty = self.penalty.trained_through
        alpha: Tensor | float = self.alpha
        if not self.relative:
            penalty, alpha = penalty.in_units(self.alpha, scale)
        return HeadProblem(
            penalty,
            alpha,
            self.relative,
            self.tol,
            balanced=self.balanced,
            common=self.common_head,
        )


def _check_automatic_alpha(alpha: str, penalty: Penalty, mode: str) -> None:
    """Raise where a word for alpha is unknown, or there is no alpha to be chosen."""
    check_choice("alpha", alpha, ("auto",), ", or a number")
    if penalty.turns_components:
        raise ValueError(
            f"alpha='auto' is not available with penalty={penalty.name!r}, whose zeros are chosen "
            "by their evidence: leave alpha out."
        )
    if mode != "relative":
        raise ValueError(
            "alpha='auto' chooses among fractions of alpha_max_: leave alpha_mode='relative', or "
            "give alpha as a number."
        )


def _keep_support(penalty: Penalty) -> bool:
    """Return True if outputs of a task share their support, or have no zeros to share."""
    return penalty.fit_outputs is not None or not penalty.sparse
