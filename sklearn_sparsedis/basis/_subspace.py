"""The directions of many features that heads are fitted on where rows are few."""

import numpy as np

from sklearn_sparsedis.basis._heads import Whitening, head_spectrum, least_squares_heads, whiten
from sklearn_sparsedis.basis._moments import Moments, ReadMoments

__all__ = ["whiten_for_heads"]

# labels of a task for each direction below which the directions are chosen, and below which one
# cannot be tried
ENOUGH, LEAST = 3, 2
# numbers of directions that are tried
_N_TRIED = 40


def whiten_for_heads(
    moments: Moments, read: ReadMoments, n_labels: float, n_components: int | None
) -> Whitening:
    """Whiten features; of many, the leading principal components that heads of all tasks need.

    Heads of T tasks that share m latents have ``m (k + T - m)`` parameters on k directions, far
    fewer than the T k of heads of their own. So k is where the log-likelihood of heads of rank m
    exceeds the number of its parameters most (Akaike's criterion); m is the number of directions
    that heads on the most components use beyond their errors.

    Parameters
    ----------
    moments : Moments
        Of the features on all rows.
    read : callable
        Returns the moments of a linear map of the features.
    n_labels : float
        Labels of a task.
    n_components : int or None
        No fewer directions are taken.
    """
    white = whiten(moments)
    rank = white.forward.shape[1]
    if rank * ENOUGH <= n_labels:
        return white
    most = min(rank, max(int(n_labels / LEAST), n_components or 1))
    white = whiten(moments, leading=most)
    heads = least_squares_heads(read(white.forward, white.mean))
    known = np.isfinite(heads.error) & (heads.error > 0)
    if not known.any():
        return white
    error = heads.error[known]
    m = int((head_spectrum(heads.coef[known], error)[0] > 1).sum())
    scaled = heads.coef[known] / error[:, None]
    gram = scaled.T @ scaled
    tried = np.unique(np.linspace(min(max(m, n_components or 1), most), most, _N_TRIED, dtype=int))
    gains = [np.linalg.eigvalsh(gram[:k, :k])[-m:].sum() - 2 * m * k for k in tried] if m else [0]
    return whiten(moments, leading=int(tried[np.argmax(gains)]))
