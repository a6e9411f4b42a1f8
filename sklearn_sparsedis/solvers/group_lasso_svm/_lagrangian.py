"""Augmented Lagrangian method for a group-Lasso SVM of many samples.

Each row's loss ``max_l s_l`` is replaced by ``max over Lambda of <Lambda, s> - |Lambda - C|^2 /
(2 sigma)``, C the row's last dual point. Its minimiser in W gives the next C; the duality gap of
the SVM itself says when it is solved.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from sklearn_sparsedis.functional._simplex import project_simplex
from sklearn_sparsedis.solvers.group_lasso_svm._arrays import lengths
from sklearn_sparsedis.solvers.group_lasso_svm._features import Features, is_sparse
from sklearn_sparsedis.solvers.group_lasso_svm._newton import MixedRows, Target, newton_move
from sklearn_sparsedis.solvers.group_lasso_svm._problem import relative
from sklearn_sparsedis.solvers.group_lasso_svm._spectrum import Spectrum

# Rows for each dense feature from which the face of the last dual point is not tried
_TALL = 10
# The multipliers move on where the gap of the inner problem is this share of the whole gap
_INNER_SHARE = 0.1
# Growth of sigma after so many Newton steps for an inner problem
_GROWTHS = ((3, 3.0), (6, 2.0))
# The multipliers converge fast enough where the gap falls to this share
_CONTRACTION = 0.2
_SIGMA, _WARM_SIGMA, _LARGEST_SIGMA = 1.0, 30.0, 1e12
# After so many Newton steps a gap above this is taken for one that will not close soon
_HOPELESS = {10: 5.0, 20: 0.1}
# Newton steps without a smaller gap after which rounding has the last word
_PATIENCE = 25
# A line search ends where the slope is this share of the first one
_SLOPE_SHARE = 0.3
_LINE_STEPS = 12


@dataclass
class ManySamples:
    """One problem scaled to lambda_2 = 1.

    Attributes
    ----------
    features : Features
        Features of n samples.
    Y : Tensor of shape (n, k)
        One-hot labels.
    c : Tensor of shape (n, 1)
        Weights of the samples.
    tau : Tensor of shape (m,)
        Threshold of each feature.
    """

    features: Features
    Y: Tensor
    c: Tensor
    tau: Tensor

    def regulariser(self, W: Tensor) -> float:
        """Both penalties."""
        norm = lengths(W)
        return float((norm * (self.tau + norm / 2)).sum())

    def gradient_image(self, dual: Tensor) -> Tensor:
        """Image V (m, k) of the labels less a dual point."""
        return self.features.image(self.c * (self.Y - dual))


@dataclass
class Outcome:
    """Solution of one problem.

    Attributes
    ----------
    coef : Tensor of shape (m, k)
    dual : Tensor of shape (n, k)
    objective, gap : float
    n_iter : int
    hopeless : bool
        Whether the steps were given up.
    """

    coef: Tensor
    dual: Tensor
    objective: float
    gap: float
    n_iter: int
    hopeless: bool = False


@dataclass
class Smoothed:
    """Augmented losses at coefficients, and what they give.

    Attributes
    ----------
    W : Tensor of shape (m, k)
        Coefficients.
    scores, margins, dual : Tensor of shape (n, k)
        Scores, hinge scores and dual points that belong to W.
    mixed : Tensor of int64, shape (r,)
        Rows whose dual point is no vertex.
    value : float
        Augmented Lagrangian.
    """

    W: Tensor
    scores: Tensor
    margins: Tensor
    dual: Tensor
    mixed: Tensor
    value: float


class Smoothing:
    """The augmented Lagrangian of a problem.

    Parameters
    ----------
    problem : ManySamples
        The problem.
    centre : Tensor of shape (n, k)
        Dual point to stay near.
    sigma : float
        How loosely.
    """

    def __init__(self, problem: ManySamples, centre: Tensor, sigma: float):
        self.problem, self.centre, self.sigma = problem, centre, sigma

    def at(self, W: Tensor, scores: Tensor) -> Smoothed:
        """Evaluate at coefficients (m, k) of known scores (n, k)."""
        problem = self.problem
        margins = 1 - problem.Y + scores - (problem.Y * scores).sum(1, keepdim=True)
        dual, mixed = _project(self.centre + self.sigma * margins)
        loss = problem.c * (dual * margins)
        value = float(loss.sum()) - self.distance(dual) + problem.regulariser(W)
        return Smoothed(W, scores, margins, dual, mixed, value)

    def on_face(self, state: Smoothed) -> tuple[Tensor, Tensor]:
        """Dual point (n, k) that answers a state's margins on the centre's face, and mixed rows.

        Entries that are nonzero in the centre may become negative, the others stay zero.
        """
        free = self.centre > 0
        count = free.sum(1, keepdim=True)
        mean = torch.where(free, state.margins, 0).sum(1, keepdim=True) / count
        dual = self.centre + self.sigma * torch.where(free, state.margins - mean, 0)
        return dual, (count[:, 0] > 1).nonzero()[:, 0]

    def distance(self, dual: Tensor) -> float:
        """Quadratic term of a dual point."""
        return float((self.problem.c * (dual - self.centre).square()).sum()) / (2 * self.sigma)

    def slope(self, state: Smoothed, move: Tensor, scores: Tensor) -> float:
        """Derivative along a move (m, k) of known scores (n, k)."""
        problem, W = self.problem, state.W
        loss = (problem.c * (state.dual - problem.Y) * scores).sum()
        norm = lengths(W)
        along = (W * move).sum(-1)
        group = torch.where(norm > 0, along / torch.where(norm > 0, norm, 1), lengths(move))
        return float(loss + (problem.tau * group).sum() + along.sum())

    def search(self, state: Smoothed, move: Tensor, scores: Tensor, first: float) -> Smoothed:
        """Point along a descent direction of slope `first` where the slope is small."""
        low, low_slope = 0.0, first
        high = high_slope = torch.inf
        length = 1.0
        for _ in range(_LINE_STEPS):
            new = self.at(state.W + length * move, state.scores + length * scores)
            slope = self.slope(new, move, scores)
            if abs(slope) <= _SLOPE_SHARE * abs(first) or (length == 1 and slope < 0):
                break
            if slope > 0:
                high, high_slope = length, slope
            else:
                low, low_slope = length, slope
            secant = -low_slope / (high_slope - low_slope)
            length = low + (high - low) * min(0.9, max(0.1, secant))
        return new


def augmented_lagrangian(
    problem: ManySamples,
    tol: float,
    max_iter: int,
    dual: Tensor | None = None,
    coef: Tensor | None = None,
    *,
    trial: bool = False,
) -> Outcome:
    """Solve a problem to a relative duality gap.

    Parameters
    ----------
    problem : ManySamples
        The problem.
    tol : float
        Relative duality gap.
    max_iter : int
        Largest number of Newton steps.
    dual, coef : Tensor of shape (n, k) and (m, k), or None
        Where to start.
    trial : bool
        Whether to give up where some steps led nowhere with more features in use than samples.
    """
    warm = dual is not None
    smoothing = Smoothing(
        problem,
        problem.Y if dual is None else project_simplex(dual),
        _WARM_SIGMA if warm else _SIGMA,
    )
    m = problem.features.shape[1]
    W = problem.Y.new_zeros(m, problem.Y.shape[1])
    if coef is not None:
        W[: len(coef)] = coef
    state = smoothing.at(W, problem.features.scores(W))
    spectrum = Spectrum.of(problem.features, problem.c, W.shape[1])
    best, steps, since, last = None, 0, 0, 0.0
    for n_iter in range(max_iter + 1):
        while True:
            V = problem.gradient_image(state.dual)
            outcome, inner = _certify(smoothing, state, V, n_iter)
            if best is None or outcome.gap < best.gap:
                best, since = outcome, n_iter
            if best.gap <= tol or n_iter == max_iter or n_iter - since > _PATIENCE:
                return replace(best, n_iter=n_iter)
            crowded = trial and int((state.W != 0).any(-1).sum()) >= len(problem.Y)
            if crowded and best.gap > _HOPELESS.get(n_iter, inf):
                return replace(best, n_iter=n_iter, hopeless=True)
            if inner > _INNER_SHARE * outcome.gap or smoothing.sigma >= _LARGEST_SIGMA:
                break
            slow = outcome.gap > _CONTRACTION * last
            growth = next((factor for most, factor in _GROWTHS if steps <= most), 1.0)
            sigma = smoothing.sigma * (growth if slow else 1.0)
            smoothing, last = Smoothing(problem, state.dual, sigma), outcome.gap
            state, steps = smoothing.at(state.W, problem.features.scores(state.W)), 0
        fresh = not steps and (is_sparse(problem.features.F) or len(problem.Y) <= _TALL * m)
        state, steps = _newton_step(smoothing, state, V, spectrum, fresh=fresh), steps + 1
    raise AssertionError  # the loop returns


def _newton_step(
    smoothing: Smoothing, state: Smoothed, V: Tensor, spectrum: Spectrum, *, fresh: bool
) -> Smoothed:
    """One step; a `fresh` one, after the multipliers moved, is first tried on the centre's face.

    With new multipliers and a larger sigma the dual points of the old W overshoot, most of them to
    vertices. The entries that were nonzero before tell better which will be. Without this some
    problems of more features than rows do not converge, and sparse text takes twice as long; on
    tables of many more rows than features it saves no steps and costs a product with all of them.
    """
    for move in _directions(smoothing, state, V, spectrum, fresh=fresh):
        scores = smoothing.problem.features.scores(move)
        first = smoothing.slope(state, move, scores)
        if first < 0:
            return smoothing.search(state, move, scores, first)
    return state


def _directions(
    smoothing: Smoothing, state: Smoothed, V: Tensor, spectrum: Spectrum, *, fresh: bool
) -> Iterator[Tensor]:
    """Moves (m, k) of W, the most promising first; the last one descends where any does."""
    problem = smoothing.problem
    starts = [(state.mixed, state.dual, V)]
    if fresh:
        dual, mixed = smoothing.on_face(state)
        if len(mixed):
            starts.insert(0, (mixed, smoothing.centre, problem.gradient_image(dual)))
    for mixed, on, image in starts:
        mixed = mixed[problem.c[mixed, 0] > 0]
        rows = MixedRows(mixed, on[mixed], smoothing.sigma * problem.c[mixed])
        metric = 1 + rows.weight.sum() / 2 * spectrum.squares
        target = Target.of(state.W, state.W - image, problem.tau, metric)
        yield newton_move(problem.features, spectrum, rows, state.W, target, problem.tau)
    yield target.W - state.W


def _certify(
    smoothing: Smoothing, state: Smoothed, V: Tensor, n_iter: int
) -> tuple[Outcome, float]:
    """Pair of a primal and a dual point, and the relative gap of the inner problem."""
    problem, c = smoothing.problem, smoothing.problem.c
    loss = float((c * state.margins.amax(1, keepdim=True)).sum())
    primal = loss + problem.regulariser(state.W)
    value = float((c * (1 - problem.Y) * state.dual).sum())
    value -= float((lengths(V) - problem.tau).clamp_min(0).square().sum()) / 2
    inner = state.value - (value - smoothing.distance(state.dual))
    gaps = c.new_tensor([max(0.0, primal - value), inner])
    gap, inner = relative(gaps, c.new_tensor(primal), c.unsqueeze(0)).tolist()
    return Outcome(state.W, state.dual, primal, gap, n_iter), inner


def _project(points: Tensor) -> tuple[Tensor, Tensor]:
    """Projections (n, k) onto the simplex, and the rows that do not land on a vertex."""
    above = points - (points.amax(1, keepdim=True) - 1)
    positive = above > 0
    mixed = (positive.sum(1) > 1).nonzero()[:, 0]
    dual = positive.to(points.dtype)
    return dual.index_copy_(0, mixed, project_simplex(above[mixed])), mixed
