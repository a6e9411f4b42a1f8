"""How fast are batches of differentiable Lasso problems, next to a loop over the usual solvers?

First table: T problems with a design of their own, alpha = 0.05 alpha_max, float64, to a relative
duality gap of 1e-6. Ours is timed with its exact gradient in features, targets and alpha; the
peers are timed forward only. scikit-learn and celer get the loosest tolerance with which each
problem must reach that gap, skglm, jaxopt and cvxpylayers the loosest power of ten with which all
do. jaxopt's block coordinate descent takes steps n times too small as released; here its step is
corrected, and its compilation is not timed.

Second table: what a training step asks for, T tasks on one design, the penalty of the solution
before the design moved a little, solved from there, with the gradient in the Gram statistics.

Ratios are medians over rounds, each round timing ours and the peer one after the other.
"""

import warnings

import numpy as np
import torch
from sklearn.linear_model import Lasso

from benchmarks._common import Skip, command, require, seconds
from sklearn_sparsedis.functional import centred_gram, lasso_alpha_max, lasso_duality_gap
from sklearn_sparsedis.implicit import lasso
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.solvers import solve_lasso

SIZES = [(64, 50, 6), (512, 50, 6), (64, 50, 20), (512, 50, 20), (64, 200, 100), (512, 200, 100)]
TRAINING_SIZES = [(100, 6), (100, 10), (200, 10), (200, 20)]
GAP = 1e-6
# numbers in designs up to which a conic solver is tried
LARGEST_CONIC = 100_000


def make_problems(T, n, m, noise, seed=0):
    """Normal designs, 30 % of the variables used, noise in units of the signal."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=torch.float64)
    used = torch.rand(T, m, generator=g).argsort(-1) < max(1, round(0.3 * m))
    signal = (Z @ (torch.randn(T, m, generator=g).double() * used)[..., None])[..., 0]
    y = signal + noise * signal.std(-1, keepdim=True) * torch.randn(T, n, generator=g)
    return Z, y, 0.05 * lasso_alpha_max((Z.mT @ y[..., None])[..., 0] / n)


def worst_gap(Z, y, alpha, coef):
    """Largest relative duality gap of a peer's solutions, from the residuals."""
    coef = torch.as_tensor(np.asarray(coef))
    residual = y - (Z @ coef[..., None])[..., 0]
    gradient = (Z.mT @ residual[..., None])[..., 0] / y.shape[-1]
    square = residual.square().mean(-1)
    gap = lasso_duality_gap(square, coef, gradient, alpha)
    return float((gap / (0.5 * square + alpha * coef.abs().sum(-1))).max())


def ours(Z, y, alpha):
    """Forward and backward."""
    Z, y, alpha = (x.detach().requires_grad_() for x in (Z, y, alpha))

    def run():
        torch.autograd.grad(lasso(Z, y, alpha, tol=GAP).square().sum(), [Z, y, alpha])

    return run


def relative_tolerances(Z, y, alpha):
    """The gap of 1e-6 in the units of scikit-learn and celer, ||y||^2 / n."""
    objective = solve_lasso(Z, y, alpha, tol=1e-10).objective
    return (GAP * objective / y.square().mean(-1)).numpy()


def scikit_learn_loop(Z, y, alpha):
    """One estimator a problem."""
    tol = relative_tolerances(Z, y, alpha)
    Z, y, alpha = (x.numpy() for x in (Z, y, alpha))

    def run():
        return [
            Lasso(alpha=a, fit_intercept=False, tol=t, max_iter=100_000).fit(X, b).coef_
            for X, b, a, t in zip(Z, y, alpha, tol, strict=True)
        ]

    return run


def celer_loop(Z, y, alpha):
    """One estimator a problem."""
    celer = require("celer")

    tol = relative_tolerances(Z, y, alpha)
    Z, y, alpha = np.asfortranarray(Z.mT.numpy()).transpose(0, 2, 1), y.numpy(), alpha.numpy()

    def run():
        return [
            celer.Lasso(alpha=a, fit_intercept=False, tol=t).fit(X, b).coef_
            for X, b, a, t in zip(Z, y, alpha, tol, strict=True)
        ]

    return run


