"""What the benchmarks share: where data lie, which versions ran, how a table is printed."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch")


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
    """Print rows as a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
