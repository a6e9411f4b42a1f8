"""From heads on whitened features to components: how many, which ones, and which to trust."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sklearn_sparsedis.solvers import SparseBasisResult, solve_sparse_basis

# singular values of a matrix of errors exceed sqrt(T) + sqrt(r) by a few units at most
_EDGE_MARGIN = 3.0
_RELATIVE_NOISE_FLOOR = 1e-6
_STABLE = 0.8  # share of bootstrap samples that must keep an identified component
# tasks that use one component and not another, over what independence of the two would give: at
# most 0.35 in blocks of two, at least 0.6 in other pairs (60 and 100 tasks)
_ALONE = 0.45
_TRUST = ("evidence", "chance", "margin", "stability")


@dataclass(frozen=True)
class HeadBasis:
    """Components found from heads.

    Attributes
    ----------
    rotation : ndarray of shape (n_components, r)
        Components of whitened features: ``z = rotation @ f``, of unit variance; rows of zeros past
        the first r.
    unused : ndarray of shape (n_tasks, n_components)
        Probability that a task does not use a component; 0.5 where nothing is known.
    scores, chance, margin, stability : ndarray of shape (n_components,)
        See `solvers.SparseBasisResult`; zero where nothing is known.
    identified : ndarray of bool, shape (n_components,)
    n_latents : int
    n_found, n_starts : int
        Random starts that led to the basis, and of all; zero where there was nothing to search.
    spectrum : ndarray of shape (min(n_tasks, r),)
    problems : tuple of str
        What the data do not determine, in words.
    """

    rotation: NDArray[Any]
    unused: NDArray[Any]
    scores: NDArray[Any]
    chance: NDArray[Any]
    margin: NDArray[Any]
    stability: NDArray[Any]
    identified: NDArray[Any]
    n_latents: int
    n_found: int
    n_starts: int
    spectrum: NDArray[Any]
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        """The problems, and which components the data determine all the same."""
        trusted = np.flatnonzero(self.identified).tolist()
        return f"Not every component is determined by the data: {'; '.join(self.problems)}. " + (
            f"Components {trusted} can be trusted." if trusted else "Trust no component."
        )


def head_spectrum(coef: NDArray[Any], stderr: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Singular values of heads (T, r) over what their errors alone would give, and directions.

    Returns
    -------
    spectrum : ndarray of shape (min(T, r),)
        Decreasing significance: values above one belong to directions that the heads use.
    directions : ndarray of shape (r, r)
        Right singular vectors as rows, a complete orthonormal basis.
    """
    n_tasks, r = coef.shape
    norm = np.linalg.norm(coef, axis=1)
    error = np.maximum(stderr, _RELATIVE_NOISE_FLOOR * norm)
    scaled = coef / np.where(error > 0, error, 1.0)[:, None]
    # a full basis of the features is wanted, never one of the tasks
    _, values, directions = np.linalg.svd(scaled, full_matrices=n_tasks < r)
    k = np.arange(len(values))
    edge = np.sqrt(n_tasks - k) + np.sqrt(r - k) + _EDGE_MARGIN
    return values / edge, directions


