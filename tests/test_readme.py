"""The README's Python code runs, and its links within the repository lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
LINKS = re.findall(r"\]\(([^)#]+)\)", README)


def test_there_is_code():
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_code_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples write files
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    if "new" in names:  # the example's claim: new tasks are learned from 20 rows
        model, X, Y, Y_new = (names[name] for name in ("model", "X", "Y", "Y_new"))
        assert model.score(X[800:], Y[800:]) > 0.95
        assert names["new"].score(X[800:], Y_new[800:]) > 0.9


@pytest.mark.parametrize("link", [x for x in LINKS if "://" not in x])
def test_links_within_the_repository_exist(link):
    assert (ROOT / link).is_file()
