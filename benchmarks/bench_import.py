"""What does the import cost beyond torch and scikit-learn?

Seconds of one statement in a process of its own, in which a baseline was imported before: torch and
scikit-learn alone, or also the modules that nearly every use of scikit-learn loads (a linear model,
a pipeline, model selection). A copy of this package is imported: with byte code, as after an
installation with pip, and without, so that our sources are compiled. Statements take turns.
"""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import sklearn_sparsedis
from benchmarks._common import command

PACKAGE = Path(sklearn_sparsedis.__file__).parent
BASELINES = {
    "torch, sklearn": "import torch, sklearn",
    "estimators": "import torch, sklearn.linear_model, sklearn.pipeline, sklearn.model_selection",
}
NAMES = [name for name in sklearn_sparsedis.__all__ if name[0].isupper()]
STATEMENTS = [
    "import sklearn_sparsedis",
    *(f"from sklearn_sparsedis import {name}" for name in NAMES),
    "from sklearn_sparsedis import *",
]
PEERS = ()
SETTINGS = {
    "full": {"statements": STATEMENTS, "rounds": 7},
    "short": {"statements": [STATEMENTS[0], STATEMENTS[-1]], "rounds": 1},
    "quick": {"statements": STATEMENTS[:1], "rounds": 1},
}


def run(baseline, statement, folder):
    """Seconds of the statement, with the package that lies in a folder."""
    clock = "import time; start = time.perf_counter()"
    code = f"{baseline}\n{clock}\n{statement}\nprint(time.perf_counter() - start)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def rows(options, *, compiled):
    """A row a statement."""
    asked = options.statements
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if compiled:
            compileall.compile_dir(copy, quiet=1)
        spent = np.array(
            [
                [[run(b, statement, folder) for b in BASELINES.values()] for statement in asked]
                for _ in range(options.rounds)
            ]
        )
    for statement, medians in zip(asked, np.median(spent, axis=0), strict=True):
        yield statement, *(f"{median:.3f}" for median in medians)


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--statements", nargs="*")
    parser.add_argument("--rounds", type=int)


def tables(options):
    """With and without byte code."""
    header = ("statement", *(f"s after {name}" for name in BASELINES))
    yield "With byte code of ours", header, rows(options, compiled=True)
    yield "Without", header, rows(options, compiled=False)


if __name__ == "__main__":
    command(__spec__.name)
