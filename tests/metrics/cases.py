"""Factors and codes whose scores are known."""

import numpy as np
from scipy.stats import ortho_group


def grid(values=(3, 4, 5), copies=8):
    """Every combination of the factors' values, `copies` times: exactly independent factors."""
    mesh = np.meshgrid(*[np.arange(v) for v in values], indexing="ij")
    return np.tile(np.stack(mesh, axis=-1).reshape(-1, len(values)), (copies, 1))


def normal(n=2000, m=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, m))


def rotated(Z, seed=0):
    return (Z - Z.mean(axis=0)) @ ortho_group.rvs(Z.shape[1], random_state=seed)