def find_head_basis(
    coef: NDArray[Any],
    stderr: NDArray[Any],
    n_components: int | None,
    *,
    n_init: int | None,
    device: str | torch.device,
    seed: int,
) -> HeadBasis:
    """Find the sparsest basis of heads (T, r) with standard errors (T,).

    Directions beyond those that the heads use are filled from the complement, those beyond r are
    zero, and both are reported as not identified; heads with infinite standard errors are left out.
    """
    n_tasks, r = coef.shape
    known = np.isfinite(stderr)
    spectrum, directions = head_spectrum(coef[known], stderr[known])
    above = spectrum > 1
    n_latents = len(above) if above.all() else int(above.argmin())
    n_total = max(n_latents, 1) if n_components is None else n_components
    problems = []
    if not known.all():
        problems.append(
            f"{(~known).sum()} of {n_tasks} tasks have too few rows for a head of {r} features "
            "and were left out of the search (more rows, or fewer features, e.g. by PCA)"
        )
    rotation = np.zeros((n_total, r))
    rotation[: min(r, n_total)] = directions[:n_total]
    unused = np.full((n_tasks, n_total), 0.5)
    trust = {name: np.zeros(n_total) for name in _TRUST}
    identified = np.zeros(n_total, dtype=bool)
    n_found = n_starts = 0
    if n_latents < n_total or n_latents == 0:
        remedies = [f"set n_components={n_latents}"] if n_latents else ["add rows"]
        remedies += ["add tasks that use more of the features"] if n_latents < r else []
        problems.append(
            f"the heads use {n_latents} directions of the features beyond their errors, "
            f"{n_total} were asked for: {_filled(n_latents, r, n_total)} ({' or '.join(remedies)})"
        )
    if n_latents == 1 and known.sum() > 1:
        identified[0] = True
    elif 1 < n_latents < known.sum():
        result = _search(
            coef[known] @ directions[:n_latents].T, stderr[known], n_init, device, seed
        )
        n_found, n_starts = int(result.n_found), int(result.n_starts)
        A = np.linalg.inv(result.directions.numpy().T)
        A /= np.linalg.norm(A, axis=1, keepdims=True)
        order = np.argsort(result.unused.numpy().sum(axis=0), kind="stable")[:n_total]
        kept = slice(0, len(order))
        rotation[kept] = A[order] @ directions[:n_latents]
        unused[np.ix_(known, np.arange(len(order)))] = result.unused.numpy()[:, order]
        for name, values in trust.items():
            values[kept] = getattr(result, name).numpy()[order]
        identified[kept] = (trust["evidence"] > trust["chance"])[kept]
        identified[kept] &= trust["stability"][kept] >= _STABLE
        doubtful = np.flatnonzero(~identified[kept])
        if doubtful.size:
            problems.append(
                f"components {doubtful.tolist()} fit heads without zeros as well, or change with "
                "the choice of tasks (add tasks, each with few latents, or ask for fewer "
                "components; see scores, chance and stability)"
            )
        blocks = find_blocks(unused[np.ix_(known, np.arange(len(order)))] < 0.5)
        if blocks:
            identified[np.concatenate(blocks)] = False
            named = " and ".join(str(block.tolist()) for block in blocks)
            problems.append(
                f"components {named} are used by all but the same tasks: only the space that such "
                "a block spans is determined, not its components (add tasks that use some of a "
                "block without the others)"
            )
        if n_total < n_latents:
            problems.append(
                f"the heads use {n_latents} directions of the features, only the {n_total} "
                f"components with most users are kept (set n_components={n_latents} for all)"
            )
    elif n_latents:
        problems.append(
            f"{known.sum()} tasks cannot determine a basis of {n_latents} directions: with no more "
            "tasks than directions every basis that contains the heads is equally sparse (add "
            "tasks, several times as many as directions, or leave out features)"
        )
    return HeadBasis(
        rotation=rotation,
        unused=unused,
        scores=trust["evidence"],
        chance=trust["chance"],
        margin=trust["margin"],
        stability=trust["stability"],
        identified=identified,
        n_latents=n_latents,
        n_found=n_found,
        n_starts=n_starts,
        spectrum=spectrum,
        problems=tuple(problems),
    )


def _filled(n_latents: int, r: int, n_total: int) -> str:
    """Say what components past the directions of the heads are."""
    arbitrary, constant = list(range(n_latents, min(r, n_total))), list(range(r, n_total))
    said = [f"components {arbitrary} are arbitrary"] if arbitrary else []
    if constant:
        said.append(f"components {constant} are constant zero, as the features have rank {r}")
    return " and ".join(said)


def find_blocks(support: NDArray[Any]) -> list[NDArray[Any]]:
    """Components that are used together, in groups of two or more.

    Latents that always occur together give components of which a rotation within the block can set
    a task or two to zero, and more within their errors: two components belong together when few
    of the tasks that use one do not use the other, for a pair that is used independently.

    Parameters
    ----------
    support : ndarray of bool, shape (n_tasks, n_components)
    """
    used = support.astype(np.float64)
    alone, users = used.T @ (1 - used), used.sum(0)
    independent = users[:, None] * (1 - users / max(len(used), 1))
    together = np.maximum(alone, alone.T) < _ALONE * np.maximum(independent, independent.T)
    n_groups, group = connected_components(csr_array(together), directed=False)
    groups = [np.flatnonzero(group == g) for g in range(n_groups)]
    return [members for members in groups if len(members) > 1]


def _search(
    coef: NDArray[Any],
    stderr: NDArray[Any],
    n_init: int | None,
    device: str | torch.device,
    seed: int,
) -> SparseBasisResult:
    generator = torch.Generator().manual_seed(seed)
    result = solve_sparse_basis(
        torch.from_numpy(coef).to(device),
        torch.from_numpy(stderr).to(device),
        n_starts=n_init,
        generator=generator,
    )
    return type(result)(**{name: value.cpu() for name, value in vars(result).items()})
