"""Few-shot episodes: small classification problems drawn from the classes of one table."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "EpisodeBatch",
    "EpisodeBatches",
    "EpisodeSampler",
    "Episodes",
    "feasible_sizes",
    "quarter_turns",
]


class Episodes(NamedTuple):
    """Rows of E episodes, sorted by class: `n_shot` support and `n_query` query rows of each.

    Attributes
    ----------
    classes : ndarray of shape (E, n_way)
        Labels of the episode's classes; class l of an episode is ``classes[:, l]``.
    support : ndarray of int, shape (E, n_way * n_shot)
        Rows to learn from.
    query : ndarray of int, shape (E, n_way * n_query)
        Rows to be judged on.
    """

    classes: NDArray[Any]
    support: NDArray[np.int64]
    query: NDArray[np.int64]

    @property
    def support_labels(self) -> NDArray[np.int64]:
        """Which of its episode's classes each support row is of, shape (n_way * n_shot,)."""
        return _labels(self.classes.shape[1], self.support.shape[1])

    @property
    def query_labels(self) -> NDArray[np.int64]:
        """Which of its episode's classes each query row is of, shape (n_way * n_query,)."""
        return _labels(self.classes.shape[1], self.query.shape[1])


def _labels(n_way: int, n_rows: int) -> NDArray[np.int64]:
    return np.arange(n_way).repeat(n_rows // n_way)


class EpisodeSampler:
    """Draws episodes: classes without replacement, then rows of each without replacement.

    Every class that is large enough is drawn equally often, however many rows it has.

    Parameters
    ----------
    y : array of shape (n,)
        Labels.
    n_way : int, at least 2
        Classes an episode.
    n_shot, n_query : int, at least 1
        Support and query rows of each class.
    seed : int
        Seed; equal seeds give equal sequences of episodes.
    small_classes : {"error", "drop"}
        What to do with classes of fewer than ``n_shot + n_query`` rows: refuse, or never draw them.

    Raises
    ------
    ValueError
        Where a class is too small, or too few classes are large enough.
    """

    def __init__(
        self,
        y: NDArray[Any],
        *,
        n_way: int,
        n_shot: int,
        n_query: int,
        seed: int,
        small_classes: str = "error",
    ) -> None:
        for name, value, minimum in (
            ("n_way", n_way, 2),
            ("n_shot", n_shot, 1),
            ("n_query", n_query, 1),
        ):
            if value < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {value!r}.")
        self.n_way, self.n_shot, self.n_query = n_way, n_shot, n_query
        order = np.argsort(y, kind="stable")
        labels, start = np.unique(y[order], return_index=True)
        rows = np.split(order, start[1:]) if len(y) else []
        large = [i for i, r in enumerate(rows) if len(r) >= n_shot + n_query]
        if small_classes == "error" and len(large) < len(rows):
            self._refuse_small(labels, rows)
        if len(large) < n_way:
            raise ValueError(
                f"n_way={n_way} classes an episode are asked for, but y has {len(large)} classes "
                f"of at least n_shot + n_query = {n_shot + n_query} rows. Lower n_way."
            )
        self.labels = labels[large]
        self.rows = [rows[i] for i in large]
        self.generator = np.random.default_rng(seed)

    def _refuse_small(self, labels: NDArray[Any], rows: Sequence[NDArray[np.int64]]) -> None:
        needed = self.n_shot + self.n_query
        small = [f"{label} ({len(r)})" for label, r in zip(labels, rows, strict=True)]
        small = [text for text, r in zip(small, rows, strict=True) if len(r) < needed]
        raise ValueError(
            f"Classes need n_shot + n_query = {self.n_shot} + {self.n_query} = {needed} rows; "
            f"{len(small)} of {len(labels)} have fewer: {', '.join(small[:5])}"
            f"{', ...' if len(small) > 5 else ''}. Lower n_shot or n_query, or leave these "
            "classes out."
        )

    def sample(self, n_episodes: int) -> Episodes:
        """Draw the next episodes.

        Parameters
        ----------
        n_episodes : int
            How many.

        Returns
        -------
        Episodes
            Row numbers and labels.
        """
        drawn = [self._draw() for _ in range(n_episodes)]
        chosen = np.stack([classes for classes, _ in drawn])
        rows = np.stack([rows for _, rows in drawn])
        support, query = rows[:, :, : self.n_shot], rows[:, :, self.n_shot :]
        flat = (n_episodes, -1)
        return Episodes(self.labels[chosen], support.reshape(flat), query.reshape(flat))

    def _draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        draw = self.generator.choice
        classes = draw(len(self.rows), self.n_way, replace=False)
        size = self.n_shot + self.n_query
        rows = [self.rows[c][draw(len(self.rows[c]), size, replace=False)] for c in classes]
        return classes, np.stack(rows)


class EpisodeBatch(NamedTuple):
    """Episodes of one outer step.

    Attributes
    ----------
    X : Tensor of shape (E, n_support + n_query, n_features)
        Support rows, then query rows.
    support_labels : Tensor of int64, shape (n_support,)
        Classes of the support rows, the same in every episode.
    query_labels : Tensor of int64, shape (n_query,)
        Classes of the query rows.
    n_way : int
        Number of classes.
    """

    X: Tensor
    support_labels: Tensor
    query_labels: Tensor
    n_way: int


class EpisodeBatches:
    """Batches of episodes, cut into epochs of `n_batches`.

    Parameters
    ----------
    X : Tensor of shape (n, n_features)
        Rows.
    y : ndarray of int, shape (n,)
        Classes.
    n_way, n_shot, n_query
        As in `EpisodeSampler`; classes that are too small are not drawn.
    episodes_per_batch : int
        Episodes a batch.
    n_batches : int
        Batches in one iteration of this object.
    n_total : int
        Batches in all iterations together.
    seed : int
        As in `EpisodeSampler`.
    turns : Tensor of int64, shape (n_turns, n_features), or None
        Orders of the features that make rows of further classes; see `quarter_turns`.
    """

    def __init__(
        self,
        X: Tensor,
        y: NDArray[np.int64],
        *,
        n_way: int,
        n_shot: int,
        n_query: int,
        episodes_per_batch: int,
        n_batches: int,
        n_total: int,
        seed: int,
        turns: Tensor | None = None,
    ) -> None:
        self.X, self.turns = X, turns
        if turns is not None:  # row r in turn t is row t n + r of a table that is never built
            y = np.concatenate([y + turn * (y.max() + 1) for turn in range(len(turns))])
        self.sampler = EpisodeSampler(
            y, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed, small_classes="drop"
        )
        self.episodes_per_batch = episodes_per_batch
        self.n_batches = n_batches
        self.n_left = n_total
        self.n_drawn = 0  # in the current iteration

    def __len__(self) -> int:
        return min(self.n_batches - self.n_drawn, self.n_left)

    def __iter__(self) -> Iterator[EpisodeBatch]:
        for _ in range(len(self)):
            self.n_left -= 1
            self.n_drawn += 1
            yield self._batch(self.sampler.sample(self.episodes_per_batch))
        self.n_drawn = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the sequence of batches stands."""
        generator = self.sampler.generator.bit_generator.state
        return {"n_left": self.n_left, "n_drawn": self.n_drawn, "generator": generator}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in the middle of an iteration as well."""
        self.n_left, self.n_drawn = state["n_left"], state["n_drawn"]
        self.sampler.generator.bit_generator.state = state["generator"]

    def _batch(self, episodes: Episodes) -> EpisodeBatch:
        device = self.X.device
        index = torch.from_numpy(np.hstack([episodes.support, episodes.query])).to(device)
        rows = self.X[index % len(self.X)]
        if self.turns is not None:
            rows = rows.gather(-1, self.turns[index // len(self.X)])
        return EpisodeBatch(
            rows,
            torch.from_numpy(episodes.support_labels).to(device),
            torch.from_numpy(episodes.query_labels).to(device),
            episodes.classes.shape[1],
        )


def quarter_turns(input_shape: Sequence[int]) -> Tensor:
    """Orders of the pixels of flattened square images that turn them by 0, 90, 180, 270 degrees.

    Parameters
    ----------
    input_shape : sequence of int
        (side, side) or (side, side, channels).

    Returns
    -------
    Tensor of int64, shape (4, n_pixels)
        ``x[turns[t]]`` is the image x after t quarter turns.
    """
    pixels = torch.arange(int(np.prod(input_shape))).reshape(*input_shape)
    return torch.stack([torch.rot90(pixels, turn, (0, 1)).flatten() for turn in range(4)])


def feasible_sizes(
    counts: NDArray[np.int64], n_way: int, n_shot: int, n_query: int
) -> tuple[int, int, int]:
    """Sizes of episodes that classes of these numbers of rows allow, at most those asked for.

    `n_way` is lowered to the number of classes of at least two rows, then `n_query`, then `n_shot`
    until that many classes are large enough.

    Parameters
    ----------
    counts : ndarray of int
        Rows of each class.
    n_way, n_shot, n_query : int
        What is asked for.

    Raises
    ------
    ValueError
        Where fewer than two classes have two rows.
    """
    usable = np.sort(counts[counts >= 2])[::-1]
    if len(usable) < 2:
        raise ValueError(
            "Episodes need at least two classes with two rows each, one to learn from and one to "
            f"be judged on; {len(usable)} of {len(counts)} classes have two rows. Merge classes "
            "or add rows."
        )
    n_way = min(n_way, len(usable))
    size = int(usable[n_way - 1])
    n_shot = min(n_shot, size - 1)
    return n_way, n_shot, min(n_query, size - n_shot)
