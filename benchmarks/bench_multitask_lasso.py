"""How fast are batches of Lasso problems of several outputs, next to a loop over other solvers?

First table: T problems of q outputs with a design of their own, alpha = 0.05 alpha_max, float64, to
a relative duality gap of 1e-6. Ours is timed with its exact gradient in features, targets and
alpha; the peers are timed forward only, with the loosest tolerance (scikit-learn: of each problem,
celer and skglm: a power of ten) with which all problems reach that gap.

Second table: designs on which supports change often or features are collinear, ours forward only,
to gaps of 1e-6 and 1e-10.

Ratios are medians over rounds, each round timing ours and the peer one after the other.
"""

import warnings

import numpy as np
import torch
from sklearn.linear_model import MultiTaskLasso

from benchmarks._common import command, require
from benchmarks.bench_lasso import GAP, compared, loosest, milliseconds, within
from sklearn_sparsedis.functional import multitask_lasso_alpha_max, multitask_lasso_duality_gap
from sklearn_sparsedis.implicit import multitask_lasso
from sklearn_sparsedis.solvers import solve_multitask_lasso

SIZES = [
    (64, 50, 6, 4),
    (512, 50, 6, 4),
    (64, 50, 20, 4),
    (512, 50, 20, 4),
    (64, 200, 100, 4),
    (64, 200, 100, 10),
]
HARD = ["plain", "correlated", "sums", "duplicates", "near copies", "scales"]
HARD_SIZES = [(50, 20), (15, 30)]
FRACTIONS = [0.3, 0.01, 1e-4]


