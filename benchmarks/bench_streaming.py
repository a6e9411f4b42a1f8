"""Does the memory of streaming over a 3D Shapes file grow with its length?

Files of the official format (HDF5, compressed chunks of images) with a few rendered images
repeated; the real one has 480,000. Each is opened by `load_shapes3d` in a process of its own and
read from start to end in batches of 256. Resident memory in MB: what opening adds, and the most
that reading adds while a batch is held (Linux only). Factors are held as a whole: 48 bytes an
image.
"""

import resource
import tempfile
from pathlib import Path

import numpy as np

from benchmarks._common import command, in_child, require
from sklearn_sparsedis.datasets import load_shapes3d, make_shapes3d
from sklearn_sparsedis.datasets._factor_files import _SHAPES3D_VALUES

BATCH = 256
PEERS = ("h5py",)
SETTINGS = {
    "full": {"lengths": [5_000, 20_000, 80_000]},
    "short": {},
    "quick": {"lengths": [500]},
}


def write(path, n):
    """A file of n images."""
    h5py = require("h5py")
    data = make_shapes3d(500, random_state=0)
    labels = [values[f] for values, f in zip(_SHAPES3D_VALUES, data.factors.T, strict=True)]
    with h5py.File(path, "w") as file:
        images = file.create_dataset(
            "images", (n, 64, 64, 3), np.uint8, chunks=(64, 64, 64, 3), compression="lzf"
        )
        for start in range(0, n, 500):
            images[start : start + 500] = data.images[: n - start]
        file["labels"] = np.resize(np.stack(labels, axis=1), (n, 6))


def resident():
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def stream(path):
    """Read all images, a batch at a time; growth of memory in MB: opening, reading."""
    before = resident()
    data = load_shapes3d(path)
    opened = most = resident()
    for start in range(0, len(data.images), BATCH):
        batch = data.images[start : start + BATCH]
        most = max(most, resident())
        del batch
    data.file.close()
    return opened - before, most - opened


def length_rows(options):
    """A row a length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "3dshapes.h5")
        for n in options.lengths:
            write(path, n)
            yield n, *(f"{x:.0f}" for x in in_child(stream, str(path)))


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--lengths", nargs="*", type=int)


def tables(options):
    """One."""
    yield "Memory", ("images", "opening, MB", "reading, MB"), length_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
