"""Heads of few-shot episodes: linear classifiers, each the solution of its own small problem."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.functional._gram import ROUNDED
from sklearn_sparsedis.functional._sync import any_true
from sklearn_sparsedis.implicit import group_lasso_svm_result
from sklearn_sparsedis.nn._logistic_rows import logistic_of_many_rows

__all__ = ["EPISODE_HEADS", "SPARSE_HEADS", "START_SCALES", "EpisodeHeads", "FewShotHead"]

# Smallest tolerance that single precision can reach.
FLOAT32_TOL = 1e-5
NEWTON_BLOCKS, NEWTON_STEPS = 5, 5
N_STEP_LENGTHS = 6
# Largest order n k of the logistic head's dual systems; beyond it, a single head is solved for W.
LARGEST_DUAL = 1000


@dataclass(frozen=True)
class EpisodeHeads:
    """Linear classifiers of a batch of episodes.

    Attributes
    ----------
    center : Tensor of shape (*batch, 1, m)
        Mean of the support features.
    coef : Tensor of shape (*batch, m, k)
        Coefficients, for features in their own units.
    intercept : Tensor of shape (*batch, 1, k)
        Scores at `center`.
    gap : Tensor of shape (*batch,)
        Relative duality gap; zero where the solution has a closed form.
    """

    center: Tensor
    coef: Tensor
    intercept: Tensor
    gap: Tensor

    def scores(self, F: Tensor) -> Tensor:
        """Scores (*batch, n, k) of features (*batch, n, m)."""
        return (F - self.center) @ self.coef + self.intercept

    @property
    def used(self) -> Tensor:
        """Mask of the features that have a nonzero coefficient, shape (*batch, m)."""
        return (self.coef != 0).any(-1)


@dataclass(frozen=True)
class FewShotHead:
    r"""The inner problem of every episode, on features that are centred and scaled.

    .. math:: x_i = (F_i - \bar F) / s, \quad \bar F = \tfrac1n \sum_i F_i, \quad
        s^2 = \tfrac1n \sum_i \|F_i - \bar F\|^2

    over the n support rows of k classes. So `l2_reg` is in units of the mean squared norm of the
    centred features, and the heads are the same whatever the scale and the offset of the features.
    `l2_reg` is also multiplied by ``sqrt(n / k)``: losses are sums over rows, and for a mean loss
    the error bound of a regularised linear predictor is least where the penalty falls as one over
    the root of n.

    Parameters
    ----------
    kind : str
        Key of EPISODE_HEADS.
    group_reg : float
        Lambda_1 of SPARSE_HEADS as a fraction of the uniform-spread bound of its maximum.
    l2_reg : float
        Lambda_2 of all heads but "prototype", for scaled features and one row a class.
    tol : float
        Relative duality gap at which a head is solved.
    fit_intercept : bool
        Whether "group_lasso_svm", "svm" and "logistic" get a column of ones, which the group
        penalty leaves out and `l2_reg` does not; the others have an intercept of their own.
    max_iter : int
        Limit on the iterations of the SVMs' solver.
    """

    kind: str
    group_reg: float = 0.1
    l2_reg: float = 1.0
    tol: float = 1e-5
    fit_intercept: bool = False
    max_iter: int = 100

    def fit(self, F: Tensor, y: Tensor, n_classes: int) -> EpisodeHeads:
        """Solve for a batch of episodes; differentiable in F.

        Parameters
        ----------
        F : Tensor of shape (*batch, n, m)
            Support features.
        y : Tensor of int64, broadcastable to (*batch, n)
            Their classes in [0, k), all of which occur.
        n_classes : int
            Number of classes, k >= 2.

        References
        ----------
        Shalev-Shwartz and Ben-David, "Understanding Machine Learning", 2014, corollary 13.9, for
        the growth of `l2_reg` with the number of rows.
        """
        y = y.expand(F.shape[:-1])
        center = F.mean(-2, keepdim=True)
        X = F - center
        square = X.square().sum(-1).mean(-1)[..., None, None]
        rounding = ROUNDED * torch.finfo(F.dtype).eps
        limit = (rounding * center.detach()).square().sum(-1, keepdim=True)
        constant = square <= limit + torch.finfo(F.dtype).tiny
        scale = torch.where(constant, 1, torch.where(constant, 1, square).sqrt())
        head = replace(self, l2_reg=self.l2_reg * math.sqrt(F.shape[-2] / n_classes))
        # what is left of equal rows is rounding, which no head may use
        X = torch.where(constant, 0.0, X / scale)
        coef, intercept, gap = EPISODE_HEADS[self.kind](head, X, y, n_classes)
        return EpisodeHeads(center, coef / scale, intercept, gap.detach())


_Solution = tuple[Tensor, Tensor, Tensor]


def _prototype(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    """Score by minus the squared distance to each class mean, without the term equal for all."""
    Y = one_hot(y, k).to(X.dtype)
    means = Y.mT @ X / Y.sum(-2).unsqueeze(-1)
    return 2 * means.mT, -means.square().sum(-1).unsqueeze(-2), X.new_zeros(X.shape[:-2])


def _ridge(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    """Minimise ||X W - (Y - mean Y)||^2 / 2 + lambda_2 ||W||^2 / 2 by its smaller system."""
    Y = one_hot(y, k).to(X.dtype)
    intercept = Y.mean(-2, keepdim=True)
    Y = Y - intercept
    n, m = X.shape[-2:]
    if n <= m:
        coef = X.mT @ _solve_spd(X @ X.mT, head.l2_reg, Y)
    else:
        coef = _solve_spd(X.mT @ X, head.l2_reg, X.mT @ Y)
    return coef, intercept, X.new_zeros(X.shape[:-2])


def _solve_spd(gram: Tensor, shift: float, right: Tensor) -> Tensor:
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, _ = torch.linalg.cholesky_ex(gram + shift * eye)
    return torch.cholesky_solve(right, factor)


def _svm(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    """The multiclass SVM of Crammer and Singer."""
    return _margin_machine(head, X, y, k, 0.0)


def _group_lasso_svm(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    """Problem (2b) of the paper."""
    # The bound counts as a constant: otherwise the encoder would be rewarded for lowering it.
    bound = uniform_spread_bound(X.detach(), one_hot(y, k).to(X.dtype))
    return _margin_machine(head, X, y, k, head.group_reg * bound if head.group_reg else 0.0)


def _sparse_prototype(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    """Nearest class mean on the features that the group-Lasso SVM uses.

    The penalty that chooses features also shrinks the coefficients of those that stay; class means
    are not shrunk. The choice is constant almost everywhere, so that the features in use alone have
    a derivative, as under the SVM itself.
    """
    coef, _, gap = _group_lasso_svm(head, X.detach(), y, k)
    used = (coef != 0).any(-1).unsqueeze(-2)
    return *_prototype(head, X * used, y, k)[:2], gap


def _margin_machine(
    head: FewShotHead, X: Tensor, y: Tensor, k: int, group_reg: Tensor | float
) -> _Solution:
    tol = head.tol if X.dtype == torch.float64 else max(head.tol, FLOAT32_TOL)
    m = X.shape[-1]
    weight = None
    if head.fit_intercept:
        X = _append_ones(X)
        weight = (torch.arange(m + 1, device=X.device) < m).to(X.dtype)
    result = group_lasso_svm_result(
        X,
        y,
        group_reg,
        head.l2_reg,
        n_classes=k,
        feature_weight=weight,
        tol=tol,
        max_iter=head.max_iter,
    )
    return *_split_intercept(result.coef, m), result.gap


def _append_ones(X: Tensor) -> Tensor:
    return torch.cat([X, X.new_ones(*X.shape[:-1], 1)], -1)


def _split_intercept(coef: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Coefficients of m features, and those of a column of ones if there is one."""
    if coef.shape[-2] == m:
        return coef, coef.new_zeros(*coef.shape[:-2], 1, coef.shape[-1])
    return coef[..., :m, :], coef[..., m:, :]


