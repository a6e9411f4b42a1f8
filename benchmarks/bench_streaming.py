"""Does the memory of streaming over a 3D Shapes file grow with its length?

Files of the official format (HDF5, compressed chunks of images) with a few rendered images
repeated; the real one has 480,000. Each is opened by `load_shapes3d` in a process of its own and
read from start to end in batches of 256. Resident memory in MB: what opening adds, and the most
that reading adds while a batch is held (Linux only). Factors are held as a whole: 48 bytes an
image.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from benchmarks._common import print_table, versions
from sklearn_sparsedis.datasets import load_shapes3d, make_shapes3d
from sklearn_sparsedis.datasets._factor_files import _SHAPES3D_VALUES

LENGTHS = (5_000, 20_000, 80_000)
BATCH = 256


def write(path, n):
    """A file of n images."""
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
    """Read all images, a batch at a time, and print the growth of memory: opening, reading."""
    before = resident()
    data = load_shapes3d(path)
    opened = most = resident()
    for start in range(0, len(data.images), BATCH):
        batch = data.images[start : start + BATCH]
        most = max(most, resident())
        del batch
    data.file.close()
    print(f"{opened - before:.0f} {most - opened:.0f}")


def main():
    """Print a table, or stream a file that is given."""
    if len(sys.argv) > 1:
        stream(sys.argv[1])
        return
    print(versions("h5py"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "3dshapes.h5")
        for n in LENGTHS:
            write(path, n)
            command = [sys.executable, "-m", "benchmarks.bench_streaming", str(path)]
            found = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append((n, *found.stdout.split()))
    print_table(("images", "opening, MB", "reading, MB"), rows)


if __name__ == "__main__":
    main()
