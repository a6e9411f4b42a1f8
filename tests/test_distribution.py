"""The source distribution holds the repository, and the description stands without it."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_source_distribution_holds_what_the_repository_does(monkeypatch):
    egg_info = pytest.importorskip("setuptools.command.egg_info")
    listed = subprocess.run(
        ["git", "ls-files", "--cached"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no checkout of the repository")
    monkeypatch.chdir(ROOT)
    found = egg_info.FileList(ignore_egg_info_dir=True)
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            found.process_template_line(line)
    # setuptools adds these by itself
    by_itself = ("sklearn_sparsedis/", "README.md", "LICENSE", "MANIFEST.in", "setup.", "pyproject")
    repository = {name for name in listed.stdout.splitlines() if not name.startswith(by_itself)}
    assert not repository - set(found.files)
    made = ("_build/", "/api/", "auto_examples/", "__pycache__", ".pyc")
    assert not [name for name in found.files if any(part in name for part in made)]


@pytest.fixture
def description():
    return runpy.run_path(str(ROOT / "setup.py"))["description"]


def test_the_description_has_absolute_links_where_the_address_is_known(description):
    text = description(README, "https://code.example/project/")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(target.startswith(("https://", "#")) for target in targets)
    assert "![" in text
    assert "](https://code.example/project/raw/main/docs/images/recovery.png)" in text
    assert "[a guide](https://code.example/project/blob/main/docs/guide/index.md)" in text


def test_the_description_has_no_dead_links_where_no_address_is_known(description):
    text = description(README, None)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)
    assert "![" not in text
    assert "a guide" in text
