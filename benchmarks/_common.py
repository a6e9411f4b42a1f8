"""The one shape of a benchmark, and what runs it.

A module ``bench_<question>`` holds

* a docstring whose first line is the question;
* ``PEERS``: the distributions that its figures depend on besides those of ``PACKAGES``;
* ``SETTINGS``: values of the options by extent: "full" holds all of them, "short" (what
  ``python -m benchmarks`` takes) and "quick" (a smoke test) those that differ from it;
* ``add_options(parser)``: the options that the command line offers, without defaults;
* ``tables(options)``: yields title, header and rows of each table. Rows are measured as they are
  iterated over. Data are made first, ours and each peer is a ``run`` on them, and only ``run`` is
  timed. Peers come from `require` and files from `data`, which skip what is not there.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch")
EXTENTS = {
    "full": "the settings of RESULTS.md (default)",
    "short": "the settings of `make bench`",
    "quick": "the settings of `make bench-quick`",
}


class Skip(Exception):
    """Why something cannot be measured here."""


def require(name):
    """A module of a peer, or `Skip` where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Skip(f"{error.name} is not installed") from error
    except ImportError as error:
        raise Skip(f"{name} cannot be imported ({error})") from error


def data(*parts):
    """A path under ../shared/data, or `Skip` where there is none."""
    path = SHARED.joinpath("data", *parts)
    if not path.exists():
        raise Skip(f"../shared/data/{'/'.join(parts)} is not there")
    return path


def seconds(run, *arguments):
    """Wall time of one call."""
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def versions(*more):
    """One line with the versions that a figure depends on."""
    found = []
    for name in (*PACKAGES, *more):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} absent")
    return f"Python {platform.python_version()}, " + ", ".join(found)


def print_table(header, rows):
    """Print rows as a Markdown table; what is skipped is a row with the reason."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    try:
        for row in rows:
            print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
    except Skip as reason:
        cells = [f"skipped: {reason}"] + [""] * (len(header) - 1)
        print("| " + " | ".join(cells) + " |", flush=True)


def progress(text):
    """Say how far it is, away from the tables."""
    print(text, file=sys.stderr, flush=True)


def parse(module, arguments=None):
    """Options of a benchmark: those given, else those of its extent."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module.__name__}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, what in EXTENTS.items():
        parser.add_argument(f"--{name}", dest="extent", action="store_const", const=name, help=what)
    parser.add_argument("--threads", type=int, help="threads of torch")
    module.add_options(parser)
    extent = parser.parse_args(arguments).extent or "full"
    settings = {"threads": None, **module.SETTINGS["full"], **module.SETTINGS[extent]}
    parser.set_defaults(extent=extent, **settings)
    return parser.parse_args(arguments)


def run(module, options):
    """Print the tables of a benchmark."""
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    print(f"{module.__doc__.splitlines()[0]} ({options.extent})", flush=True)
    for title, header, rows in module.tables(options):
        print(f"\n### {title}\n", flush=True)
        print_table(header, rows)


def command(name):
    """Run a benchmark from the command line."""
    module = importlib.import_module(name)
    options = parse(module)
    threads = "" if options.threads is None else f", {options.threads} threads"
    print(versions(*module.PEERS) + threads, end="\n\n", flush=True)
    run(module, options)


def in_child(function, *arguments, launcher=(), **variables):
    """Outcome of a function of a benchmark in a process of its own."""
    call = [function.__module__, function.__name__, json.dumps(arguments)]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "benchmarks._child", *call],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{function.__name__}{arguments} in a process of its own: {why}")
    return json.loads(done.stdout.splitlines()[-1])
