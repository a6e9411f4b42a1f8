"""What second heads of new tasks are on, beside the components: columns, and similar rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.utils import Bunch
from torch import Tensor

from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.nn._landmarks import Landmarks
from sklearn_sparsedis.training._encode import encode, rows_at_once

__all__ = ["Beside", "landmarks_among", "landmarks_of", "take_rows", "typical_distance"]

# landmarks among some rows, the fewest that stand for them, and most numbers compared with theirs
MOST_LANDMARKS = 256
FEWEST_LANDMARKS = 32
MOST_COMPARED = 2**26


@dataclass(frozen=True)
class Beside:
    """Features beside the components.

    Attributes
    ----------
    center, scale : ndarray of shape (p,)
        Of the columns.
    landmarks : Landmarks or None
        L rows; the similarities to them are features of a second kind.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    landmarks: Landmarks | None

    def features(self, X: NDArray[Any] | Rows) -> Tensor:
        """Standardised columns and similarities (n, p + L) of rows, of a file some at a time."""

        def convert(part: NDArray[Any]) -> Tensor:
            columns = torch.from_numpy((part - self.center) / self.scale)
            if self.landmarks is None:
                return columns
            rows = torch.from_numpy(np.array(part, dtype=np.float64))  # a file gives none to write
            return torch.cat([columns, self.landmarks.features(rows)], 1)

        return encode(convert, X)

    def missed(self, features: Tensor) -> Tensor | None:
        """Similarity of rows to themselves, which is one, that these features do not have."""
        if self.landmarks is None:
            return None
        return (1 - features[:, len(self.center) :].square().sum(1)).clamp_min(0)

    def kinds(self, k: int) -> Tensor:
        """One where a feature is of one of k kinds, and zero elsewhere, shape (k, p + L)."""
        n_landmarks = 0 if self.landmarks is None else len(self.landmarks)
        kind = torch.tensor([0] * len(self.center) + [1] * n_landmarks)
        return (kind == torch.arange(k)[:, None]).double()


def landmarks_among(
    X: NDArray[Any] | Rows, scale: NDArray[np.float64], distance: float
) -> Landmarks | None:
    """Some of the rows as landmarks; None where very many numbers would be compared with them."""
    n, p = X.shape
    most = min(n, MOST_LANDMARKS, MOST_COMPARED // (n * p))
    if most < min(n, FEWEST_LANDMARKS):
        return None
    rows = take_rows(X, np.arange(0, n, -(-n // most)))
    return Landmarks(torch.from_numpy(rows.astype(np.float64)), torch.from_numpy(scale), distance)


def landmarks_of(prior: Bunch | None, rows: NDArray[np.float64] | None) -> Landmarks | None:
    """Those of an adapted model, if it has any."""
    if prior is None or rows is None:
        return None
    return Landmarks(torch.tensor(rows), torch.tensor(prior.scale), prior.distance)


def typical_distance(rows: NDArray[np.float64], scale: NDArray[np.float64]) -> float:
    """Half of the median distance of two of some rows (n, p), or one where most are alike."""
    length = pdist(rows[:: -(-len(rows) // MOST_LANDMARKS)] / scale, "cityblock")
    found = float(np.median(length)) / 2 if len(length) else 0.0
    return found if found > 0 else 1.0


def take_rows(X: NDArray[Any] | Rows, index: NDArray[np.intp]) -> NDArray[Any]:
    """Rows at an index, of a file some at a time."""
    if isinstance(X, np.ndarray):
        return X[index]
    size = rows_at_once(X.shape[1])
    return np.concatenate([X.take(index[i : i + size]) for i in range(0, len(index), size)])
