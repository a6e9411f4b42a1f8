"""Run all benchmarks, or those that are named, within a limit of time.

Each runs in a process of its own, in its "short" extent (``--quick``: its "quick" one). One that
fails, or that takes more than three times its equal share of the time that is left, is stopped,
and the others go on.
"""

import argparse
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from benchmarks import _common

# fork: what all of them import is imported once; nothing has started a thread by then
PROCESSES = multiprocessing.get_context("fork")
MINUTES = {"short": 30, "quick": 3}
ARGUMENTS = {"short": ["--short"], "quick": ["--quick", "--threads=1"]}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))


def run_alone(name, extent):
    """Run one in this process, which leads a group: its children end with it."""
    os.setsid()
    status = 0
    try:
        module = importlib.import_module(f"benchmarks.{name}")
        _common.run(module, _common.parse(module, ARGUMENTS[extent]))
    except BaseException as error:
        traceback.print_exc()
        print(f"\nfailed: {traceback.format_exception_only(error)[-1].strip()}")
        status = 1
    sys.stdout.flush()
    os._exit(status)  # joblib's workers, if there are any, would be waited for


def run_limited(name, extent, limit):
    """How it ended."""
    process = PROCESSES.Process(target=run_alone, args=(name, extent))
    process.start()
    try:
        process.join(limit)
        outcome = {None: "stopped", 0: "done"}.get(process.exitcode, "failed")
    finally:
        with suppress(ProcessLookupError):  # where no process of its group is left
            os.killpg(process.pid, signal.SIGKILL)
    process.join()
    if outcome == "stopped":
        print(f"\nstopped after {limit:.0f} s", flush=True)
    return outcome


def run_all(names, extent, minutes):
    """A row a benchmark: name, how it ended, seconds."""
    end = time.perf_counter() + 60 * minutes
    rows = []
    for i, name in enumerate(names):
        print(f"\n## {name}\n", flush=True)
        start = time.perf_counter()
        left = max(end - start, 1.0)
        outcome = run_limited(name, extent, left * min(1, 3 / (len(names) - i)))
        rows.append((name, outcome, f"{time.perf_counter() - start:.0f}"))
    return rows


def main():
    """Run, and say how each ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_const", dest="extent", const="quick")
    parser.add_argument("--minutes", type=float, help="30, or 3 with --quick")
    options = parser.parse_args()
    extent = options.extent or "short"
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    importlib.import_module("sklearn_sparsedis")
    names = options.names or NAMES
    peers = {p for n in names for p in importlib.import_module(f"benchmarks.{n}").PEERS}
    print(_common.versions(*sorted(peers)), flush=True)
    rows = run_all(names, extent, options.minutes or MINUTES[extent])
    print("\n## How they ended\n")
    _common.print_table(("benchmark", "ended", "s"), rows)
    sys.exit(any(row[1] != "done" for row in rows))


if __name__ == "__main__":
    main()
