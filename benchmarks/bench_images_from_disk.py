"""How much memory does a training on images in a memory map take, and does a step cost more?

Images of the form of 3D Shapes (64 x 64 x 3 bytes), 480,000 of them and tenths of that in a file
(a few rendered ones, repeated), 10 tasks, conv encoder, batches of 128, a fixed number of steps and
then the heads on all rows. Each length in a process of its own: anonymous memory (Linux only; the
page cache does not count) at its most, beyond that before the fit; median milliseconds of a
step beside the seconds of the fit, in which all rows are read a few times.
"""

import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks._common import command, in_child

SIZE = 64 * 64 * 3
FIRST = 10
PEERS = ()
SETTINGS = {
    "full": {"lengths": [4_800, 48_000, 480_000], "steps": 30},
    "short": {"lengths": [1_200, 4_800], "steps": FIRST + 3},
    "quick": {"lengths": [500], "steps": FIRST + 2},
}


def anonymous():
    """Anonymous memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status")


def write(path, n):
    """A file of n images, and their targets."""
    from sklearn_sparsedis.datasets import make_shapes3d

    data = make_shapes3d(min(n, 2000), random_state=0)
    images = np.memmap(path, np.uint8, "w+", shape=(n, SIZE))
    flat = data.images.reshape(-1, SIZE)
    for start in range(0, n, len(flat)):
        images[start : start + len(flat)] = flat[: n - start]
    images.flush()
    factors = data.factors / data.factors.max(0) - 0.5
    mixed = factors @ np.random.default_rng(0).normal(size=(6, 10))
    np.save(path.with_suffix(".npy"), np.resize(mixed, (n, 10)))


def train(path, steps):
    """Fit on a file; memory in MB, milliseconds of a step, seconds."""
    import torch
    from skorch.callbacks import Callback

    from sklearn_sparsedis import SparseDisentangledRepresentation

    torch.set_num_threads(1)
    Y = np.load(Path(path).with_suffix(".npy"))
    X = np.memmap(path, np.uint8, "r", shape=(len(Y), SIZE))
    model = SparseDisentangledRepresentation(
        6,
        encoder="conv",
        input_shape=(64, 64, 3),
        batch_size=128,
        early_stopping=False,
        random_state=0,
        device="cpu",
    )
    before = most = anonymous()
    done = threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.02):
            most = max(most, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    times = []

    class Timer(Callback):
        def on_batch_end(self, net, **kwargs):
            times.append(time.perf_counter())

    began = time.perf_counter()
    model.set_params(max_iter=steps, callbacks=[Timer()]).fit(X, Y)
    total = time.perf_counter() - began
    done.set()
    watcher.join()
    step = np.median(np.diff(times)[FIRST:])
    return most - before, 1000 * float(step), total


def length_rows(options):
    """A row a length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images")
        for n in options.lengths:
            write(path, n)
            found = in_child(train, str(path), options.steps)
            yield n, f"{n * SIZE / 2**20:.0f}", *(f"{x:.0f}" for x in found)


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--lengths", nargs="*", type=int)


def tables(options):
    """One."""
    header = ("images", "file, MB", "anonymous memory, MB", "a step, ms", "fit, s")
    yield "Training on a memory map", header, length_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
