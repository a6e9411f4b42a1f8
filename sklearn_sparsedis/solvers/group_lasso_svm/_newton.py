"""Newton directions of the group-Lasso SVM's augmented Lagrangian, on active rows and features."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sklearn_sparsedis.functional._block_threshold import shrinkage
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import lengths
from sklearn_sparsedis.solvers.group_lasso_svm._features import Features, Part, is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._spectrum import Preconditioner, Spectrum
from sklearn_sparsedis.solvers.group_lasso_svm._system import (
    Factor,
    PivotBasis,
    weighted_hessian,
)

# Features that may come into use at once where few are: so many, or a share of one in so many
_FIRST, _FIRST_SHARE = 100, 20
# Rounds in which features that the direction would take through zero are taken out
_ROUNDS = 4
# Relative residual of a system: less of it would help little while the active rows change
_ACCURACY = 0.05
_CG_STEPS = 500
# Dual systems up to this order are factored instead
_DIRECT_ORDER = 600


@dataclass
class MixedRows:
    """Rows whose dual has several nonzero entries: the others do not bend the loss.

    Attributes
    ----------
    index : Tensor of int64, shape (r,)
        Where they are.
    dual : Tensor of shape (r, k)
        Their dual points.
    weight : Tensor of shape (r, 1)
        Strength of the quadratic term times the weights of the samples.
    """

    index: Tensor
    dual: Tensor
    weight: Tensor

    def __post_init__(self) -> None:
        self.free = self.dual > 0
        self.share = self.free / self.free.sum(1, keepdim=True)

    def coupling(self) -> Tensor:
        """Mean (k, k) of how the classes of a row are bent together, times the total weight."""
        part = self.share * self.weight
        return torch.diag((self.free * self.weight).sum(0)) - self.free.to(part.dtype).mT @ part

    def bend(self, T: Tensor) -> Tensor:
        """Move (r, k) of the loss's gradient when the scores move by T (r, k)."""
        mean = (self.share * T).sum(1, keepdim=True)
        return self.weight * torch.where(self.free, T - mean, 0)


@dataclass
class Target:
    """Where a step of block soft-thresholding in a diagonal metric leads to.

    Attributes
    ----------
    W : Tensor of shape (m, k)
        The point.
    towards : Tensor of shape (m, k)
        Point before thresholding.
    norm, shrink : Tensor of shape (m,)
        Its norms and the factors of its blocks.
    metric : Tensor of shape (m,)
        Curvature that the step assumes of each feature.
    """

    W: Tensor
    towards: Tensor
    norm: Tensor
    shrink: Tensor
    metric: Tensor

    @classmethod
    def of(cls, W: Tensor, grad: Tensor, tau: Tensor, metric: Tensor) -> "Target":
        """Target of the step from W (m, k) against a gradient (m, k)."""
        towards = W - grad / metric.unsqueeze(-1)
        norm = lengths(towards)
        shrink = shrinkage(norm, tau / metric)
        return cls(towards * shrink.unsqueeze(-1), towards, norm, shrink, metric)


def newton_move(
    features: Features,
    spectrum: Spectrum,
    rows: MixedRows,
    W: Tensor,
    target: Target,
    tau: Tensor,
) -> Tensor:
    """Semismooth Newton move (m, k) of the equation that W is its own target.

    Features whose target is zero move there. So do those that the move would take through zero,
    where the penalty has its kink; the move of the others is then computed anew.
    """
    keep = _chosen(W, target, tau)
    part_of_move = torch.zeros_like(W)
    system = NewtonSystem(features, spectrum, rows, keep.nonzero()[:, 0], target, tau)
    for _ in range(_ROUNDS):
        active = system.active
        move = torch.where(keep.unsqueeze(-1), part_of_move, -W)
        right = system.residual(W[active] - target.W[active])
        stops = (~keep & (W != 0).any(-1)).nonzero()[:, 0]
        if len(stops) and len(active):
            scores = features.part(rows.index, stops).scores(move[stops])
            right -= system.part.image(rows.bend(scores))
        move[active] = system.solve(right, move[active])
        end = W + move
        through = ((end * target.towards).sum(-1) <= 0) | ((end * W).sum(-1) < 0)
        crosses = keep & (tau > 0) & through
        if not any_true(crosses):
            break
        system = system.among((~crosses[active]).nonzero()[:, 0])
        keep, part_of_move = keep & ~crosses, move
    return move


