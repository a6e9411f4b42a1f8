"""Held-out losses of a training beside those of ridge regression, and what follows from them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._row_errors import RowErrors, exceeds, matters
from sklearn_sparsedis.training._table_heads import solve_heads

__all__ = ["NOT_JUDGED", "LinearJudge", "judge_together"]

# shares of labels, beside ridge predictions, in what heads are fitted to
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# of trainings that no judge looks on
NOT_JUDGED = {"gains": True, "hurts": False, "as_at_start": False, "label_share": 1.0}
# evaluations in a row that must say so before a training that fits noise ends
PATIENCE = 3
# share of the targets' variance that ridge regression leaves, below which there is hardly any noise
NOISE = 0.1
# one-sided 5 % of the normal distribution: what the best of several encoders must exceed
CLEARLY = 1.645


class LinearJudge:
    """Losses, on held-out labels, of heads fitted to labels, to ridge predictions, and between.

    Heads that are fitted to the labels that the components were trained on undo what the components
    owe to shrinkage. Heads that are fitted to the predictions of ridge regression, the start of the
    training, predict as that does, within the span of the components. Between the two is a path,
    on which held-out labels choose.

    Parameters
    ----------
    table, held_out : TaskTable
        Labels that training sees, and those on which it is judged; all of squared errors.
    linear, linear_held_out : TaskTable
        The same with ridge predictions in place of labels.
    device : torch.device
        Where to compute.

    Attributes
    ----------
    ridge : Tensor of shape (n,)
        Losses of rows with ridge predictions.
    """

    def __init__(
        self,
        table: TaskTable,
        held_out: TaskTable,
        linear: TaskTable,
        linear_held_out: TaskTable,
        device: torch.device,
    ) -> None:
        self.table, self.linear, self.held_out = (
            one.to(device) for one in (table, linear, held_out)
        )
        self._row_errors = RowErrors(held_out.Y)
        self.ridge = self._row_errors(linear_held_out.Y.value)
        self._errors: list[Tensor] = []

    def __call__(self, objective: BilevelObjective) -> float:
        """Mean loss of heads fitted to labels, in units of that of the constant."""
        training = objective.training
        objective.eval()
        with torch.no_grad():
            Z = objective.calibrate(self.table)
            new = encode(objective.encoder, self.held_out.X)
            both = []
            for table in (self.linear, self.table):
                start = objective.coef, objective.intercept
                heads = solve_heads(objective.problem, Z, table, *start)
                both.append(self.held_out.Y.predictions(new.double(), heads.coef, heads.intercept))
            objective.coef.copy_(heads.coef)
            objective.intercept.copy_(heads.intercept)
        objective.train(training)
        linear, own = both
        errors = [self._row_errors(share * own + (1 - share) * linear) for share in SHARES]
        self._errors.append(torch.stack(errors))
        return float(self._errors[-1][-1].mean())

    def judgement(self) -> dict[str, Any]:
        """What all evaluations so far say.

        Returns
        -------
        gains : bool
            Whether heads of labels are better at the end of the training than in its first half, by
            more than a standard error and by what matters: longer training may gain more.
        hurts : bool
            Whether they are as much worse than they were before: the training fits noise.
        as_at_start : bool
            Whether it does, and its best encoder is not clearly better than ridge regression.
        label_share : float
            Share of the labels in what heads are best fitted to; the rest is of ridge predictions.
        """
        own = [errors[-1] for errors in self._errors]
        best = min(range(len(own)), key=lambda step: float(own[step].mean()))
        share = int(self._errors[best].mean(1).argmin())
        first = min(own[: len(own) // 2 + 1], key=lambda errors: float(errors.mean()))
        hurts = matters(own[-1], own[best])
        as_at_start = hurts and not exceeds(self.ridge, self._errors[best][share], times=CLEARLY)
        return {
            "gains": matters(first, own[-1]),
            "hurts": hurts,
            "as_at_start": as_at_start,
            "label_share": 0.0 if as_at_start else SHARES[share],
        }

    @property
    def last(self) -> Tensor:
        """Losses of rows in the last evaluation, of heads fitted to each of SHARES, (5, n)."""
        return self._errors[-1]

    def only_hurts(self) -> bool:
        """Whether the last evaluations each say that the training fits noise."""
        own = [errors[-1] for errors in self._errors]
        best = min(own, key=lambda errors: float(errors.mean()))
        last = own[-PATIENCE:]
        return len(own) > PATIENCE and all(matters(one, best) for one in last)

    def state_dict(self) -> dict[str, Any]:
        """Errors so far."""
        return {"errors": list(self._errors)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._errors = list(state["errors"])


def judge_together(judges: Sequence[LinearJudge], *, hurts: bool) -> dict[str, Any]:
    """What the last evaluations of trainings that did without other labels say together.

    Whether ridge regression is kept: of trainings that fit noise, unless their encoders are clearly
    better, and of others likewise where there is noise to be fitted. And the best share of labels,
    as in `LinearJudge.judgement`.
    """
    errors = torch.cat([judge.last for judge in judges], dim=1)
    share = int(errors.mean(1).argmin())
    ridge = torch.cat([judge.ridge for judge in judges])
    noisy = hurts or float(ridge.mean()) > NOISE
    as_at_start = noisy and not exceeds(ridge, errors[share], times=CLEARLY)
    return {"as_at_start": as_at_start, "label_share": 0.0 if as_at_start else SHARES[share]}
