"""Trainings that go on after the process was killed."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis.storage._file import explained, read_file, write_file
from sklearn_sparsedis.storage._replace import remove_leftovers
from sklearn_sparsedis.training._state import (
    TrainingRun,
    generator_states,
    load_generators,
    load_module,
    load_net,
    module_state,
    net_state,
)

__all__ = ["Checkpoint", "TrainingRecord"]

KIND = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """Give it to an estimator, and a `fit` that was killed can be repeated.

    Either among its `callbacks` or by `set_callbacks`.

    The state of the training goes to a file: encoder, optimiser, schedules, random generators, the
    best encoder so far and the losses. `fit` with the same parameters and the same data and a
    checkpoint at the same place continues where the file was written last, and ends as an
    undisturbed training does, on one machine to the last bit. After its end `fit` returns that
    result at once, until the file is deleted.

    Parameters
    ----------
    path : str or path-like
        A file, or a directory that exists, in which each fit gets a file of its own: for
        `GridSearchCV`, and for fits of several processes.
    every : int, default=100
        Outer steps between two writings.

    Notes
    -----
    `fit` needs a `random_state` that is not None, and refuses the file of other parameters or other
    data. An encoder of yours is compared by structure, weights and code, with what the code refers
    to (closures, defaults, globals); one whose state cannot be read is refused. `partial_fit`
    writes none. Other callbacks among `callbacks` start anew, unless they have `state_dict` and
    `load_state_dict`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from sklearn_sparsedis import SparseDisentangledRepresentation
    >>> from sklearn_sparsedis.callbacks import Checkpoint
    >>> from sklearn_sparsedis.datasets import make_sparse_multitask
    >>> data = make_sparse_multitask(200, 20, random_state=0)
    >>> path = Path(mkdtemp()) / "training.safetensors"
    >>> model = SparseDisentangledRepresentation(
    ...     6, max_iter=50, callbacks=[Checkpoint(path, every=20)], random_state=0
    ... )
    >>> model.fit(data.X, data.Y).n_iter_ <= 50
    True
    >>> path.exists()
    True
    """

    path: str | os.PathLike[str]
    every: int = 100

    # scikit-learn's `set_callbacks` takes what has these; the training itself does the work

    def setup(self, estimator: object, context: object) -> None:
        """Nothing to do before a fit."""

    def teardown(self, estimator: object, context: object) -> None:
        """Nothing to do after a fit."""

    def on_fit_task_begin(self, estimator: object, context: object) -> None:
        """Nothing to do before a task."""

    def on_fit_task_end(self, estimator: object, context: object) -> None:
        """Nothing to do after a task."""


class TrainingRecord:
    """The trainings of one fit, in one file.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where, and how often.
    identity : mapping of str to mapping of str to str
        Parameters and data, by name, which must be the same where a fit is to be continued.
    """

    def __init__(self, checkpoint: Checkpoint, identity: Mapping[str, Mapping[str, str]]) -> None:
        self.identity = {group: dict(values) for group, values in identity.items()}
        self.every = checkpoint.every
        self.path = _file_of(Path(checkpoint.path), self.identity)
        self._index = 0
        self.ranks = Ranks.joined()
        self.finished, self.current = self.ranks.from_main(self._read)

    def _read(self) -> tuple[list[Any], Any]:
        """Trainings that are finished, and the one that was interrupted."""
        remove_leftovers(self.path)
        if not self.path.exists():
            return [], None
        content = read_file(self.path, KIND)
        self._refuse_others(content["identity"])
        return content["finished"], content["current"]

    def next_training(self) -> "TrainingCheckpoint":
        """The next training of this fit; they come in the same order each time."""
        self._index += 1
        return TrainingCheckpoint(self, self._index - 1)

    def write(self) -> None:
        """Replace the file; only the main rank does."""
        if not self.ranks.main:
            return
        content = {
            "identity": self.identity,
            "finished": self.finished,
            "current": self.current,
        }
        write_file(self.path, KIND, content)

    def _refuse_others(self, stored: Mapping[str, Mapping[str, str]]) -> None:
        differences = [
            f"{name} ({stored[group].get(name)} there, {value} here)"
            for group, values in self.identity.items()
            for name, value in values.items()
            if stored[group].get(name) != value
        ]
        if differences:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit, which differs in "
                f"{', '.join(differences[:3])}{', ...' if len(differences) > 3 else ''}. Delete "
                "it, give another path, or give a directory, in which each fit gets its own file."
            )


class TrainingCheckpoint(Callback):
    """Writes and restores one of the trainings of a record.

    Parameters
    ----------
    record : TrainingRecord
        Of the whole fit.
    index : int
        Which of its trainings this one is.
    """

    def __init__(self, record: TrainingRecord, index: int) -> None:
        self.record = record
        self.index = index

    @property
    def done(self) -> bool:
        """Whether this training came to its end already."""
        return self.index < len(self.record.finished)

    def result(self, objective: nn.Module) -> TrainingRun:
        """Outcome of a training that is done; its encoder goes to the objective."""
        stored = self.record.finished[self.index]
        with explained(self.record.path):
            load_module(objective, stored["module"])
            load_generators(stored["generators"])
            return TrainingRun(**stored["run"])

    def restore(self, net: NeuralNet) -> bool:
        """Bring a net that is about to start to where the file has it, if it has this training."""
        if self.record.current is None:
            return False
        with explained(self.record.path):
            load_net(net, self.record.current)
        return True

    def on_batch_end(self, net: NeuralNet, training: bool = True, **kwargs: Any) -> None:
        if net.n_steps_done % self.record.every == 0:
            self.record.current = net_state(net)
            self.record.write()

    def finish(self, objective: nn.Module, run: TrainingRun) -> None:
        """Write the end of a training."""
        self.record.current = None
        self.record.finished.append(
            {
                "module": module_state(objective),
                "generators": generator_states(),
                "run": dict(vars(run)),
            }
        )
        self.record.write()


def _file_of(path: Path, identity: Mapping[str, Any]) -> Path:
    if path.is_dir():
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        return path / f"{name}.safetensors"
    if not path.parent.is_dir():
        raise ValueError(f"Checkpoint: the directory of path={str(path)!r} does not exist.")
    return path