def _chosen(W: Tensor, target: Target, tau: Tensor) -> Tensor:
    """Mask (m,) of the features that may move: of those not in use not more than are in use.

    At a poor dual point several times as many features exceed their thresholds as the solution
    uses. Those that exceed theirs by the largest factors come first.
    """
    keep = target.shrink > 0
    new = keep & (W == 0).all(-1)
    most = max(int((W != 0).any(-1).sum()), len(W) // _FIRST_SHARE, _FIRST)
    if int(new.sum()) <= most:
        return keep
    excess = torch.where(new, target.norm * target.metric / tau, 0)
    chosen = torch.zeros_like(new)
    chosen[excess.topk(most).indices] = True
    return keep & (chosen | ~new)


class NewtonSystem:
    """Second derivative of the augmented Lagrangian on active features.

    Parameters
    ----------
    features : Features
        All of them.
    spectrum : Spectrum
        Second moments of all features.
    rows : MixedRows
        Rows that bend.
    active : Tensor of int64, shape (p,)
        Active features.
    target : Target
        Of all features.
    tau : Tensor of shape (m,)
        Thresholds.
    """

    def __init__(
        self,
        features: Features,
        spectrum: Spectrum,
        rows: MixedRows,
        active: Tensor,
        target: Target,
        tau: Tensor,
    ):
        self.features, self.spectrum, self.rows, self.active = features, spectrum, rows, active
        norm = target.norm[active]
        self.shrink = target.shrink[active].unsqueeze(-1)
        self.unit = target.towards[active] / norm.unsqueeze(-1)
        self.curve = (tau[active] / (self.shrink[:, 0] * norm)).unsqueeze(-1)
        self.metric = target.metric[active].unsqueeze(-1)

    def among(self, kept: Tensor) -> "NewtonSystem":
        """Return the system of some of the active features, given by their places."""
        new = copy(self)
        for name in ("active", "shrink", "unit", "curve", "metric"):
            setattr(new, name, getattr(self, name)[kept])
        for name in vars(self).keys() & {"part", "near"}:
            setattr(new, name, getattr(self, name).among(kept))
        return new

    @cached_property
    def part(self) -> Features | Part:
        """The rows' active features, which a factored system does not need."""
        return self.features.part(self.rows.index, self.active)

    @cached_property
    def near(self) -> Preconditioner:
        """Preconditioner, of which parts of the system keep a part."""
        coupling = self.rows.coupling()
        mean = coupling.diagonal().mean()
        return Preconditioner(
            1 + mean * self.spectrum.rest[self.active].unsqueeze(-1),
            self.curve,
            self.unit,
            self.spectrum.directions[self.active],
            coupling,
        )

    def residual(self, ahead: Tensor) -> Tensor:
        """Right-hand side (p, k) for coefficients that are `ahead` of their target."""
        along = self._along(ahead)
        return -self.metric * ((ahead - along) / self.shrink + along)

    def solve(self, right: Tensor, start: Tensor) -> Tensor:
        """Move (p, k) of the active features, from a factor where one is cheap."""
        order = int(self.rows.free.sum()) - len(self.rows.index)
        if not len(self.active):
            return right
        if not order:
            return self._unbend(right)
        if order <= _DIRECT_ORDER and not is_sparse(self.features.F):
            return self._solve_in_dual(right)
        return self._conjugate_gradients(right, start)

    def _along(self, x: Tensor) -> Tensor:
        return self.unit * (self.unit * x).sum(-1, keepdim=True)

    def _unbend(self, x: Tensor) -> Tensor:
        """Solve the system with the identity in place of the rows' part."""
        return (x + self.curve * self._along(x)) / (1.0 + self.curve)

    def _multiply(self, x: Tensor) -> Tensor:
        bent = self.part.image(self.rows.bend(self.part.scores(x)))
        return bent + x + self.curve * (x - self._along(x))

    def _conjugate_gradients(self, right: Tensor, x: Tensor) -> Tensor:
        residual = right - self._multiply(x) if any_true(x != 0) else right.clone()
        # in the preconditioner's metric features near their kink do not outweigh all others
        enough = _ACCURACY**2 * float((right * self.near(right)).sum())
        search, last = torch.zeros_like(right), 1.0
        for _ in range(_CG_STEPS):
            scaled = self.near(residual)
            now = float((residual * scaled).sum())
            if now <= enough:
                break
            search = scaled + now / last * search
            image = self._multiply(search)
            length = now / float((search * image).sum())
            x = x + length * search
            residual = residual - length * image
            last = now
        return x

    def _solve_in_dual(self, right: Tensor) -> Tensor:
        """Woodbury's formula: a system in the free coordinates of the rows."""
        rows = self.rows
        F = self.features.copied(rows.index, self.active).table(right.dtype)
        basis = PivotBasis(rows.dual.unsqueeze(0))
        index = rows.free.unsqueeze(0).gather(-1, basis.others).flatten(1).nonzero()[:, 1][None]
        stiff = 1 + self.curve
        bent = self.unit * (self.curve / stiff).sqrt()
        system = weighted_hessian(F[None], bent[None], (1 / stiff).mT, basis, index)[0]
        sample = index[0].div(basis.others.shape[-1], rounding_mode="floor")
        same = (sample[:, None] == sample).to(right.dtype)
        same.diagonal().mul_(2)
        system += same / rows.weight[sample]
        start = self._unbend(right)
        scores = basis.reduce((F @ start)[None])[0, index[0]]
        pull = torch.zeros(basis.rows.shape[:2], dtype=right.dtype, device=right.device)
        pull[0, index[0]] = Factor(system).solve(scores)
        return start - self._unbend(F.mT @ basis.expand(pull)[0])
