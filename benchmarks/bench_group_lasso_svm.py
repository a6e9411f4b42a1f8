"""How fast is a batch of group-Lasso SVMs, and at lambda_1 = 0 of Crammer-Singer SVMs?

Eight tasks in float64, each to a relative duality gap of 1e-6, against jaxopt's block coordinate
descent on the same dual (rescaled to lambda_2 = 1, jitted, compile time excluded), scikit-learn's
LinearSVC(crammer_singer) and qpth; and the share that a sparse head adds to a Conv4 training step.
"""

import argparse
import importlib.metadata
import statistics
import time

import numpy as np
import torch
from sklearn.svm import LinearSVC
from torch import nn

from sklearn_sparsedis.functional import (
    group_lasso_svm_dual,
    group_lasso_svm_primal,
    uniform_spread_bound,
)
from sklearn_sparsedis.implicit import group_lasso_svm
from sklearn_sparsedis.solvers import solve_group_lasso_svm

TASKS, WAYS, TOL = 8, 5, 1e-6


def make_tasks(n, m, seed=0):
    """Gaussian classes, with features of mean squared norm one."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    y = torch.arange(n).remainder(WAYS).expand(TASKS, n).clone()
    means = torch.randn(TASKS, WAYS, m, **options) / 2
    F = means.gather(1, y[..., None].expand(TASKS, n, m)) + torch.randn(TASKS, n, m, **options)
    return F / F.square().sum(-1).mean().sqrt(), y


def one_hot(y):
    return nn.functional.one_hot(y, WAYS).double()


def group_reg_for(F, y, used):
    """Strength of each task at which about that share of the features is in use."""
    bound = uniform_spread_bound(F, one_hot(y))
    low, high = torch.zeros_like(bound), torch.ones_like(bound)
    for _ in range(12):
        middle = (low + high) / 2
        coef = solve_group_lasso_svm(F, y, middle * bound, 1.0, tol=1e-4).coef
        many = (coef != 0).any(-1).double().mean(-1) > used
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return middle * bound


def clock(function):
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def ours(F, y, group_reg, repeats=5, tol=TOL):
    """Median seconds and the worst gap."""
    times, result = [], None
    for _ in range(repeats):
        seconds, result = clock(
            lambda: solve_group_lasso_svm(F, y, group_reg, 1.0, n_classes=WAYS, tol=tol)
        )
        times.append(seconds)
    return statistics.median(times), result


def relative_gap(dual, F, y, group_reg):
    Y = one_hot(y)
    threshold = torch.as_tensor(group_reg)
    V = F.mT @ (Y - dual)
    norm = torch.linalg.vector_norm(V, dim=-1)
    W = V * (1 - threshold / norm.clamp_min(1e-300)).clamp_min(0).unsqueeze(-1)
    primal = group_lasso_svm_primal(W, F, Y, threshold, 1.0)
    value = group_lasso_svm_dual(dual, F, Y, threshold, 1.0)
    return float((primal - value) / primal.clamp_min(len(F) / 1000))


def jaxopt_seconds(F, y, group_reg, limit):
    """Seconds of jaxopt for all tasks, or None where a task is above the gap at its limit."""
    try:
        import jax
        import jax.numpy as jnp
        import jaxopt
        from jaxopt import objective, projection
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    class Dual(type(objective.multiclass_linear_svm_dual)):
        def subfun(self, Xbeta, l2reg, data):
            X, Y, l1 = data
            V = X.T @ Y - Xbeta
            square = jnp.sum(V**2, axis=-1)
            norm = jnp.sqrt(jnp.where(square > 0, square, 1.0)) * (square > 0)
            return 0.5 / l2reg * jnp.sum(jnp.maximum(norm - l1, 0.0) ** 2)

    solver = jaxopt.BlockCoordinateDescent(
        fun=Dual(),
        block_prox=lambda x, hyper, scaling: projection.projection_simplex(x),
        maxiter=100,
        tol=0.0,
        implicit_diff=False,
    )
    run = jax.jit(lambda beta, l1, X, Y: solver.run(beta, None, 1.0, (X, Y, l1)).params)
    total = 0.0
    for task in range(TASKS):
        X, Y = jnp.asarray(F[task].numpy()), jnp.asarray(one_hot(y[task]).numpy())
        l1 = jnp.asarray(float(group_reg[task]))
        beta = jnp.full_like(Y, 1 / WAYS)
        run(beta, l1, X, Y).block_until_ready()
        spent = 0.0
        while True:
            seconds, beta = clock(lambda: run(beta, l1, X, Y).block_until_ready())  # noqa: B023
            spent += seconds
            dual = torch.tensor(np.asarray(beta))
            if relative_gap(dual, F[task], y[task], group_reg[task]) <= TOL:
                break
            if spent > limit:
                return None
        total += spent
    return total


def linear_svc_seconds(F, y, optimum):
    """Seconds of LinearSVC at the loosest tolerance that brings every task within the gap."""
    for tol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        model = LinearSVC(
            multi_class="crammer_singer", C=1.0, fit_intercept=False, tol=tol, max_iter=10**6
        )
        seconds, coefs = clock(
            lambda: [model.fit(F[t].numpy(), y[t].numpy()).coef_.T.copy() for t in range(TASKS)]  # noqa: B023
        )
        primal = group_lasso_svm_primal(torch.tensor(np.stack(coefs)), F, one_hot(y), 0.0, 1.0)
        if ((primal - optimum) / primal.clamp_min(F.shape[1] / 1000)).max() <= TOL:
            return seconds
    return None


def qpth_seconds(F, y):
    """Seconds of qpth's batched interior-point method on the dual as MetaOptNet states it."""
    try:
        from qpth.qp import QPFunction
    except ImportError:
        return None
    n, size = F.shape[1], F.shape[1] * WAYS
    eye = torch.eye(WAYS, dtype=F.dtype)
    Y = one_hot(y).flatten(1)
    gram = F @ F.mT

    def solve():
        # alpha = Lambda: 1/2 alpha^T (K (x) I) alpha + (Y - (K (x) I) Y) . alpha on the simplices
        Q = torch.einsum("bij,kl->bikjl", gram, eye).reshape(TASKS, size, size)
        Q = Q + 1e-10 * torch.eye(size, dtype=F.dtype)
        p = Y - (Q @ Y[..., None])[..., 0]
        G, h = -torch.eye(size, dtype=F.dtype), torch.zeros(size, dtype=F.dtype)
        A = torch.kron(torch.eye(n, dtype=F.dtype), torch.ones(1, WAYS, dtype=F.dtype))
        return QPFunction(verbose=-1, eps=1e-9)(Q, p, G, h, A, torch.ones(n, dtype=F.dtype))

    with torch.no_grad():
        return clock(solve)[0]