def _logistic(head: FewShotHead, X: Tensor, y: Tensor, k: int) -> _Solution:
    r"""Multinomial logistic regression, min_W sum_i CE(X_i W, y_i) + lambda_2 ||W||^2 / 2.

    The solution is W = X^T A with lambda_2 A = Y - P(X W), found by Newton steps of order n k. One
    more step from the solution, recorded for autograd with its matrix held fixed, has the
    derivative of the solution. A single head of many rows is solved for W if no derivative is
    needed.
    """
    m = X.shape[-1]
    if head.fit_intercept:
        X = _append_ones(X)
    Y = one_hot(y, k).to(torch.float64)
    if X.ndim == 2 and Y.numel() > LARGEST_DUAL and not X.requires_grad:
        coef, gap = logistic_of_many_rows(X.to(torch.float64), Y, head.l2_reg, head.tol)
        return *_split_intercept(coef.to(X.dtype), m), gap.to(X.dtype)
    K = (X @ X.mT).to(torch.float64)
    with torch.no_grad():
        A, gap = _solve_logistic(K.detach(), Y, head.l2_reg, head.tol)
        system = _logistic_system(K.detach(), A, head.l2_reg)
    residual = head.l2_reg * A - Y + (K @ A).softmax(-1)
    A = A - _newton_step(system, residual)
    return *_split_intercept(X.mT @ A.to(X.dtype), m), gap.to(X.dtype)


