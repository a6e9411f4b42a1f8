"""Heads of all tasks on one representation: centred statistics, penalty, inner solve."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sklearn_sparsedis.functional import GramStatistics, centred_gram
from sklearn_sparsedis.functional._gram import centre_targets
from sklearn_sparsedis.implicit import LeastSquaresFit
from sklearn_sparsedis.losses import Loss, SquaredError
from sklearn_sparsedis.losses._groups import kinds_of
from sklearn_sparsedis.nn._common_head import (
    CommonHead,
    count_labels,
    fit_common_head,
    fit_deviations,
    task_shares,
)
from sklearn_sparsedis.nn._head_parts import (
    Heads,
    HeadTargets,
    merge_heads,
    rounding_of,
    rows_of_tasks,
    starts_of_tasks,
    targets_by_task,
    targets_of_tasks,
    weights_by_task,
    weights_of_tasks,
)
from sklearn_sparsedis.nn._row_heads import fit_row_heads
from sklearn_sparsedis.nn._shared_supports import fit_shared_supports, in_multi_output_tasks
from sklearn_sparsedis.penalties import Penalty

__all__ = ["GramStatistics", "HeadProblem", "HeadTargets", "Heads"]


@dataclass(frozen=True)
class HeadProblem:
    """The inner problem: a penalised loss with an intercept that is not penalised.

    It is min_w,b 1/(2n) ||Z w + b - y||^2 + alpha * penalty(w) for each task, in float64 for Z of
    any dtype: the statistics are small, and their conditioning decides the accuracy of the
    gradient. Tasks may have another loss, whose heads need the rows (`solvers.solve_smooth`).

    Parameters
    ----------
    penalty : Penalty
    alpha : float or Tensor of shape (T,)
        Factor of the penalty.
    relative : bool
        Whether `alpha` is a fraction of the penalty's `unit`.
    tol : float
        Relative duality gap at which a task's solve stops.
    max_iter : int
        Limit on the iterations of a solve.
    floor : float
        Fraction of `alpha_max` to which a smaller alpha is raised.
    balanced : bool
        Whether the two classes of a task get the same total weight.
    common : bool or CommonHead
        Whether the penalty is on the deviations from a head that all tasks have in common, or that
        head, fitted on other tasks. A relative alpha is then raised to `CommonHead.least_alpha`.
    """

    penalty: Penalty
    alpha: float | Tensor
    relative: bool
    tol: float
    max_iter: int = 1000
    floor: float = 0.0
    balanced: bool = False
    common: bool | CommonHead = False

    def centre(self, Y: Tensor) -> HeadTargets:
        """Centre targets (n, T) without weights, for callers that use them again."""
        return centre_targets(Y.double().T)

    def solve(
        self,
        Z: Tensor,
        Y: Tensor | HeadTargets,
        weights: Tensor | None = None,
        coef_init: Tensor | None = None,
        *,
        intercept_init: Tensor | None = None,
        losses: tuple[Loss, ...] | None = None,
        task_of_output: tuple[int, ...] | None = None,
        statistics: Callable[..., GramStatistics] | None = None,
    ) -> Heads:
        """Solve the problems of all tasks, differentiably in Z and Y.

        Parameters
        ----------
        Z : Tensor of shape (n, m) or (T, n, m)
            Components of rows that all tasks share, or of the rows of each task.
        Y : Tensor of shape (n, T), or HeadTargets as `centre` returns them
            Targets, zero where missing.
        weights : Tensor of shape (n,) or (n, T), optional
            Weights of rows or labels.
        coef_init : Tensor of shape (T, m), optional
            Coefficients from which the solver starts.
        intercept_init : Tensor of shape (T,), optional
            Intercepts from which it starts, for tasks whose heads need their rows.
        losses : tuple of Loss, one a task, optional
            Squared errors by default. Y must be a tensor for losses that need the rows.
        task_of_output : tuple of int, one a target, optional
            Number of the task of each target. Outputs of one task have one support under a penalty
            that can share it; they must have the same weights and squared errors as their loss.
            Below, each output counts as a task.
        statistics : callable, optional
            Replaces `functional.centred_gram` where Z are not the components themselves, or only
            those of some rows; for squared errors alone.
        """
        statistics = statistics or centred_gram
        kinds = self._kinds(losses, task_of_output)
        if len(kinds) < 2:
            kind = next(iter(kinds), "one_output")
            return self._solve_kind(
                kind, Z, Y, weights, coef_init, intercept_init, losses, task_of_output, statistics
            )
        device = Z.device
        # A copy from the host's memory does not synchronise.
        parts = {kind: torch.tensor(columns).to(device) for kind, columns in kinds.items()}
        heads = [
            self.part(tasks)._solve_kind(
                kind,
                rows_of_tasks(Z, tasks),
                targets_of_tasks(Y, tasks),
                weights_of_tasks(weights, tasks),
                starts_of_tasks(coef_init, tasks),
                starts_of_tasks(intercept_init, tasks),
                losses and tuple(losses[t] for t in kinds[kind]),
                task_of_output and tuple(task_of_output[t] for t in kinds[kind]),
                statistics,
            )
            for kind, tasks in parts.items()
        ]
        return merge_heads(heads, torch.cat(list(parts.values())).argsort())

    def _kinds(
        self, losses: tuple[Loss, ...] | None, task_of_output: tuple[int, ...] | None
    ) -> dict[str, list[int]]:
        """Columns with squared errors, of tasks with several outputs, and with each other loss."""
        n_columns = len(losses or task_of_output or ())
        losses = losses or (SquaredError(),) * n_columns
        several = [False] * n_columns
        if task_of_output is not None and self.penalty.fit_outputs is not None:
            several = in_multi_output_tasks(task_of_output)
        kinds: dict[str, list[int]] = {}
        for t in range(n_columns):
            squared = "several_outputs" if several[t] else "one_output"
            kind = squared if losses[t].from_statistics else losses[t].name
            kinds.setdefault(kind, []).append(t)
        return kinds

    def _solve_kind(
        self,
        kind: str,
        Z: Tensor,
        Y: Tensor | HeadTargets,
        weights: Tensor | None,
        coef_init: Tensor | None,
        intercept_init: Tensor | None,
        losses: tuple[Loss, ...] | None,
        task_of_output: tuple[int, ...] | None,
        statistics: Callable[..., GramStatistics],
    ) -> Heads:
        if kind == "one_output":
            return self._solve_squared_errors(Z, Y, weights, coef_init, statistics)
        if kind == "several_outputs":
            assert task_of_output is not None  # for mypy
            return self._solve_several_outputs(Z, Y, weights, coef_init, task_of_output, statistics)
        assert isinstance(Y, Tensor)  # for mypy
        assert losses is not None
        loss = type(losses[0]).join(losses, Y.device)
        return self._solve_rows(loss, Z, Y, weights, coef_init, intercept_init)

    def judge(
        self,
        heads: Heads,
        Z: Tensor,
        Y: Tensor,
        weights: Tensor | None = None,
        *,
        losses: tuple[Loss, ...] | None = None,
    ) -> Tensor:
        """Compute the mean loss of heads on rows.

        Parameters
        ----------
        heads : Heads
        Z, Y, weights, losses
            As in `solve`.

        Returns
        -------
        Tensor of shape (T,)
            Zero for tasks without labels.
        """
        predicted = heads.predict(Z)
        kinds = kinds_of(losses or ()) or {SquaredError: []}
        if len(kinds) == 1:
            loss = next(iter(kinds)).join(losses or (), Y.device)
            return loss.mean(predicted, Y, weights, balanced=self.balanced)
        assert losses is not None  # for mypy
        found = []
        # A copy from the host's memory does not synchronise.
        parts = [torch.tensor(tasks).to(Y.device) for tasks in kinds.values()]
        for (kind, own), tasks in zip(kinds.items(), parts, strict=True):
            loss = kind.join([losses[t] for t in own], Y.device)
            some = predicted[:, tasks], Y[:, tasks], weights_of_tasks(weights, tasks)
            found.append(loss.mean(*some, balanced=self.balanced))
        return torch.cat(found).index_select(0, torch.cat(parts).argsort())

    def _solve_squared_errors(
        self,
        Z: Tensor,
        Y: Tensor | HeadTargets,
        weights: Tensor | None,
        coef_init: Tensor | None,
        statistics: Callable[..., GramStatistics],
    ) -> Heads:
        stats = statistics(
            Z.double(), targets_by_task(Y), weights_by_task(weights), rounding=rounding_of(Z.dtype)
        )
        if self.common is not False:
            weight, corr = weights_by_task(weights), stats.corr
            n_rows = len(Y) if isinstance(Y, Tensor) else Y.y.shape[-1]
            n_labels = count_labels(weight, n_rows, len(corr), corr)
            return self.solve_deviations(stats, n_labels, task_shares(weight, corr), coef_init)
        return self.solve_statistics(stats, coef_init)

    def solve_statistics(self, stats: GramStatistics, coef_init: Tensor | None) -> Heads:
        """Solve the heads of T tasks with squared errors from their Gram statistics."""
        fit, alpha_max = self._least_squares(*stats[:3], coef_init)
        intercept = stats.y_mean - (fit.coef * stats.z_mean).sum(-1)
        return Heads(fit.coef, intercept, fit.loss, alpha_max, fit.result)

    def _least_squares(
        self,
        gram: Tensor,
        corr: Tensor,
        y_sq: Tensor,
        coef_init: Tensor | None,
        least: Tensor | None = None,
    ) -> tuple[LeastSquaresFit, Tensor]:
        """Solutions for alphas of at least `least`, and the units of these alphas."""
        # The alpha of a step counts as a constant, not as a function of Z: if alpha_max were
        # differentiated, a denser basis would be rewarded for lowering it.
        alpha_max = self.penalty.unit(gram.detach(), corr.detach())
        alpha = self._alpha_of_unit(alpha_max)
        if least is not None and self.relative:
            alpha = alpha.maximum(least)
        fit = self.penalty.fit(
            gram,
            corr,
            y_sq,
            alpha,
            tol=self.tol,
            max_iter=self.max_iter,
            coef_init=coef_init,
        )
        return fit, alpha_max

    def solve_deviations(
        self, stats: GramStatistics, n_labels: Tensor, share: Tensor, coef_init: Tensor | None
    ) -> Heads:
        """Solve heads as the sum of a common head and deviations from it.

        Parameters
        ----------
        stats : GramStatistics
            Statistics of T tasks.
        n_labels, share : Tensor of shape (T,)
            As in `fit_common_head`.
        coef_init : Tensor of shape (T, m), optional
        """
        common = self.common
        if not isinstance(common, CommonHead):
            common = fit_common_head(stats, n_labels, share)
        deviations = fit_deviations(stats, common, n_labels)
        start = None if coef_init is None else coef_init - common.coef.detach()
        least = common.least_alpha(self.penalty, n_labels)
        gram, corr, y_sq = deviations.gram, deviations.corr, deviations.y_sq
        fit, alpha_max = self._least_squares(gram, corr, y_sq, start, least)
        mean = deviations.mean - (fit.coef * stats.z_mean).sum(-1)
        coef = common.coef + fit.coef
        # The loss of the solver includes the penalty of the intercept.
        free = deviations.free
        loss = fit.loss - 0.5 * free * (1 - free) * mean.square()
        intercept = common.intercept + free * mean
        return Heads(coef, intercept, loss, alpha_max, fit.result, common)

    def _solve_several_outputs(
        self,
        Z: Tensor,
        Y: Tensor | HeadTargets,
        weights: Tensor | None,
        coef_init: Tensor | None,
        task_of_output: tuple[int, ...],
        statistics: Callable[..., GramStatistics],
    ) -> Heads:
        """Solve the heads of tasks with several outputs, which share their supports."""
        fit, intercept, alpha_max = fit_shared_supports(
            self.penalty,
            Z.double(),
            targets_by_task(Y),
            weights_by_task(weights),
            task_of_output,
            lambda unit, first: self.part(first)._alpha_of_unit(unit),
            coef_init,
            partial(statistics, rounding=rounding_of(Z.dtype)),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        return Heads(fit.coef, intercept, fit.loss, alpha_max, fit.result)

    def _solve_rows(
        self,
        loss: Loss,
        Z: Tensor,
        Y: Tensor,
        weights: Tensor | None,
        coef_init: Tensor | None,
        intercept_init: Tensor | None,
    ) -> Heads:
        options = {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "coef_init": coef_init,
            "intercept_init": intercept_init,
        }
        fit, unit = fit_row_heads(
            self.penalty,
            loss,
            Z.double(),
            Y.double().T,
            weights_by_task(weights),
            self._alpha_of_unit,
            balanced=self.balanced,
            rounding=rounding_of(Z.dtype),
            options=options,
        )
        return Heads(fit.coef, fit.intercept, fit.loss, unit, fit.result)

    def part(self, tasks: Tensor) -> "HeadProblem":
        """Return the problem of some tasks, with their alphas."""
        if isinstance(self.alpha, Tensor) and self.alpha.ndim:
            return replace(self, alpha=self.alpha.index_select(0, tasks))
        return self

    def _alpha_of_unit(self, alpha_max: Tensor) -> Tensor:
        alpha = self.alpha * alpha_max if self.relative else alpha_max * 0 + self.alpha
        return alpha.maximum(self.floor * alpha_max) if self.floor else alpha
