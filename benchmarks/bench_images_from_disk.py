"""How much memory does a training on images in a memory map take, and does a step cost more?

Images of the form of 3D Shapes (64 x 64 x 3 bytes), 480,000 of them and tenths of that in a file
(a few rendered ones, repeated), 10 tasks, conv encoder, batches of 128, a fixed number of steps and
then the heads on all rows. Each length in a process of its own: anonymous memory (Linux only; the
page cache does not count) at its most, beyond that before the fit; median milliseconds of a
step beside the seconds of the fit, in which all rows are read a few times.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks._common import print_table, versions

SIZE = 64 * 64 * 3
STEPS = 30
FIRST = 10


def anonymous():
    """Anonymous memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status")


def write(path, n):
    """A file of n images, and their targets."""
    from sklearn_sparsedis.datasets import make_shapes3d

    data = make_shapes3d(2000, random_state=0)
    images = np.memmap(path, np.uint8, "w+", shape=(n, SIZE))
    flat = data.images.reshape(-1, SIZE)
    for start in range(0, n, len(flat)):
        images[start : start + len(flat)] = flat[: n - start]
    images.flush()
    factors = data.factors / data.factors.max(0) - 0.5
    mixed = factors @ np.random.default_rng(0).normal(size=(6, 10))
    np.save(path.with_suffix(".npy"), np.resize(mixed, (n, 10)))


def train(path):
    """Fit on a file, and print memory and times."""
    import torch
    from skorch.callbacks import Callback

    from sklearn_sparsedis import SparseDisentangledRepresentation

    torch.set_num_threads(1)
    Y = np.load(path.with_suffix(".npy"))
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
    model.set_params(max_iter=STEPS, callbacks=[Timer()]).fit(X, Y)
    total = time.perf_counter() - began
    done.set()
    watcher.join()
    step = np.median(np.diff(times)[FIRST:])
    print(f"{most - before:.0f} {1000 * step:.0f} {total:.0f}")


def main():
    """Print a table, or train on a file that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--lengths", nargs="*", type=int, default=[4_800, 48_000, 480_000])
    options = parser.parse_args()
    if options.path is not None:
        train(options.path)
        return
    print(versions())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images")
        for n in options.lengths:
            write(path, n)
            command = [sys.executable, "-m", "benchmarks.bench_images_from_disk", str(path)]
            found = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append((n, f"{n * SIZE / 2**20:.0f}", *found.stdout.split()[-3:]))
    header = ("images", "file, MB", "anonymous memory, MB", "a step, ms", "fit, s")
    print_table(header, rows)


if __name__ == "__main__":
    main()