def _solve_logistic(K: Tensor, Y: Tensor, l2_reg: float, tol: float) -> tuple[Tensor, Tensor]:
    A = torch.zeros_like(Y)
    halvings = torch.arange(N_STEP_LENGTHS, dtype=K.dtype, device=K.device)
    lengths = torch.pow(0.5, halvings).view(-1, *(1,) * Y.ndim)
    for _ in range(NEWTON_BLOCKS):
        for _ in range(NEWTON_STEPS):
            residual = l2_reg * A - Y + (K @ A).softmax(-1)
            step = _newton_step(_logistic_system(K, A, l2_reg), residual)
            tried = A - lengths * step
            best = _logistic_primal(K, tried, Y, l2_reg).argmin(0)
            A = tried.gather(0, best[None, ..., None, None].expand(1, *Y.shape))[0]
        gap = _logistic_gap(K, A, Y, l2_reg)
        if not any_true(gap > tol):
            break
    return A, gap


def _logistic_system(K: Tensor, A: Tensor, l2_reg: float) -> Tensor:
    """lambda_2 I + S (K x I), shape (*batch, n k, n k), S the softmax's derivative of each row."""
    P = (K @ A).softmax(-1)
    S = torch.diag_embed(P) - P.unsqueeze(-1) * P.unsqueeze(-2)
    n, k = A.shape[-2:]
    system = (S[..., :, :, None, :] * K[..., :, None, :, None]).reshape(*A.shape[:-2], n * k, n * k)
    return system + l2_reg * torch.eye(n * k, dtype=K.dtype, device=K.device)


def _newton_step(system: Tensor, residual: Tensor) -> Tensor:
    step, _ = torch.linalg.solve_ex(system, residual.flatten(-2).unsqueeze(-1))
    return step.view_as(residual)


def _logistic_primal(K: Tensor, A: Tensor, Y: Tensor, l2_reg: float) -> Tensor:
    scores = K @ A
    loss = (scores.logsumexp(-1) - (scores * Y).sum(-1)).sum(-1)
    return loss + l2_reg / 2 * (A * scores).sum((-1, -2))


def _logistic_gap(K: Tensor, A: Tensor, Y: Tensor, l2_reg: float) -> Tensor:
    """Relative duality gap at A and at the dual point P(X W)."""
    primal = _logistic_primal(K, A, Y, l2_reg)
    P = (K @ A).softmax(-1)
    difference = Y - P
    entropy = -(P * P.clamp_min(torch.finfo(P.dtype).tiny).log()).sum((-1, -2))
    dual = entropy - (difference * (K @ difference)).sum((-1, -2)) / (2 * l2_reg)
    n, k = Y.shape[-2:]
    floor = n * math.log(k) / 1000
    return (primal - dual).clamp_min(0) / primal.clamp_min(floor)


EPISODE_HEADS: dict[str, Callable[[FewShotHead, Tensor, Tensor, int], _Solution]] = {
    "group_lasso_svm": _group_lasso_svm,
    "logistic": _logistic,
    "prototype": _prototype,
    "ridge": _ridge,
    "sparse_prototype": _sparse_prototype,
    "svm": _svm,
}
# Heads with zeros, which depend on `group_reg`.
SPARSE_HEADS = ("group_lasso_svm", "sparse_prototype")
# Scale of the scores at the start of training: margins are about one, scores of ridge are smaller.
START_SCALES = {
    "group_lasso_svm": 8.0,
    "logistic": 8.0,
    "prototype": 5.0,
    "ridge": 12.0,
    "sparse_prototype": 5.0,
    "svm": 8.0,
}
