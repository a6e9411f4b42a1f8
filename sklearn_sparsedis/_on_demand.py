"""Names of a package whose modules are loaded when the names are asked for (PEP 562)."""

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

__all__ = ["on_demand"]


def on_demand(
    namespace: dict[str, Any], modules: Mapping[str, Iterable[str]], parts: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    namespace : dict
        `globals()` of the package.
    modules : mapping of str to iterable of str
        Modules, relative to the package, and the names that each of them provides.
    parts : collection of str, default=()
        Modules that are such names themselves.
    """
    package = namespace["__name__"]
    module_of = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        if name in parts:
            return importlib.import_module(f"{package}.{name}")
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
        namespace[name] = found
        return found

    def names() -> list[str]:
        return sorted({*namespace, *module_of, *parts})

    return find, names
