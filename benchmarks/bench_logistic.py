"""How fast are batches of sparse logistic regressions, next to a loop over the usual solvers?

T problems with designs of their own, float64, alpha = 0.05 alpha_max, to a relative duality gap of
1e-6, next to loops over scikit-learn (liblinear with a large intercept_scaling; saga) and celer,
which has no intercept. Ratios are medians over rounds, each timing ours and the peer one after the
other. In brackets, how much higher the peers' objectives are at worst, relative.

Second table: the same problems from the solution before the design moved a little, with the
gradient in design and alpha, as a training step asks for them.
"""

import warnings
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks._common import Skip, command, require, seconds
from sklearn_sparsedis.functional import logistic_alpha_max, logistic_loss
from sklearn_sparsedis.implicit import logistic_lasso_fit, logistic_ridge_fit
from sklearn_sparsedis.solvers import solve_logistic_lasso

SIZES = [(30, 1000, 10), (100, 200, 20), (100, 1000, 20), (30, 300, 100), (30, 50, 60)]
PEERS = ("celer",)
SETTINGS = {
    "full": {"rounds": 5, "threads": 1, "sizes": SIZES},
    "short": {"rounds": 1},
    "quick": {"rounds": 1, "sizes": [(4, 50, 10)]},
}


def make_problems(T, n, m, seed=0):
    """Normal designs, 40 % of the variables used, about a third of the labels 1."""
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(T, n, m, generator=g).double()
    coef = torch.randn(T, m, generator=g).double() * (torch.rand(T, m, generator=g) < 0.4)
    score = (Z @ coef[..., None])[..., 0] - 1
    y = (torch.rand(T, n, generator=g) < torch.sigmoid(score)).double()
    return Z, y, 0.05 * logistic_alpha_max(Z, y)


def excess(problems, solutions):
    """How much higher a peer's objectives are at worst, relative."""
    Z, y, alpha = problems
    coef = torch.tensor(np.array([s[0] for s in solutions]))
    intercept = torch.tensor(np.array([s[1] for s in solutions]))
    score = (Z @ coef[..., None])[..., 0] + intercept[:, None]
    found = logistic_loss(score, y).mean(-1) + alpha * coef.abs().sum(-1)
    best = solve_logistic_lasso(Z, y, alpha, tol=1e-10).objective
    return float((found / best - 1).max())


def scikit_learn(problems, solver, **options):
    """Loop over estimators."""
    Z, y, alpha = (x.numpy() for x in problems)

    def run():
        solutions = []
        for X, labels, a in zip(Z, y, alpha, strict=True):
            C = 1 / (len(X) * a)
            peer = LogisticRegression(l1_ratio=1.0, C=C, solver=solver, **options).fit(X, labels)
            solutions.append((peer.coef_[0], peer.intercept_[0]))
        return solutions

    return run


def celer_loop(problems):
    """celer, which has no intercept: a problem of the same size, not the same one."""
    celer = require("celer")

    Z, y, alpha = (x.numpy() for x in problems)
    Z = [np.asfortranarray(X) for X in Z]

    def run():
        for X, labels, a in zip(Z, y, alpha, strict=True):
            celer.LogisticRegression(C=1 / (len(X) * a), tol=1e-6).fit(X, labels)

    return run


SOLVERS = {
    "liblinear": partial(
        scikit_learn, solver="liblinear", tol=1e-5, max_iter=2000, intercept_scaling=1e3
    ),
    "saga": partial(scikit_learn, solver="saga", tol=1e-6, max_iter=5000),
    "celer, no intercept": celer_loop,
}


def compare(run, peer, rounds):
    """Median times of both and median ratio."""
    times = []
    for _ in range(rounds + 1):
        times.append([1e3 * seconds(job) for job in (run, peer)])
    times = np.array(times[1:])
    return *np.median(times, axis=0), np.median(times[:, 1] / times[:, 0])


def solver_rows(options):
    """A row a size."""
    for size in options.sizes:
        problems = make_problems(*size)

        def forward(problems=problems):
            return solve_logistic_lasso(*problems)

        cells = []
        for name, make in SOLVERS.items():
            try:
                peer = make(problems)
            except Skip as reason:
                cells.append(f"skipped: {reason}")
                continue
            own, other, ratio = compare(forward, peer, options.rounds)
            worse = "" if name == "celer, no intercept" else f" ({excess(problems, peer()):.0e})"
            cells.append(f"{other:.0f} / {ratio:.1f}{worse}")
        gap = f"{forward().gap.max():.0e}"
        yield *size, gap, f"{own:.0f}", *cells


def training_rows(options):
    """A row a size and penalty: time and number of steps of a warm solve with its gradient."""
    for size in options.sizes:
        Z, y, alpha = make_problems(*size)
        for penalty, solve in (("l1", logistic_lasso_fit), ("l2", logistic_ridge_fit)):
            before = solve(Z, y, alpha)
            moved = Z + 0.01 * torch.randn(Z.shape, generator=torch.Generator().manual_seed(1))

            def run(solve=solve, before=before, moved=moved, y=y, alpha=alpha):
                inputs = [x.detach().requires_grad_() for x in (moved, alpha)]
                start = {"coef_init": before.coef, "intercept_init": before.intercept}
                fit = solve(inputs[0], y, inputs[1], **start)
                torch.autograd.grad(fit.coef.square().sum() + fit.loss.sum(), inputs)
                return fit.result

            result = run()
            times = [1e3 * seconds(run) for _ in range(options.rounds)]
            steps, gap = int(result.n_iter.max()), f"{result.gap.max():.0e}"
            yield *size, penalty, steps, gap, f"{np.median(times):.1f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--rounds", type=int)


def tables(options):
    """Cold solves beside peers, and warm ones as in training."""
    warnings.simplefilter("ignore")  # peers that stop at their limit
    cells = [f"{peer}: ms / ratio (excess)" for peer in SOLVERS]
    header = ("T", "n", "m", "our worst gap", "ours, ms", *cells)
    yield "Problems with designs of their own", header, solver_rows(options)
    header = ("T", "n", "m", "penalty", "most steps", "worst gap", "forward + backward, ms")
    yield "From the solution before the design moved", header, training_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