def make_problems(T, n, m, q, noise, seed=0):
    """Normal designs, 30 % of the variables used, noise in units of the signal."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g, dtype=torch.float64)
    used = torch.rand(T, m, generator=g).argsort(-1) < max(1, round(0.3 * m))
    signal = Z @ (torch.randn(T, m, q, generator=g).double() * used[..., None])
    Y = signal + noise * signal.std(-2, keepdim=True) * torch.randn(T, n, q, generator=g)
    return Z, Y, 0.05 * multitask_lasso_alpha_max(Z.mT @ Y / n)


def make_hard(kind, n, m, fraction, T=64, q=4, seed=0):
    """Designs that are collinear, nearly so, or badly scaled."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).double()
    if kind == "correlated":
        Z = 0.99 * Z[..., :1] + 0.1 * Z
    if kind == "sums":
        Z = Z.cumsum(-1)
    if kind == "duplicates":
        Z[..., m // 2 :] = Z[..., : m // 2]
    if kind == "near copies":
        Z[..., m // 2 :] = Z[..., : m // 2] + 1e-5 * Z[..., m // 2 :]
    W = torch.randn(T, m, q, generator=g).double() * (torch.rand(T, m, 1, generator=g) < 0.5)
    Y = Z @ W + 0.3 * torch.randn(T, n, q, generator=g)
    if kind == "scales":
        Z = Z * torch.logspace(-3, 3, m).double()
    return Z, Y, fraction * multitask_lasso_alpha_max(Z.mT @ Y / n)


def worst_gap(Z, Y, alpha, coef):
    """Largest relative duality gap of solutions (T, m, q), from the residuals."""
    coef = torch.as_tensor(np.asarray(coef))
    residual = Y - Z @ coef
    square = residual.square().sum((-2, -1)) / Y.shape[-2]
    gap = multitask_lasso_duality_gap(square, coef, Z.mT @ residual / Y.shape[-2], alpha)
    penalty = alpha * torch.linalg.vector_norm(coef, dim=-1).sum(-1)
    floor = 0.5e-3 * Y.square().sum((-2, -1)) / Y.shape[-2]
    return float((gap / (0.5 * square + penalty).maximum(floor)).max())


def ours(Z, Y, alpha):
    """Forward and backward."""
    Z, Y, alpha = (x.detach().requires_grad_() for x in (Z, Y, alpha))

    def run():
        torch.autograd.grad(multitask_lasso(Z, Y, alpha, tol=GAP).square().sum(), [Z, Y, alpha])

    return run


def relative_tolerances(Z, Y, alpha):
    """The gap of 1e-6 in scikit-learn's units, ||Y||^2 / n."""
    objective = solve_multitask_lasso(Z, Y, alpha, tol=1e-10).objective
    return (GAP * objective / (Y.square().sum((-2, -1)) / Y.shape[-2])).numpy()


def scikit_learn_loop(Z, Y, alpha):
    """One estimator a problem."""
    tol = relative_tolerances(Z, Y, alpha)
    data = [x.numpy() for x in (Z, Y, alpha)]

    def run():
        return [
            MultiTaskLasso(alpha=a, fit_intercept=False, tol=t, max_iter=100_000).fit(X, B).coef_.T
            for X, B, a, t in zip(*data, tol, strict=True)
        ]

    return run


def celer_loop(Z, Y, alpha):
    """One path of one strength a problem: its estimator does not fit this scikit-learn."""
    mtl_path = require("celer.homotopy").mtl_path

    features = [np.asfortranarray(X) for X in Z.numpy()]
    targets = [np.asfortranarray(B) for B in Y.numpy()]

    def run(tol):
        return [
            mtl_path(X, B, alphas=np.array([a]), tol=tol, max_iter=1000)[1][..., 0].T
            for X, B, a in zip(features, targets, alpha.numpy(), strict=True)
        ]

    return loosest(run, lambda coef: worst_gap(Z, Y, alpha, coef))


def skglm_loop(Z, Y, alpha):
    """One estimator a problem."""
    skglm = require("skglm")

    data = [x.numpy() for x in (Z, Y, alpha)]

    def run(tol):
        return [
            skglm.MultiTaskLasso(alpha=a, fit_intercept=False, tol=tol).fit(X, B).coef_.T
            for X, B, a in zip(*data, strict=True)
        ]

    return loosest(run, lambda coef: worst_gap(Z, Y, alpha, coef))


SOLVERS = {"scikit-learn": scikit_learn_loop, "celer": celer_loop, "skglm": skglm_loop}
PEERS = ("celer", "skglm")
SETTINGS = {
    "full": {
        "rounds": 7,
        "threads": 1,
        "noise": [0.1, 1.0],
        "peers": list(SOLVERS),
        "max_variables": 100,
        "only": None,
        "sizes": SIZES,
        "hard": HARD,
    },
    "short": {
        "rounds": 1,
        "noise": [0.1],
        "peers": ["scikit-learn", "celer"],
        "sizes": SIZES[:3],
        "hard": HARD[:2],
    },
    "quick": {
        "rounds": 1,
        "noise": [0.1],
        "peers": ["scikit-learn", "celer"],  # skglm compiles for ten seconds
        "sizes": [(8, 50, 6, 4)],
        "hard": ["plain"],
    },
}


def problem_rows(options):
    """Rows of the first table, as they are measured."""
    for noise in options.noise:
        for size in within(options):
            problems = make_problems(*size, noise)
            run = ours(*problems)
            coef = solve_multitask_lasso(*problems, tol=GAP).coef
            found = [
                compared(name, SOLVERS, problems, run, options.rounds, worst_gap)
                for name in options.peers
            ]
            times = [own for _, own in found if own is not None]
            forward = np.median(
                [
                    milliseconds(lambda p=problems: solve_multitask_lasso(*p, tol=GAP))
                    for _ in range(options.rounds)
                ]
            )
            used = f"{(coef != 0).any(-1).double().mean():.2f}"
            own = f"{np.median(times):.1f} ({forward:.1f})"
            cells = (cell for cell, _ in found)
            yield [noise, *size, used, f"{worst_gap(*problems, coef):.0e}", own, *cells]


def hard_rows(options):
    """Rows of the second table."""
    for kind in options.hard:
        for n, m in HARD_SIZES:
            for tol in (1e-6, 1e-10):
                reached, worst, iterations, times = 0, 0.0, 0, []
                for fraction in FRACTIONS:
                    problems = make_hard(kind, n, m, fraction)
                    result = solve_multitask_lasso(*problems, tol=tol)
                    reached += int(result.converged.sum())
                    worst = max(worst, worst_gap(*problems, result.coef))
                    iterations = max(iterations, int(result.n_iter.max()))
                    times.append(
                        milliseconds(lambda p=problems, t=tol: solve_multitask_lasso(*p, tol=t))
                    )
                share = f"{reached} of {64 * len(FRACTIONS)}"
                yield [kind, n, m, tol, share, f"{worst:.0e}", iterations, f"{max(times):.0f}"]


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--noise", type=float, nargs="*")
    parser.add_argument("--peers", nargs="*", choices=list(SOLVERS))
    parser.add_argument("--max-variables", type=int, help="leave out larger sizes")
    parser.add_argument("--only", choices=["speed", "hard"], help="one of the tables")


def tables(options):
    """Speed beside peers, and hard designs."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    if options.only != "hard":
        peers = [f"{name}: ms / ratio (worst gap)" for name in options.peers]
        own = ["used", "our worst gap", "ours (forward alone), ms"]
        header = ["noise", "T", "n", "m", "q", *own, *peers]
        yield "Problems with designs of their own", header, problem_rows(options)
    if options.only != "speed":
        header = ["design", "n", "m", "tol", "reached", "worst gap", "most iterations", "ms"]
        yield "Hard designs", header, hard_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
