"""Checked parameters of GroupLassoSVMMetaClassifier."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_sparsedis.estimators._settings import EncoderSettings, TrainingSettings
from sklearn_sparsedis.inputs._parameters import (
    check_choice,
    check_integer,
    check_real,
)
from sklearn_sparsedis.nn._episode_heads import EPISODE_HEADS, FewShotHead
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS

__all__ = ["EpisodeSettings", "few_shot_head"]

# outer steps on episodes: enough to draw each row so often, within these bounds
DRAWS_OF_A_ROW, FEWEST_STEPS, MOST_STEPS = 60, 100, 1000


@dataclass(frozen=True)
class EpisodeSettings:
    """All of GroupLassoSVMMetaClassifier but what is given with each call.

    Attributes
    ----------
    own_budget : bool
        Whether the rows say how many steps to take, at most `training.max_iter`.
    """

    head: FewShotHead
    encoder: EncoderSettings
    training: TrainingSettings
    n_way: int
    n_shot: int
    n_query: int
    episodes_per_batch: int
    label_smoothing: float
    rotations: bool
    discriminants: bool
    own_budget: bool

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "EpisodeSettings":
        """From the parameters; raises for one that is not in its domain."""
        encoder = EncoderSettings.of(params, EPISODE_ENCODERS)
        own_budget = params["max_iter"] is None
        if own_budget:
            params = {**params, "max_iter": MOST_STEPS}
        training = TrainingSettings.of(params, patience="10 evaluations")
        check_choice("head", params["head"], EPISODE_HEADS)
        check_real("group_reg", params["group_reg"], 0, np.inf, closed="left")
        check_real("l2_reg", params["l2_reg"], 0, np.inf, closed="neither")
        for name, least in (("n_way", 2), ("n_shot", 1), ("n_query", 1), ("episodes_per_batch", 1)):
            check_integer(name, params[name], least)
        check_real("label_smoothing", params["label_smoothing"], 0, 1, closed="left")
        own = [name for name in cls.__dataclass_fields__ if name in params]
        head = few_shot_head(params)
        given = {name: params[name] for name in own if name not in ("head", "encoder")}
        return cls(head=head, encoder=encoder, training=training, own_budget=own_budget, **given)

    def with_budget(self, n_rows: int, n_drawn: int) -> "EpisodeSettings":
        """Settings with the number of steps for so many rows, of which a step draws `n_drawn`."""
        if not self.own_budget:
            return self
        steps = math.ceil(DRAWS_OF_A_ROW * n_rows / n_drawn)
        steps = min(max(steps, FEWEST_STEPS), MOST_STEPS)
        return replace(self, training=replace(self.training, max_iter=steps))


def few_shot_head(params: Mapping[str, Any]) -> FewShotHead:
    """Inner problem for the parameters of GroupLassoSVMMetaClassifier."""
    group_reg, l2_reg, tol = (float(params[name]) for name in ("group_reg", "l2_reg", "tol"))
    return FewShotHead(params["head"], group_reg, l2_reg, tol, bool(params["fit_intercept"]))