def show(seconds):
    return "      -" if seconds is None else f"{seconds:7.3f}"


def compare(n, m, used, peer_limit):
    F, y = make_tasks(n, m)
    group_reg = group_reg_for(F, y, used)
    seconds, result = ours(F, y, group_reg)
    peer = jaxopt_seconds(F, y, group_reg, peer_limit) if peer_limit else None
    single, narrow = ours(F.float(), y, group_reg.float(), tol=1e-5)
    used = (result.coef != 0).any(-1).double().mean()
    ratio = "" if peer is None else f"{peer / seconds:6.1f}x"
    print(
        f"{n:4d} {m:6d} {used:5.0%} {seconds:7.3f} s gap {result.gap.max():.0e}   jaxopt "
        f"{show(peer)} s {ratio:7s} float32 {single:6.3f} s gap {narrow.gap.max():.0e}",
        flush=True,
    )


def compare_without_groups(n, m):
    F, y = make_tasks(n, m)
    ratios, qp_ratios = [], []
    for _ in range(5):
        seconds, result = ours(F, y, 0.0, repeats=1)
        peer, qp = linear_svc_seconds(F, y, result.objective), qpth_seconds(F, y)
        ratios.append(np.nan if peer is None else peer / seconds)
        qp_ratios.append(np.nan if qp is None else qp / seconds)
    print(
        f"{n:4d} {m:6d}  {seconds:7.3f} s gap {result.gap.max():.0e}   LinearSVC {show(peer)} s "
        f"{np.median(ratios):5.1f}x   qpth {show(qp)} s {np.median(qp_ratios):5.1f}x",
        flush=True,
    )


