"""From heads on whitened features to components: how many, which ones, and which to trust."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sklearn_sparsedis.basis._heads import HeadEstimates, head_spectrum, n_directions_used
from sklearn_sparsedis.solvers import SparseBasisResult, solve_sparse_basis
from sklearn_sparsedis.solvers.sparse_basis import STRONG

_STABLE = 0.8  # least probability that an identified component stays what it is
# tasks that use one component and not another, over what independence of the two would give: at
# most 0.35 in blocks of two, at least 0.6 in other pairs (60 and 100 tasks)
_ALONE = 0.45
SPARSITY, NON_GAUSSIANITY, NOTHING = "sparsity", "non-Gaussianity", "nothing"
TRUST = ("evidence", "chance", "margin", "stability")


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
    identified_by : ndarray of str, shape (n_components,)
        What a component is known by: zeros of heads, laws of components, or nothing.
    n_latents : int
    min_effect : float
        Share of a head's norm below which coefficients count as zero, beside their errors.
    n_found, n_starts : int
        Random starts that led to the basis, and of all; zero where there was nothing to search.
    spectrum : ndarray of shape (min(n_tasks, r),)
    blocks : tuple of ndarray of int
        Components that are used by all but the same tasks.
    problems : tuple of str
        What the data do not determine, in words.
    """

    rotation: NDArray[Any]
    unused: NDArray[Any]
    scores: NDArray[Any]
    chance: NDArray[Any]
    margin: NDArray[Any]
    stability: NDArray[Any]
    identified_by: NDArray[Any]
    n_latents: int
    min_effect: float
    n_found: int
    n_starts: int
    spectrum: NDArray[Any]
    blocks: tuple[NDArray[Any], ...]
    problems: tuple[str, ...]

    @property
    def support(self) -> NDArray[np.bool_]:
        """Which task uses which component, shape (n_tasks, n_components)."""
        return self.unused < 0.5

    @property
    def identified(self) -> NDArray[np.bool_]:
        """Whether the data determine a component, shape (n_components,)."""
        return self.identified_by != NOTHING

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether the search found the support of a task, shape (n_tasks,)."""
        return (self.unused != 0.5).any(axis=1)

    @property
    def message(self) -> str:
        """The problems, and which components the data determine all the same."""
        trusted = np.flatnonzero(self.identified).tolist()
        return f"Not every component is determined by the data: {'; '.join(self.problems)}. " + (
            f"Components {trusted} can be trusted." if trusted else "Trust no component."
        )


def find_head_basis(
    heads: HeadEstimates,
    n_components: int | None,
    *,
    search: Mapping[str, Any],
    device: str | torch.device,
    seed: int,
) -> HeadBasis:
    """Find the basis in which heads are sparsest, given their errors.

    Directions beyond those that the heads use are filled from the complement, those beyond r are
    zero, and both are reported as not identified; heads with infinite standard errors are left out.
    `search` has options of `solvers.solve_sparse_basis`.
    Components that are searched for and not identified are among the problems only after
    `say_what_is_open`.
    """
    coef, stderr = heads.coef, heads.error
    known = np.isfinite(stderr)
    spectrum, directions = head_spectrum(coef[known], stderr[known], heads.metric)
    n_latents = n_directions_used(spectrum)
    n_total = max(n_latents, 1) if n_components is None else n_components
    problems = [
        *_left_out(known, coef.shape[1]),
        *_missing_latents(n_latents, coef.shape[1], n_total),
    ]
    basis = _unsearched(len(coef), directions, n_total, n_latents, spectrum)
    n_known, kept = int(known.sum()), min(n_latents, n_total)
    blocks: list[NDArray[Any]] = []
    if n_latents == 1 and n_known > 1:
        basis.identified_by[0] = SPARSITY
    elif 1 < n_latents < n_known:
        used = directions[:n_latents]
        turned, errors = heads.along(used, known)
        result = _search(turned, errors, device, seed, search)
        basis = _with_result(basis, result, known, used)
        blocks = find_blocks(basis.support[known, :kept])
        for block in blocks:
            basis.identified_by[block] = NOTHING
    return replace(basis, blocks=tuple(blocks), problems=tuple(problems))


def say_what_is_open(basis: HeadBasis, heads: HeadEstimates) -> HeadBasis:
    """The basis, whose problems say which of the components that heads use are not determined."""
    kept = min(basis.n_latents, len(basis.rotation))
    unknown = np.flatnonzero(~basis.identified[:kept])
    if basis.n_starts:
        blocks = [block for block in basis.blocks if np.isin(block, unknown).any()]
        alone = np.setdiff1d(unknown, np.concatenate(blocks)) if blocks else unknown
        problems = [*_doubts(alone), *_in_blocks(blocks), *_dropped(basis.n_latents, kept)]
    else:
        n_known = int(np.isfinite(heads.error).sum())
        problems = [_too_few_tasks(n_known, basis.n_latents)] if unknown.size else []
    return replace(basis, problems=(*basis.problems, *problems))


def _unsearched(
    n_tasks: int,
    directions: NDArray[Any],
    n_total: int,
    n_latents: int,
    spectrum: NDArray[Any],
) -> HeadBasis:
    """Components along the directions of the heads, of which nothing is known."""
    r = directions.shape[1]
    rotation = np.zeros((n_total, r))
    rotation[: min(r, n_total)] = directions[:n_total]
    scores, chance, margin, stability = np.zeros((4, n_total))
    return HeadBasis(
        rotation=rotation,
        unused=np.full((n_tasks, n_total), 0.5),
        scores=scores,
        chance=chance,
        margin=margin,
        stability=stability,
        identified_by=np.full(n_total, NOTHING, dtype="<U15"),
        n_latents=n_latents,
        min_effect=0.0,
        n_found=0,
        n_starts=0,
        spectrum=spectrum,
        blocks=(),
        problems=(),
    )


def _with_result(
    basis: HeadBasis, result: SparseBasisResult, known: NDArray[Any], used: NDArray[Any]
) -> HeadBasis:
    """The basis with the components that a search along some directions found."""
    A = np.linalg.inv(result.directions.numpy().T)
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    order = np.argsort(result.unused.numpy().sum(axis=0), kind="stable")[: len(basis.rotation)]
    kept = slice(0, len(order))
    basis.rotation[kept] = A[order] @ used
    basis.unused[known, kept] = result.unused.numpy()[:, order]
    for name in TRUST:
        values = getattr(basis, "scores" if name == "evidence" else name)
        values[kept] = getattr(result, name).numpy()[order]
    # a component depends on the directions of all others: it needs evidence for the basis
    beyond = (result.evidence - result.chance + STRONG).sum()
    if float(beyond) > STRONG:
        basis.identified_by[kept][basis.stability[kept] >= _STABLE] = SPARSITY
    n_found, n_starts = int(result.n_found), int(result.n_starts)
    return replace(basis, min_effect=float(result.misfit), n_found=n_found, n_starts=n_starts)


def _left_out(known: NDArray[Any], r: int) -> list[str]:
    """Say how many tasks have no head of their own."""
    if known.all():
        return []
    return [
        f"{(~known).sum()} of {len(known)} tasks have too few rows for a head of {r} features "
        "and were left out of the search (more rows, or fewer features, e.g. by PCA)"
    ]


def _missing_latents(n_latents: int, r: int, n_total: int) -> list[str]:
    """Say that the heads use fewer directions than there are components."""
    if 0 < n_latents >= n_total:
        return []
    remedies = [f"set n_components={n_latents}"] if n_latents else ["add rows"]
    remedies += ["add tasks that use more of the features"] if n_latents < r else []
    return [
        f"the heads use {n_latents} directions of the features beyond their errors, "
        f"{n_total} were asked for: {_filled(n_latents, r, n_total)} ({' or '.join(remedies)})"
    ]


def _doubts(doubtful: NDArray[np.intp]) -> list[str]:
    """Say which components that were searched for are not identified."""
    if not doubtful.size:
        return []
    return [
        f"components {doubtful.tolist()} fit heads without zeros as well, or change with "
        "the choice of tasks (add tasks, each with few latents, or ask for fewer "
        "components; see scores, chance and stability)"
    ]


def _in_blocks(blocks: list[NDArray[Any]]) -> list[str]:
    """Say which components are known as blocks only."""
    if not blocks:
        return []
    named = " and ".join(str(block.tolist()) for block in blocks)
    return [
        f"components {named} are used by all but the same tasks: only the space that such "
        "a block spans is determined, not its components (add tasks that use some of a "
        "block without the others)"
    ]


def _filled(n_latents: int, r: int, n_total: int) -> str:
    """Say what components past the directions of the heads are."""
    arbitrary, constant = list(range(n_latents, min(r, n_total))), list(range(r, n_total))
    said = [f"components {arbitrary} are arbitrary"] if arbitrary else []
    if constant:
        said.append(f"components {constant} are constant zero, as the features have rank {r}")
    return " and ".join(said)


def _too_few_tasks(n_tasks: int, n_latents: int) -> str:
    """Say that there are no more tasks than directions that they use."""
    return (
        f"{n_tasks} tasks cannot determine a basis of {n_latents} directions: with no more "
        "tasks than directions every basis that contains the heads is equally sparse (add "
        "tasks, several times as many as directions, or leave out features)"
    )


def _dropped(n_latents: int, kept: int) -> list[str]:
    """Say that there are more directions than components."""
    if kept == n_latents:
        return []
    return [
        f"the heads use {n_latents} directions of the features, only the {kept} "
        f"components with most users are kept (set n_components={n_latents} for all)"
    ]


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
    device: str | torch.device,
    seed: int,
    options: Mapping[str, Any],
) -> SparseBasisResult:
    generator = torch.Generator().manual_seed(seed)
    result = solve_sparse_basis(
        torch.from_numpy(coef).to(device),
        torch.from_numpy(stderr).to(device),
        generator=generator,
        **options,
    )
    return type(result)(**{name: value.cpu() for name, value in vars(result).items()})
