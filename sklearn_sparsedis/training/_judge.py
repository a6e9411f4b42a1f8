"""Held-out losses of a training beside those of ridge regression, and what follows from them."""

from typing import Any

import torch
from torch import Tensor

from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._objective import BilevelObjective
from sklearn_sparsedis.training._table_heads import solve_heads

__all__ = ["NOT_JUDGED", "LinearJudge", "RowErrors", "matters"]

# shares of labels, beside ridge predictions, in what heads are fitted to
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# of trainings that no judge looks on
NOT_JUDGED = {"gains": True, "hurts": False, "as_at_start": False, "label_share": 1.0}
# differences of the mean loss that matter, in units of that of the constant, and of the loss itself
WORTH, WORTH_OF_IT = 0.005, 0.05
# evaluations in a row that must say so before a training that fits noise ends
PATIENCE = 3
# one-sided 5 % of the normal distribution: what the best of several encoders must exceed
CLEARLY = 1.645


class RowErrors:
    """Squared errors of the rows of some targets, whose mean is that of the tasks.

    Parameters
    ----------
    targets : TargetValues
        Of squared errors.
    """

    def __init__(self, targets: TargetValues) -> None:
        self._targets, self._labels = targets, targets.observed()
        total = self._labels.total(self._labels.weight)
        each = total.repeat_interleave(self._labels.count)
        # of means over rows that are means over tasks of the mean squared error
        self._share = self._labels.weight / each * self._labels.n_rows / (total > 0).sum()

    def __call__(self, predicted: Tensor) -> Tensor:
        """Errors (n,) of predictions that are laid out as the values of the targets."""
        predicted = self._targets.with_value(predicted).observed().value.cpu()
        total = torch.zeros(self._labels.n_rows, dtype=torch.float64)
        square = (predicted - self._labels.value).double().square()
        return total.index_add_(0, self._labels.row, self._share * square)


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
        self._row_errors = RowErrors(held_out.Y)
        self._ridge = self._row_errors(linear_held_out.Y.value)
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
        as_at_start = hurts and not _exceeds(self._ridge, self._errors[best][share], times=CLEARLY)
        return {
            "gains": matters(first, own[-1]),
            "hurts": hurts,
            "as_at_start": as_at_start,
            "label_share": 0.0 if as_at_start else SHARES[share],
        }

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


def matters(larger: Tensor, smaller: Tensor) -> bool:
    """Whether errors of rows exceed others by more than a standard error, and by what matters."""
    least = min(WORTH, WORTH_OF_IT * float(smaller.mean()))
    return _exceeds(larger, smaller) and float((larger - smaller).mean()) > least


def _exceeds(larger: Tensor, smaller: Tensor, *, times: float = 1.0) -> bool:
    """Whether errors of rows exceed others by so many standard errors."""
    excess = larger - smaller
    error = excess.std(correction=0) / max(len(excess) - 1, 1) ** 0.5
    return float(excess.mean()) > times * float(error)
