"""The layers of the package: who may import whom, and what stays out of the light ones."""

import ast
import importlib
import re
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
    "_on_demand": set(),
    "exceptions": set(),
    "_distributed": {"exceptions"},
    "storage": {"exceptions", "_version"},
    "functional": {"_on_demand"},
    "solvers": {"functional", "_on_demand"},
    "implicit": {"solvers", "functional"},
    "penalties": {"implicit", "solvers", "functional"},
    "losses": {"solvers", "functional"},
    "nn": {"losses", "penalties", "implicit", "solvers", "functional", "tasks"},
    "tasks": {"losses"},
    "adaptation": {"functional", "tasks"},
    "inputs": {"_distributed", "losses", "tasks"},
    "metrics": {"inputs"},
    "datasets": set(),
    "model_selection": {"tasks"},
    "training": {"nn", "losses", "tasks", "functional", "_distributed", "exceptions", "storage"},
    "basis": {"inputs", "_distributed", "nn", "tasks", "solvers"} | {"functional"},
    "callbacks": {"training", "metrics"},
    "inspection": {"losses", "metrics", "model_selection", "solvers"},
    "estimators": {
        "adaptation",
        "inputs",
        "basis",
        "training",
        "nn",
        "penalties",
        "losses",
        "solvers",
        "functional",
    }
    | {"tasks", "model_selection", "storage"}
    | {"_version", "_distributed", "exceptions"},
    "__init__": {"estimators", "_version", "_on_demand"},
    "__main__": {"_version"},
}
# what any layer may import
FOR_ALL = {"_warnings"}
# layer -> third parties that it may import besides the standard library
THIRD_PARTIES = {
    "_version": {"torch", "threadpoolctl"},
    "_warnings": {"torch"},
    "_on_demand": set(),
    "exceptions": {"sklearn"},
    "_distributed": {"torch", "numpy"},
    "inputs": {"torch", "numpy", "scipy", "sklearn", "narwhals"},
    "basis": {"torch", "numpy", "scipy", "sklearn"},
    "estimators": {"torch", "numpy", "scipy", "sklearn", "skorch"},
    "__init__": set(),
    "__main__": set(),
    "storage": {"torch", "numpy", "safetensors", "sklearn"},
    "functional": {"torch"},
    "solvers": {"torch", "numpy", "scipy", "threadpoolctl"},
    "implicit": {"torch"},
    "penalties": {"torch"},
    "losses": {"torch", "numpy"},
    "nn": {"torch"},
    "tasks": {"torch", "numpy"},
    "adaptation": {"torch"},
    "training": {"torch", "numpy", "sklearn", "skorch", "tqdm"},
    "callbacks": {"numpy", "sklearn"},
    "metrics": {"numpy", "scipy", "sklearn"},
    "datasets": {"numpy", "scipy", "sklearn", "PIL", "h5py", "matplotlib"},
    "model_selection": {"numpy", "sklearn", "joblib"},
    "inspection": {"numpy", "scipy", "sklearn", "torch", "matplotlib"},
}
MODULES = sorted(ROOT.rglob("*.py"))
SUBPACKAGES = sorted(ROOT.glob("*/__init__.py"))


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


def _edges():
    """Layers of this package, and other packages, that each layer imports; with where."""
    edges = {}
    for path in MODULES:
        for name in _imports(path):
            package, _, rest = name.partition(".")
            if package == PACKAGE:
                assert rest, f"{path} imports the package itself"
                target = rest.split(".")[0]
            elif package in sys.stdlib_module_names:
                continue
            else:
                target = f"{package} (third party)"
            if target != _layer(path):
                edges.setdefault(_layer(path), {}).setdefault(target, path)
    return edges


def test_imports_follow_the_layers():
    assert {_layer(path) for path in MODULES} == set(LAYERS)
    for layer, targets in _edges().items():
        allowed = {f"{name} (third party)" for name in THIRD_PARTIES[layer]}
        allowed |= LAYERS[layer] | FOR_ALL
        for target, path in targets.items():
            assert target in allowed, f"{path}: {layer} must not import {target}"


def test_every_edge_of_the_table_is_used():
    edges = _edges()
    for layer, allowed in LAYERS.items():
        used = {name for name in edges.get(layer, {}) if "(third party)" not in name}
        assert used - FOR_ALL == allowed, layer
        third = {f"{name} (third party)" for name in THIRD_PARTIES[layer]}
        assert third <= set(edges.get(layer, {})), layer


def test_the_guide_for_contributors_shows_this_table():
    text = (ROOT.parent / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text, flags=re.M)
    shown = {layer: set(re.findall(r"`(\w+)`", cell)) for layer, cell in rows}
    assert shown == LAYERS


def test_warnings_are_issued_in_one_place():
    for path in MODULES:
        if _layer(path) == "_warnings":  # its frames are what it counts
            continue
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
    assert _loaded_by(f"import {PACKAGE}") == {
        *(PACKAGE, f"{PACKAGE}._version", f"{PACKAGE}._on_demand")
    }


@pytest.mark.parametrize("estimator", ["GroupLassoSVC", "SparseRotation"])
def test_an_estimator_without_training_loads_no_training_loop(estimator):
    loaded = _loaded_by(f"from {PACKAGE} import {estimator}")
    assert f"{PACKAGE}.solvers" in loaded
    assert len([name for name in loaded if name.startswith(PACKAGE)]) < 50
    assert not loaded & {"skorch", "safetensors", "tqdm", f"{PACKAGE}.training"}


def test_optional_and_heavy_modules_wait_until_they_are_used():
    loaded = _loaded_by(f"from {PACKAGE} import *")
    assert "skorch" in loaded
    optional = {"matplotlib", "pandas", "polars", "h5py", "PIL", "dask", "distributed"}
    heavy = {"torch._dynamo", "sympy", "scipy.stats", "sklearn.ensemble", "sklearn.tree"}
    assert not loaded & (optional | heavy)


def test_names_of_the_package_are_found():
    package = importlib.import_module(PACKAGE)
    modules = [importlib.import_module(f"{PACKAGE}.{path.parent.name}") for path in SUBPACKAGES]
    public = {module.__name__.split(".")[1] for module in modules if module.__all__}
    assert set(dir(package)) >= set(package.__all__) | public | {"exceptions"}
    for module in [package, *modules]:
        assert set(dir(module)) >= set(module.__all__), module
        assert all(hasattr(module, name) for name in module.__all__), module
    with pytest.raises(AttributeError, match="'sklearn_sparsedis' has no attribute 'Sparse'"):
        package.Sparse  # noqa: B018


def test_all_is_sorted_and_resolves():
    for path in sorted(ROOT.rglob("__init__.py")):
        name = ".".join([PACKAGE, *path.parent.relative_to(ROOT).parts])
        module = __import__(name, fromlist=["__all__"])
        assert module.__all__ == sorted(module.__all__), name
        assert all(hasattr(module, public) for public in module.__all__), name
