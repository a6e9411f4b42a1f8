"""Pages with Python code: run their blocks and compare what they print with what they show.

    python tests/pages.py [PAGE ...]

writes the output of the pages anew (all of them without arguments).
"""

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# pages that do not belong to the documentation
OUTSIDE = ("README.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md")
# pages that Sphinx makes lie beside the ones that we write
GENERATED = {"_build", "api", "auto_examples"}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*map(ROOT.joinpath, OUTSIDE), *sorted((ROOT / "docs").rglob("*.md"))]
    if not GENERATED & set(path.relative_to(ROOT).parts)
}
# a block of code, and the block of output that may follow it
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
WITH_CODE = sorted(name for name, text in PAGES.items() if BLOCK.search(text))
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+|%)?(?!\w)")


def run(page: str) -> Iterator[tuple[re.Match[str], str]]:
    """Run the blocks of a page in order, in one namespace; give each with what it printed."""
    text, names = PAGES[page], {"__name__": "page"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("code"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + block["code"], page, "exec"), names)
        yield block, printed.getvalue()


def is_shown(printed: str, shown: str) -> bool:
    """Whether the texts are equal up to white space and to the last digits of their fractions.

    Integers must be equal. A percentage and a number with a decimal point may differ by 2 %, or by
    two units of the last digit: training amplifies the order in which a machine adds.
    """
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", shown).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(_close(*pair) for pair in pairs)


def _close(printed: str, shown: str) -> bool:
    if not set(".e%") & set(shown):
        return printed == shown
    exact, given = (float(number.strip("%")) for number in (printed, shown))
    digits = shown.strip("%").partition(".")[2]
    last = 0.0 if "e" in shown else 10.0 ** -len(digits)
    return abs(exact - given) <= max(0.02 * abs(given), 2.001 * last)


def write(page: str) -> None:
    """Replace the output that a page shows by that of a run."""
    text, parts, end = PAGES[page], [], 0
    for block, printed in run(page):
        shown = f"\n```text\n{printed.rstrip()}\n```\n" if printed.strip() else ""
        parts += [text[end : block.start()], f"```python\n{block['code']}```\n{shown}"]
        end = block.end()
    (ROOT / page).write_text("".join([*parts, text[end:]]), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or WITH_CODE:
        with tempfile.TemporaryDirectory() as folder:  # examples write files
            os.chdir(folder)
            write(name)
            os.chdir(ROOT)