def skglm_loop(Z, y, alpha):
    """One estimator a problem."""
    skglm = require("skglm")

    data = [x.numpy() for x in (Z, y, alpha)]

    def run(tol):
        return [
            skglm.Lasso(alpha=a, fit_intercept=False, tol=tol).fit(X, b).coef_
            for X, b, a in zip(*data, strict=True)
        ]

    return loosest(run, lambda coef: worst_gap(Z, y, alpha, coef))


def jaxopt_batch(Z, y, alpha):
    """Block coordinate descent under vmap and jit."""
    jax, jaxopt = require("jax"), require("jaxopt")
    released = type(jaxopt.objective.least_squares)
    jax.config.update("jax_enable_x64", True)

    class LeastSquares(released):
        def columnwise_lipschitz_const(self, data):
            return super().columnwise_lipschitz_const(data) / data[0].shape[0]

    data = [jax.numpy.asarray(x.numpy()) for x in (Z, y, alpha)]
    zeros = jax.numpy.zeros(Z.shape[-1])

    def solver(tol):
        method = jaxopt.BlockCoordinateDescent(
            LeastSquares(), jaxopt.prox.prox_lasso, tol=tol, maxiter=10_000
        )
        return jax.jit(jax.vmap(lambda X, b, a: method.run(zeros, a, data=(X, b)).params))

    compiled = {}

    def run(tol):
        return compiled.setdefault(tol, solver(tol))(*data).block_until_ready()

    return loosest(run, lambda coef: worst_gap(Z, y, alpha, coef))


def cvxpylayers_batch(Z, y, alpha):
    """One conic program a problem, by the layer that differentiates its solutions."""
    cvxpy, layers = require("cvxpy"), require("cvxpylayers.torch")
    if Z.numel() > LARGEST_CONIC:
        raise Skip("a conic program a problem takes minutes")
    n, m = Z.shape[1:]
    w = cvxpy.Variable(m)
    parts = cvxpy.Parameter((n, m)), cvxpy.Parameter(n), cvxpy.Parameter(nonneg=True)
    loss = cvxpy.sum_squares(parts[0] @ w - parts[1]) / (2 * n)
    problem = cvxpy.Problem(cvxpy.Minimize(loss + parts[2] * cvxpy.norm1(w)))
    layer = layers.CvxpyLayer(problem, parameters=list(parts), variables=[w])

    def run(tol):
        with torch.no_grad():
            return layer(Z, y, alpha, solver_args={"eps": tol, "max_iters": 100_000})[0]

    return loosest(run, lambda coef: worst_gap(Z, y, alpha, coef))


def loosest(run, gap):
    """The run with the largest power of ten as tolerance that closes all gaps."""
    for exponent in range(2, 14):
        tol = 10.0**-exponent
        if gap(run(tol)) <= GAP:
            break
    return lambda: run(tol)


SOLVERS = {
    "scikit-learn": scikit_learn_loop,
    "celer": celer_loop,
    "skglm": skglm_loop,
    "jaxopt": jaxopt_batch,
    "cvxpylayers": cvxpylayers_batch,
}
PEERS = ("jax", "jaxopt", "celer", "skglm", "cvxpylayers")
SETTINGS = {
    "full": {
        "rounds": 7,
        "threads": 2,
        "noise": [0.1, 1.0],
        "peers": list(SOLVERS),
        "max_variables": 100,
        "sizes": SIZES,
        "training_sizes": TRAINING_SIZES,
    },
    "short": {"rounds": 3, "noise": [0.1], "max_variables": 20},
    "quick": {
        "rounds": 1,
        "noise": [0.1],
        "peers": ["scikit-learn", "celer", "jaxopt"],  # skglm compiles for ten seconds
        "sizes": [(8, 50, 6)],
        "training_sizes": [(100, 6)],
    },
}


