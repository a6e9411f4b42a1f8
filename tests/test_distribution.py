"""The source distribution holds the repository, and the description stands without it."""

import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from sklearn_sparsedis import __version__

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


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _bounds(requirements):
    found = (re.fullmatch(r"([\w-]+)>=([\d.]+)", entry) for entry in requirements)
    return {match[1].lower(): match[2] for match in found if match}


def _pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## \[(.*?)\](.*)$", changes, flags=re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in heads[1:])


def test_the_conda_recipe_asks_for_what_the_project_does():
    recipe = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    needed = dict(re.findall(r"- ([\w-]+) >=([\d.]+)", run))
    assert needed.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    needed["torch"] = needed.pop("pytorch")
    assert needed == _bounds(PROJECT["dependencies"])


def test_the_oldest_versions_are_the_lower_bounds():
    optional = PROJECT["optional-dependencies"]
    parts = [PROJECT["dependencies"], *(optional[n] for n in ("plot", "data", "dask", "test"))]
    bounds = {name: bound for part in parts for name, bound in _bounds(part).items()}
    oldest = _pins("constraints-oldest.txt")
    # of tools that only look at the code, any version does
    for name in set(bounds) - {"mypy", "ruff"}:
        assert (oldest[name] + ".").startswith(f"{bounds[name]}."), name


def test_the_tested_versions_are_in_the_bounds():
    pins = _pins("constraints.txt")
    named = {entry for part in PROJECT["optional-dependencies"].values() for entry in part}
    bounds = _bounds([*PROJECT["dependencies"], *named])
    assert set(_bounds(PROJECT["dependencies"])) <= set(pins)
    for name in set(pins) & set(bounds):
        assert Version(pins[name]) >= Version(bounds[name]), name
