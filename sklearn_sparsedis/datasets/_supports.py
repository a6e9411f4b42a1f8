"""Distributions of the supports of tasks: the latents that each task uses."""

from typing import Any

import numpy as np

from sklearn_sparsedis.datasets._checks import check_choice, check_integer, check_real

__all__ = ["DENSE_LAWS", "SUPPORT_LAWS", "draw_coefficients"]


def _bernoulli(
    n_tasks: int, n_columns: int, probability: float, rng: np.random.RandomState
) -> np.ndarray:
    """Draw independent Bernoulli masks; an empty one is drawn again."""
    mask = rng.random_sample((n_tasks, n_columns)) < probability
    empty = ~mask.any(axis=1)
    while empty.any():
        mask[empty] = rng.random_sample((int(empty.sum()), n_columns)) < probability
        empty = ~mask.any(axis=1)
    return mask


def _support_bernoulli(
    n_tasks: int, n_latents: int, prob: float, size: int, n_supports: int, rng: Any
) -> np.ndarray:
    return _bernoulli(n_tasks, n_latents, prob, rng)


def _support_fixed_size(
    n_tasks: int, n_latents: int, prob: float, size: int, n_supports: int, rng: Any
) -> np.ndarray:
    if size > n_latents:
        raise ValueError(f"support_size={size} must be at most n_latents={n_latents}.")
    order = np.argsort(rng.random_sample((n_tasks, n_latents)), axis=1)
    return order < size


def _support_blocks(
    n_tasks: int, n_latents: int, prob: float, size: int, n_supports: int, rng: Any
) -> np.ndarray:
    n_blocks = -(-n_latents // size)
    blocks = _bernoulli(n_tasks, n_blocks, prob, rng)
    return np.repeat(blocks, size, axis=1)[:, :n_latents]


def _support_finite(
    n_tasks: int, n_latents: int, prob: float, size: int, n_supports: int, rng: Any
) -> np.ndarray:
    supports = _bernoulli(n_supports, n_latents, prob, rng)
    return supports[rng.randint(n_supports, size=n_tasks)]


SUPPORT_LAWS = {
    "bernoulli": _support_bernoulli,
    "blocks": _support_blocks,
    "finite": _support_finite,
    "fixed_size": _support_fixed_size,
}
# Under these laws every task uses every latent, with coefficients of variance one.
DENSE_LAWS = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(scale=np.sqrt(0.5), size=shape),
}


def _given_supports(supports: Any, n_tasks: int, n_latents: int, rng: Any) -> np.ndarray:
    """Draw one of the supports that the user gave for each task."""
    supports = np.asarray(supports)
    if supports.ndim != 2 or supports.shape[1] != n_latents or supports.dtype.kind not in "biuf":
        raise ValueError(
            f"support must be the name of a law or a boolean array of shape (n_supports, "
            f"{n_latents}), one column a latent; got an array of shape {supports.shape}."
        )
    supports = supports != 0
    if len(supports) == 0 or not supports.any(axis=1).all():
        raise ValueError(
            f"support must have at least one row, and each row must use a latent, got "
            f"{len(supports)} rows, {int((~supports.any(axis=1)).sum())} of them empty. Leave out "
            "the empty ones."
        )
    return supports[rng.randint(len(supports), size=n_tasks)]


def draw_coefficients(
    n_tasks: int,
    n_latents: int,
    support: Any,
    *,
    support_prob: float,
    support_size: int,
    n_supports: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Draw the heads (n_tasks, n_latents): a support, and standard normal values on it.

    The arguments are those of `make_sparse_tasks`.
    """
    if not isinstance(support, str):
        mask = _given_supports(support, n_tasks, n_latents, rng)
    else:
        check_choice("support", support, {*SUPPORT_LAWS, *DENSE_LAWS}, also=" or pass an array")
        if support in DENSE_LAWS:
            return DENSE_LAWS[support](rng, (n_tasks, n_latents))
        check_real("support_prob", support_prob, 0.0, 1.0)
        if support_prob == 0.0:
            raise ValueError(
                "support_prob must be positive, because every task uses some latent, got 0.0."
            )
        check_integer("support_size", support_size, 1)
        check_integer("n_supports", n_supports, 1)
        mask = SUPPORT_LAWS[support](
            n_tasks, n_latents, support_prob, support_size, n_supports, rng
        )
    return rng.standard_normal((n_tasks, n_latents)) * mask