def conv4(channels):
    layers, width = [], 1
    for out in channels:
        layers += [nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        width = out
    return nn.Sequential(*layers, nn.Flatten())


def training_step(share, repeats=7):
    """Share of a training step's time that the head adds to the encoder's."""
    torch.manual_seed(0)
    encoder = conv4((64, 64, 64, 256))
    images = torch.rand(4, 50, 1, 28, 28)
    y = torch.arange(25).remainder(WAYS).expand(4, 25)
    queries = torch.arange(25).remainder(WAYS).repeat(4)
    # prototypes of each class, so that the features have something to find
    images += torch.rand(4, WAYS, 1, 28, 28)[:, torch.arange(50) % WAYS]

    def features():
        return encoder(images.flatten(0, 1)).view(4, 50, -1)

    def bare():
        features().square().mean().backward()

    def with_head():
        F = features()
        support, query = F[:, :25], F[:, 25:]
        centre = support.mean(1, keepdim=True)
        support, query = support - centre, query - centre
        l2_reg = support.square().sum(-1).mean(-1)
        group_reg = share * uniform_spread_bound(support, one_hot(y).float())
        coef = group_lasso_svm(support, y, group_reg, l2_reg, n_classes=WAYS, tol=1e-5)
        nn.functional.cross_entropy((query @ coef).flatten(0, 1), queries).backward()

    bare(), with_head()
    times = [(clock(with_head)[0], clock(bare)[0]) for _ in range(repeats)]
    return statistics.median(a / b - 1 for a, b in times), statistics.median(b for _, b in times)


def clarabel_objective(F, y, group_reg):
    """Objective at Clarabel's solution, or None without cvxpy."""
    try:
        import cvxpy as cp
    except ImportError:
        return None
    X, Y = F.numpy(), one_hot(y).numpy()
    W = cp.Variable((X.shape[1], WAYS))
    scores = X @ W
    own = cp.sum(cp.multiply(scores, Y), axis=1, keepdims=True)
    loss = cp.sum(cp.max(1 - Y + scores - own @ np.ones((1, WAYS)), axis=1))
    penalty = group_reg * cp.sum(cp.norm(W, axis=1)) + 0.5 * cp.sum_squares(W)
    cp.Problem(cp.Minimize(loss + penalty)).solve(solver=cp.CLARABEL)
    return float(group_lasso_svm_primal(torch.tensor(W.value), F, one_hot(y), group_reg, 1.0))


def badly_scaled(group_reg):
    """Columns of scale 1e3, 1e-3 and 1: gap reached and objective against Clarabel's."""
    F, y = make_tasks(25, 64)
    F = 8 * F * torch.tensor([1e3] * 21 + [1e-3] * 21 + [1.0] * 22).double()
    seconds, result = ours(F, y, group_reg, repeats=1, tol=1e-9)
    peer = clarabel_objective(F[0], y[0], group_reg)
    excess = "" if peer is None else f"{float(result.objective[0]) / peer - 1:+.0e}"
    print(
        f"group_reg {group_reg:5g}: {int(result.converged.sum())} of {TASKS} at 1e-9, worst gap "
        f"{result.gap.max():.1e}, {seconds:.2f} s; objective against Clarabel's {excess}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer-limit", type=float, default=10, help="seconds a task for jaxopt")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for package in ("torch", "scikit-learn", "jaxopt", "qpth"):
        try:
            print(package, importlib.metadata.version(package), end="  ")
        except importlib.metadata.PackageNotFoundError:
            print(package, "absent", end="  ")
    print(f"\n{TASKS} tasks of {WAYS} classes, float64, to a relative gap of {TOL:g}")
    print("\nhead's share of a Conv4 step (4 episodes, 5-way 5+5, 28x28, float32)")
    for share in (0.1, 0.3):
        added, base = training_step(share)
        print(f"group_reg {share}: {added:+.1%} of {base:.3f} s", flush=True)
    print("\nbadly scaled columns")
    for group_reg in (0.0, 1.0, 30.0, 300.0):
        badly_scaled(group_reg)
    print("\nlambda_1 = 0\n   n      m     ours")
    for n, m in ((25, 640), (75, 2560), (75, 16000)):
        compare_without_groups(n, m)
    print("\n   n      m  used     ours")
    for n, m, limit in (
        (25, 640, arguments.peer_limit),
        (75, 2560, arguments.peer_limit),
        (75, 16000, 0),
    ):
        for used in (0.2, 0.8):
            compare(n, m, used, limit)


if __name__ == "__main__":
    main()
