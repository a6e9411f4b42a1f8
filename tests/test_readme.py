"""The Python code of README and documentation runs, and their relative links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
BLOCKS = CODE.findall(README)
# pages that Sphinx makes lie beside the ones that we write
GENERATED = {"_build", "api", "auto_examples"}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if not GENERATED & set(path.relative_to(ROOT / "docs").parts)
}
WITH_CODE = sorted(name for name, text in PAGES.items() if CODE.search(text))
LINKS = [
    (name, link)
    for name, text in {"README.md": README, **PAGES}.items()
    for link in re.findall(r"\]\(([^)#]+)\)", re.sub(r"\s+", " ", text))
    if "://" not in link
]


def test_there_is_code():
    assert BLOCKS
    assert WITH_CODE


@pytest.mark.parametrize("block", BLOCKS)
def test_code_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples write files
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    if "new" in names:  # the example's claim: new tasks are learned from 20 rows
        model, X, Y, Y_new = (names[name] for name in ("model", "X", "Y", "Y_new"))
        assert model.score(X[800:], Y[800:]) > 0.95
        assert names["new"].score(X[800:], Y_new[800:]) > 0.9


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for block in CODE.finditer(PAGES[page]):
        line = PAGES[page].count("\n", 0, block.start(1))
        exec(compile("\n" * line + block.group(1), page, "exec"), names)


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_within_the_repository_exist(page, link):
    if "auto_examples/" in link:  # made from an example of the same name
        name = link.rpartition("/")[2]
        assert name == "index" or (ROOT / "examples" / f"{name}.py").is_file()
    else:
        assert ((ROOT / page).parent / link).is_file()
