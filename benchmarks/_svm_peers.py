"""Other solvers of the problems of bench_group_lasso_svm, each brought to the same gap."""

import numpy as np
import torch
from sklearn.svm import LinearSVC
from torch import nn

from benchmarks._common import require, seconds
from sklearn_sparsedis.functional import group_lasso_svm_dual, group_lasso_svm_primal

TASKS, WAYS, TOL = 8, 5, 1e-6


def one_hot(y):
    return nn.functional.one_hot(y, WAYS).double()


def clock(run):
    """Seconds, and what it returns."""
    found = []
    return seconds(lambda: found.append(run())), found[0]


def relative_gap(dual, F, y, group_reg):
    """Of a dual point (n, k) of one task."""
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
    jax, jnp, jaxopt = require("jax"), require("jax.numpy"), require("jaxopt")
    jax.config.update("jax_enable_x64", True)

    class Dual(type(jaxopt.objective.multiclass_linear_svm_dual)):
        def subfun(self, Xbeta, l2reg, data):
            X, Y, l1 = data
            V = X.T @ Y - Xbeta
            square = jnp.sum(V**2, axis=-1)
            norm = jnp.sqrt(jnp.where(square > 0, square, 1.0)) * (square > 0)
            return 0.5 / l2reg * jnp.sum(jnp.maximum(norm - l1, 0.0) ** 2)

    solver = jaxopt.BlockCoordinateDescent(
        fun=Dual(),
        block_prox=lambda x, hyper, scaling: jaxopt.projection.projection_simplex(x),
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
            more, beta = clock(lambda: run(beta, l1, X, Y).block_until_ready())  # noqa: B023
            spent += more
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
        spent, coefs = clock(
            lambda: [model.fit(F[t].numpy(), y[t].numpy()).coef_.T.copy() for t in range(TASKS)]  # noqa: B023
        )
        primal = group_lasso_svm_primal(torch.tensor(np.stack(coefs)), F, one_hot(y), 0.0, 1.0)
        if ((primal - optimum) / primal.clamp_min(F.shape[1] / 1000)).max() <= TOL:
            return spent
    return None


def qpth_seconds(F, y):
    """Seconds of qpth's batched interior-point method on the dual as MetaOptNet states it."""
    QPFunction = require("qpth.qp").QPFunction
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


def clarabel_objective(F, y, group_reg):
    """Objective at Clarabel's solution."""
    cp = require("cvxpy")
    X, Y = F.numpy(), one_hot(y).numpy()
    W = cp.Variable((X.shape[1], WAYS))
    scores = X @ W
    own = cp.sum(cp.multiply(scores, Y), axis=1, keepdims=True)
    loss = cp.sum(cp.max(1 - Y + scores - own @ np.ones((1, WAYS)), axis=1))
    penalty = group_reg * cp.sum(cp.norm(W, axis=1)) + 0.5 * cp.sum_squares(W)
    cp.Problem(cp.Minimize(loss + penalty)).solve(solver=cp.CLARABEL)
    return float(group_lasso_svm_primal(torch.tensor(W.value), F, one_hot(y), group_reg, 1.0))
