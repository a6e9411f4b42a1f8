"""The layers of the package: who may import whom, and what stays out of the light ones."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_sparsedis

ROOT = Path(sklearn_sparsedis.__file__).parent
PACKAGE = ROOT.name

# layer -> layers of this package that it may import (itself always)
LAYERS = {
    "_version": set(),
    "_warnings": set(),
    "exceptions": set(),
    "storage": {"exceptions", "_version"},
    "functional": set(),
    "solvers": {"functional"},
    "implicit": {"solvers", "functional"},
    "penalties": {"implicit", "solvers", "functional"},
    "nn": {"penalties", "implicit", "functional", "solvers"},
    "tasks": set(),
    "metrics": {"_arrays"},
    "datasets": set(),
    "model_selection": {"tasks", "metrics"},
    "training": {"nn", "tasks", "metrics", "exceptions", "storage"},
    "callbacks": {"training", "metrics"},
    "inspection": {"functional", "metrics", "model_selection", "solvers"},
    "_arrays": set(),
    "_validation": {"exceptions", "_arrays"},
}
# what any layer may import
FOR_ALL = {"_warnings"}
# layer -> third parties that it may import besides the standard library
THIRD_PARTIES = {
    "_version": set(),
    "_warnings": set(),
    "exceptions": {"sklearn"},
    "storage": {"torch", "numpy", "safetensors", "sklearn"},
    "functional": {"torch"},
    "solvers": {"torch"},
    "implicit": {"torch"},
    "penalties": {"torch"},
    "nn": {"torch"},
    "tasks": {"torch", "numpy"},
    "training": {"torch", "numpy", "skorch", "tqdm"},
    "callbacks": {"numpy", "sklearn"},
    "metrics": {"numpy", "scipy", "sklearn"},
    "datasets": {"numpy", "scipy", "sklearn", "PIL", "h5py"},
    "model_selection": {"numpy", "scipy", "sklearn", "joblib"},
    "inspection": {"numpy", "scipy", "sklearn", "torch", "matplotlib"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def _layer(path):
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    layer = _layer(path)
    if layer not in LAYERS:  # estimators and the package itself stand on top
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == PACKAGE:
            assert len(parts) > 1, f"{layer} imports the package itself"
            assert parts[1] in LAYERS[layer] | {layer} | FOR_ALL, f"{layer} imports {name}"
        elif parts[0] not in sys.stdlib_module_names and layer in THIRD_PARTIES:
            assert parts[0] in THIRD_PARTIES[layer], f"{layer} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_warnings_are_issued_in_one_place(path):
    if _layer(path) == "_warnings":  # its frames are what it counts
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "warnings", f"{path}:{node.lineno}: use _warnings"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            # filters are those of all threads
            wrong = node.value.id == "warnings" and not node.attr.endswith("Warning")
            assert not wrong, f"{path}:{node.lineno}: use _warnings"


def _loaded_by(statement):
    """Modules that a statement loads beyond torch and an estimator of scikit-learn."""
    code = (
        "import sys, torch, sklearn.linear_model; before = set(sys.modules); "
        f"{statement}; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_package_loads_its_parts_when_they_are_asked_for():
    assert _loaded_by(f"import {PACKAGE}") == {PACKAGE, f"{PACKAGE}._version"}


def test_an_estimator_without_training_loads_no_training_loop():
    loaded = _loaded_by(f"from {PACKAGE} import GroupLassoSVC")
    assert f"{PACKAGE}.solvers" in loaded
    assert not loaded & {"skorch", "safetensors", "tqdm", f"{PACKAGE}.training"}


def test_optional_and_heavy_modules_wait_until_they_are_used():
    loaded = _loaded_by(f"from {PACKAGE} import *")
    assert "skorch" in loaded
    optional = {"matplotlib", "pandas", "polars", "h5py", "PIL", "dask", "distributed"}
    heavy = {"torch._dynamo", "sympy", "scipy.stats", "sklearn.ensemble", "sklearn.tree"}
    assert not loaded & (optional | heavy)


def test_names_of_the_package_are_found():
    package = importlib.import_module(PACKAGE)
    subpackages = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"exceptions"}
    assert set(dir(package)) >= set(package.__all__) | subpackages
    assert all(hasattr(package, name) for name in subpackages)
    with pytest.raises(AttributeError, match="'sklearn_sparsedis' has no attribute 'Sparse'"):
        package.Sparse  # noqa: B018


def test_all_is_sorted_and_resolves():
    for path in sorted(ROOT.rglob("__init__.py")):
        name = ".".join([PACKAGE, *path.parent.relative_to(ROOT).parts])
        module = __import__(name, fromlist=["__all__"])
        assert module.__all__ == sorted(module.__all__), name
        assert all(hasattr(module, public) for public in module.__all__), name
