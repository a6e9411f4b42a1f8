"""Test of the support-variability assumption of the identifiability theorem."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

_LISTED = 10  # number of latents that a report lists


@dataclass(frozen=True)
class SupportVariability:
    """Result of the test which latents the supports of the tasks tell apart.

    Its text is a report in words.

    Attributes
    ----------
    holds : bool
        Whether the assumption holds: every latent is separated from every other.
    inseparable : ndarray of bool, shape (m, m)
        Entry (j, k) is True if no task uses k without j, so that the supports do not exclude that
        component k is a mixture of the latents k and j. The diagonal is False.
    counts : ndarray of int64, shape (m, m)
        Number of tasks that use k and not j; where it is small, the assumption rests on few tasks.
    n_users : ndarray of int64, shape (m,)
        Number of tasks that use each latent.
    blocks : list of ndarray of int64
        Largest sets of latents that always occur together; each is identified as a block only.
    """

    holds: bool
    inseparable: NDArray[Any]
    counts: NDArray[Any]
    n_users: NDArray[Any]
    blocks: list[NDArray[Any]]

    def __str__(self) -> str:
        m = len(self.n_users)
        if self.holds:
            off_diagonal = self.counts[~np.eye(m, dtype=bool)]
            weakest = f"; the weakest pair rests on {off_diagonal.min()} task(s)" if m > 1 else ""
            return f"Support variability holds for all {m} latents{weakest}."
        failing = np.flatnonzero(self.inseparable.any(axis=1))
        lines = [f"Support variability fails for {len(failing)} of {m} latents."]
        for j in failing[:_LISTED]:
            others = ", ".join(map(str, np.flatnonzero(self.inseparable[j])))
            lines.append(f"  latent {j}: no task uses {others} without it")
        if len(failing) > _LISTED:
            lines.append(f"  and {len(failing) - _LISTED} more")
        for j in np.flatnonzero(self.n_users == 0)[:_LISTED]:
            lines.append(f"  latent {j} is used by no task")
        lines.extend(
            f"  latents {', '.join(map(str, block))} always occur together: known as a block only"
            for block in self.blocks[:_LISTED]
        )
        return "\n".join(lines)


def support_variability(support: ArrayLike) -> SupportVariability:
    """Test which latents are separated by the supports of the tasks.

    The identifiability theorem [1]_ (Assumption 5) asks that for every latent j the supports S_t
    that do not contain j cover all the others:

    .. math:: \\bigcup_{t : j \\notin S_t} S_t = \\{1, \\dots, m\\} \\setminus \\{j\\}
              \\qquad \\text{for all } j.

    For a finite set of tasks this is checked exactly.

    Parameters
    ----------
    support : array-like of shape (n_tasks, m)
        Entry (t, j) is true (or not zero) if task t uses latent j: `support_` or `coef_` of a
        fitted estimator.

    Returns
    -------
    SupportVariability
        Truth of the assumption, the pairs that violate it, and how many tasks it rests on.

    Raises
    ------
    ValueError
        If `support` is not two-dimensional, is empty, or has NaN.

    Notes
    -----
    One product of the support with its complement, ``O(n_tasks m^2)``. A latent that no task uses
    is separated from nothing and leaves every other latent uncovered.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between Disentanglement and Sparsity: Generalization and
       Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sklearn_sparsedis.inspection import support_variability
    >>> print(support_variability([[1, 0, 0], [0, 1, 1], [1, 1, 1]]))
    Support variability fails for 2 of 3 latents.
      latent 1: no task uses 2 without it
      latent 2: no task uses 1 without it
      latents 1, 2 always occur together: known as a block only
    """
    used = check_array(support, dtype=None, input_name="support") != 0
    counts = (~used).T.astype(np.int64) @ used.astype(np.int64)
    inseparable = counts == 0
    np.fill_diagonal(inseparable, False)
    n_users = used.sum(axis=0)
    blocks = []
    active = np.flatnonzero(n_users)
    _, label = np.unique(used[:, active], axis=1, return_inverse=True)
    for value in range(label.max(initial=-1) + 1):
        members = active[label.reshape(-1) == value]  # numpy 2.0.0 gives it two dimensions
        if len(members) > 1:
            blocks.append(members)
    blocks.sort(key=lambda members: members[0])
    return SupportVariability(not inseparable.any(), inseparable, counts, n_users, blocks)