def milliseconds(run):
    """Wall time of one run."""
    return 1e3 * seconds(run)


def compare(run, peer, rounds):
    """Median times of both and median ratio."""
    run(), peer()
    times = np.array([(milliseconds(run), milliseconds(peer)) for _ in range(rounds)])
    return *np.median(times, axis=0), np.median(times[:, 1] / times[:, 0])


def compared(name, solvers, problems, run, rounds, gap):
    """A cell about a peer, and our milliseconds beside it; None where the peer is not there."""
    try:
        peer = solvers[name](*problems)
    except Skip as reason:
        return f"skipped: {reason}", None
    own, other, ratio = compare(run, peer, rounds)
    return f"{other:.1f} / {ratio:.1f} ({gap(*problems, peer()):.0e})", own


def training_step(T, m, penalty):
    """Forward and backward of a warm-started solve, and its number of iterations."""
    g = torch.Generator().manual_seed(0)
    Z = torch.randn(1000, m, generator=g).double()
    W = torch.randn(T, m, generator=g).double() * (torch.rand(T, m, generator=g) < 0.4)
    Y = W @ Z.T + 0.3 * torch.randn(T, 1000, generator=g)
    before = centred_gram(Z, Y)[:3]
    alpha = 0.1 * lasso_alpha_max(before[1])
    start = PENALTIES[penalty].fit(*before, alpha).coef
    moved = Z + 0.01 * torch.randn(1000, m, generator=g)
    gram, corr, y_sq = centred_gram(moved, Y)[:3]
    gram, corr = gram.requires_grad_(), corr.requires_grad_()

    def run():
        coef, _, result = PENALTIES[penalty].fit(gram, corr, y_sq, alpha, coef_init=start)
        torch.autograd.grad(coef.sum(), [gram, corr])
        return result

    return run


def within(options):
    """Sizes with at most so many variables."""
    return [size for size in options.sizes if size[2] <= options.max_variables]


def problem_rows(options):
    """Rows of the first table, as they are measured."""
    for noise in options.noise:
        for size in within(options):
            problems = make_problems(*size, noise)
            run = ours(*problems)
            coef = solve_lasso(*problems, tol=GAP).coef
            found = [
                compared(name, SOLVERS, problems, run, options.rounds, worst_gap)
                for name in options.peers
            ]
            times = [own for _, own in found if own is not None]
            used = f"{(coef != 0).double().mean():.2f}"
            gap = f"{worst_gap(*problems, coef):.0e}"
            forward = np.median(
                [milliseconds(lambda p=problems: solve_lasso(*p, tol=GAP)) for _ in times * 7]
            )
            own = f"{np.median(times):.1f} ({forward:.1f})"
            yield [noise, *size, used, gap, own, *(cell for cell, _ in found)]


def training_rows(options):
    """Rows of the second table."""
    for size in options.training_sizes:
        for penalty in ("l1", "l2", "mcp", "elasticnet"):
            run = training_step(*size, penalty)
            result = run()
            times = [milliseconds(run) for _ in range(20 * options.rounds)]
            steps = int(result.n_iter.max())
            yield [*size, penalty, steps, f"{result.gap.max():.0e}", f"{np.median(times):.2f}"]


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--noise", type=float, nargs="*")
    parser.add_argument("--peers", nargs="*", choices=list(SOLVERS))
    parser.add_argument("--max-variables", type=int, help="leave out larger sizes")


def tables(options):
    """Cold solves beside peers, and warm ones as in training."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    peers = [f"{name}: ms / ratio (worst gap)" for name in options.peers]
    header = ["noise", "T", "n", "m", "used", "our worst gap", "ours (forward alone), ms", *peers]
    yield "Problems with designs of their own", header, problem_rows(options)
    header = ["T", "m", "penalty", "most iterations", "worst gap", "forward + backward, ms"]
    yield "One design, from the solution before it moved", header, training_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
