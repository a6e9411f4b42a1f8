"""The benchmarks have one shape, import without peers, and one that fails stops no other."""

import ast
import importlib
import re
import shlex
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from pages import PAGES

import sklearn_sparsedis

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))
# what an installation without extras has
ALWAYS_THERE = {"numpy", "scipy", "sklearn", "torch", "skorch", "joblib"}
OURS = {"benchmarks", "sklearn_sparsedis"}


@pytest.fixture
def benchmark(monkeypatch):
    """Import a module of the benchmarks."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def imported(nodes):
    """Top-level names of the modules that statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("name", NAMES)
def test_shape(benchmark, name):
    module, common = benchmark(name), benchmark("_common")
    assert module.__doc__.splitlines()[0].endswith("?")
    assert all(isinstance(peer, str) for peer in module.PEERS)
    assert list(module.SETTINGS) == list(common.EXTENTS)
    full = module.SETTINGS["full"]
    for extent in common.EXTENTS:
        assert set(module.SETTINGS[extent]) <= set(full)
        options = vars(common.parse(module, [f"--{extent}"]))
        assert {key: options[key] for key in full} == {**full, **module.SETTINGS[extent]}
    for title, header, _ in module.tables(common.parse(module, ["--quick"])):
        assert isinstance(title, str)
        assert all(isinstance(cell, str) for cell in header)


@pytest.mark.parametrize("name", NAMES)
def test_peers_are_imported_late(name):
    tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text())
    assert set(imported(tree.body)) <= ALWAYS_THERE | OURS | sys.stdlib_module_names


def test_no_part_of_the_package_imports_benchmarks():
    for path in Path(sklearn_sparsedis.__file__).parent.rglob("*.py"):
        assert "benchmarks" not in imported(ast.walk(ast.parse(path.read_text()))), path


def recorded_commands():
    """Names and arguments of the commands that the results and the documentation quote."""
    for text in PAGES.values():
        found = re.findall(r"`python -m benchmarks\.(bench_\w+)([^`]*)`", text)
        yield from ((name, arguments) for name, arguments in found if "[" not in arguments)


@pytest.mark.parametrize(("name", "arguments"), sorted(set(recorded_commands())))
def test_recorded_commands_are_understood(benchmark, name, arguments):
    benchmark("_common").parse(benchmark(name), shlex.split(arguments))


def test_results_are_figures_alone():
    lines = PAGES["benchmarks/RESULTS.md"].splitlines()
    assert len(lines) < 300, "investigations go to docs/notes"
    heads = {row for row, rule in zip(lines, lines[1:], strict=False) if rule.startswith("|---")}
    assert heads == {"| question | command | figure | target | met |"}
    assert {row.count("|") for row in lines if row.startswith("|")} == {6}


def test_options_given_win_over_the_extent(benchmark):
    options = benchmark("_common").parse(benchmark("bench_lasso"), ["--quick", "--rounds", "4"])
    assert options.rounds == 4
    assert options.sizes == [(8, 50, 6)]


def test_missing_peers_and_data_are_rows(benchmark, capsys):
    common = benchmark("_common")

    def rows():
        yield 1, 2
        common.require("no_such_peer")

    common.print_table(("a", "b"), rows())
    assert "| 1 | 2 |\n| skipped: no_such_peer is not installed |  |" in capsys.readouterr().out
    with pytest.raises(common.Skip, match=r"shared/data/no/such is not there"):
        common.data("no", "such")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_runner_goes_on(benchmark, monkeypatch, capfd):
    run_limited = benchmark("__main__").run_limited

    def fail():
        raise ValueError("too\nbad")

    cases = {"done": lambda: None, "failed": fail, "stopped": lambda: time.sleep(60)}
    for outcome, action in cases.items():

        def tables(options, action=action):
            yield "Title", ("a",), ((action(),) for _ in range(1))

        module = ModuleType(f"benchmarks.{outcome}", "Does it?")
        module.SETTINGS = {"full": {}, "short": {}, "quick": {}}
        module.add_options, module.tables = lambda parser: None, tables
        monkeypatch.setitem(sys.modules, module.__name__, module)
        assert run_limited(outcome, "short", 1.0 if outcome == "stopped" else 60.0) == outcome
    out = capfd.readouterr().out
    assert "failed: ValueError: too\nbad" in out
    assert "stopped after 1 s" in out
