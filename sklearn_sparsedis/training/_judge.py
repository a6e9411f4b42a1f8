"""Held-out losses of a training beside those of ridge regression, and what follows from them."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._table_heads import solve_heads

__all__ = ["NOT_JUDGED", "LinearJudge"]

# shares of labels, beside ridge predictions, in what heads are fitted to
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# of trainings that no judge looks on
NOT_JUDGED = {"gains": True, "hurts": False, "as_at_start": False, "label_share": 1.0}
# differences of the mean loss that matter, in units of that of the constant
WORTH = 0.005
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
        self._labels = held_out.Y.observed()
        total = self._labels.total(self._labels.weight)
        each = total.repeat_interleave(self._labels.count)
        # of means over rows that are means over tasks of the mean squared error
        self._share = self._labels.weight / each * self._labels.n_rows / (total > 0).sum()
        self._ridge = self._of_rows(linear_held_out.Y.observed().value - self._labels.value)
        self._errors: list[Tensor] = []

    def __call__(self, objective: BilevelObjective) -> float:
        """Mean loss of heads fitted to labels, in units of that of the constant."""
        training = objective.training
        objective.eval()
        with torch.no_grad():
            Z = objective.calibrate(self.table)
            new = encode(objective.encoder, self.held_out.X)
            residuals = []
            for table in (self.linear, self.table):
                start = objective.coef, objective.intercept
                heads = solve_heads(objective.problem, Z, table, *start)
                predicted = self.held_out.Y.predictions(new.double(), heads.coef, heads.intercept)
                predicted = self.held_out.Y.with_value(predicted).observed().value
                residuals.append(predicted.cpu() - self._labels.value)
            objective.coef.copy_(heads.coef)
            objective.intercept.copy_(heads.intercept)
        objective.train(training)
        linear, own = residuals
        errors = [self._of_rows(share * own + (1 - share) * linear) for share in SHARES]
        self._errors.append(torch.stack(errors))
        return float(self._errors[-1][-1].mean())

    def _of_rows(self, residual: Tensor) -> Tensor:
        """Squared error of each row, whose mean is that of the tasks."""
        total = torch.zeros(self._labels.n_rows, dtype=torch.float64)
        return total.index_add_(0, self._labels.row, self._share * residual.double().square())

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
        hurts = _exceeds(own[-1], own[best], least=WORTH)
        as_at_start = hurts and not _exceeds(self._ridge, self._errors[best][share], times=CLEARLY)
        return {
            "gains": _exceeds(first, own[-1], least=WORTH),
            "hurts": hurts,
            "as_at_start": as_at_start,
            "label_share": 0.0 if as_at_start else SHARES[share],
        }

    def state_dict(self) -> dict[str, Any]:
        """Errors so far."""
        return {"errors": list(self._errors)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._errors = list(state["errors"])


def _exceeds(larger: Tensor, smaller: Tensor, *, times: float = 1.0, least: float = 0.0) -> bool:
    """Whether errors of rows exceed others by so many standard errors, and by a least amount."""
    excess = larger - smaller
    error = excess.std(correction=0) / max(len(excess) - 1, 1) ** 0.5
    return bool(excess.mean() > max(times * float(error), least))
