"""Pages of text: their code runs and prints what they show, and their links lead somewhere."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pages
import pytest
from pages import PAGES, ROOT, WITH_CODE

LINKS = [
    (name, link)
    for name, text in PAGES.items()
    for link in re.findall(r"\]\(([^)#]+)\)", re.sub(r"\s+", " ", text))
    if "://" not in link
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = packages_distributions() | {PROJECT["name"].replace("-", "_"): [PROJECT["name"]]}


def test_there_is_code():
    assert "README.md" in WITH_CODE
    assert len(WITH_CODE) > 10


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples write files
    for block, printed in pages.run(page):
        shown = block["shown"] or ""
        assert pages.is_shown(printed, shown), (
            f"{page} shows\n{shown}\nand this is printed\n{printed}\nafter\n{block['code']}"
            f"\nRun python tests/pages.py {page} if the new output is right."
        )


@pytest.mark.parametrize(
    ("printed", "shown", "equal"),
    [
        ("R^2 0.951", "R^2 0.950", True),
        ("R^2 0.951", "R^2 0.930", False),
        ("0.004", "0.003", True),
        ("1.2e-09", "1.3e-09", False),
        ("(50, 6)", "(50, 7)", False),
        ("[1.   0.5]", "[1.  0.5]", True),
        ("about 74% of it", "about 73% of it", True),
        ("74%", "60%", False),
        ("six", "seven", False),
        ("", "0.1", False),
    ],
)
def test_numbers_agree_to_a_few_digits(printed, shown, equal):
    assert pages.is_shown(printed, shown) == equal


def _names(requirements):
    return {re.match(r"[\w-]+", entry)[0].lower() for entry in requirements}


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_install_line_brings_what_the_code_imports(page):
    text = PAGES[page]
    there = _names(PROJECT["dependencies"]) | {PROJECT["name"]}
    for line in re.findall(r"^pip install (.*)$", text, flags=re.MULTILINE):
        for extra in re.findall(r"(\w+)(?=[,\]])", line):
            there |= _names(PROJECT["optional-dependencies"][extra])
        there |= set(re.findall(r"(?<= )[a-z]\w+(?= |$)", line))
    for block in pages.BLOCK.finditer(text):
        for node in ast.walk(ast.parse(block["code"])):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in {module.partition(".")[0] for module in modules}:
                if module not in sys.stdlib_module_names:
                    found = {name.lower() for name in DISTRIBUTIONS[module]}
                    assert found & there, f"{page} imports {module}, which it does not install"


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_within_the_repository_exist(page, link):
    if "auto_examples/" in link:  # made from an example of the same name
        name = link.rpartition("/")[2]
        assert name == "index" or (ROOT / "examples" / f"{name}.py").is_file()
    else:
        assert ((ROOT / page).parent / link).is_file()
