"""Descriptions of values that are equal in all processes, and differ if trainings would."""

import hashlib
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["NotComparable", "describe"]

# Longest description; longer ones are cut and end in a digest of the whole.
LONGEST = 200
# Largest number of values of an array that is written out.
MOST_VALUES = 10_000
PLAIN = (
    *(type(None), type(Ellipsis), bool, int, float, complex, str, bytes),
    *(torch.dtype, torch.device),
)
# Folders of installed code.
INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
# Packages whose versions may change between two parts of a training.
ANY_VERSION = (__name__.partition(".")[0], "torch")
# Attributes of modules: hooks, which run in its steps, and those that are described elsewhere.
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
NOT_STATE = frozenset(vars(nn.Module())).difference(HOOKS) | {"_compiled_call_impl"}


class NotComparable(ValueError):
    """Raised for a value that cannot be compared with another one."""


def describe(value: Any) -> str:
    """Describe a value by a text; values with equal texts train alike.

    Numbers, strings and collections of them are written out, whatever their type. A module is
    described by its structure, weights and code; a function by its bytecode, constants, defaults,
    closures and globals; any other object by its class and its state. Code of installed packages is
    described by its name and their version.

    Raises
    ------
    NotComparable
        For a value without a state that can be read, such as an open file, or that holds one.
    """
    text = _Describer().text(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}... {_digest(text.encode())}"


class _Describer:
    """Descriptions of one value and its parts."""

    def __init__(self) -> None:
        # Descriptions, or errors, of the objects met so far. The objects are kept alive, so that no
        # other object gets the id of one.
        self._met: dict[int, tuple[object, str | NotComparable]] = {}
        self._n_tied = 0

    def text(self, value: Any) -> str:
        if isinstance(value, np.ndarray) and (value.size < MOST_VALUES or value.dtype.hasobject):
            value = value.tolist()
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) in PLAIN:
            return repr(value)
        if isinstance(value, np.ndarray):
            return _values(value)
        if type(value) in (list, tuple):
            return f"[{', '.join(map(self.text, value))}]"
        if type(value) in (set, frozenset):
            return f"{{{', '.join(sorted(map(self.text, value)))}}}"
        return self._object(value)

    def _object(self, value: Any) -> str:
        if id(value) in self._met:
            text = self._met[id(value)][1]
            if isinstance(text, NotComparable):
                raise text
            return text
        # One tensor or module under two names differs from two equal ones: it trains as one.
        tied = isinstance(value, Tensor | nn.Module)
        self._n_tied += tied
        # This is the description for parts that refer to the whole.
        self._met[id(value)] = value, f"#{self._n_tied if tied else _label(value)}"
        try:
            text = self._parts(value)
        except NotComparable as error:
            self._met[id(value)] = value, error
            raise
        if not tied:
            self._met[id(value)] = value, text
        return text

    def _parts(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return _values(value)
        if type(value) is dict:
            pairs = (f"{self.text(key)}: {self.text(item)}" for key, item in value.items())
            return f"{{{', '.join(sorted(pairs))}}}"
        find = next((find for kind, find in _PARTS if isinstance(value, kind)), _Describer._state)
        parts = "\n".join(map(self.text, find(self, value)))
        return f"{_label(value)} {_digest(parts.encode())}"

    def _lenient(self, value: Any) -> str:
        """Describe a value, or at least the code of a function or the class of an object."""
        try:
            return self.text(value)
        except NotComparable:
            code = getattr(value, "__code__", None)
            return type(value).__qualname__ if code is None else self.text(code)

    def _code(self, code: types.CodeType) -> Iterator[Any]:
        yield code.co_code, code.co_exceptiontable, code.co_consts, code.co_flags
        yield code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars
        yield code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        module = function.__globals__.get("__name__")
        for cell in function.__closure__ or ():
            yield _contents(cell)
        if _is_installed(module):
            yield _name(function, module)
            return
        yield function.__code__, function.__defaults__, function.__kwdefaults__
        yield from self._referred(_names(function.__code__), function.__globals__)

    def _referred(self, names: set[str], namespace: Mapping[str, Any]) -> Iterator[Any]:
        """Values of names in a namespace, and in the modules in it that are not installed."""
        for name in sorted(names & namespace.keys()):
            value = namespace[name]
            if not isinstance(value, types.ModuleType):
                yield name, self._lenient(value)
            elif not _is_installed(value.__name__) and id(value) not in self._met:
                self._met[id(value)] = value, name
                yield from self._referred(names, vars(value))

    def _class(self, kind: type) -> Iterator[Any]:
        yield _name(kind, kind.__module__)
        if _is_installed(kind.__module__):
            return
        yield kind.__bases__
        for name, value in sorted(vars(kind).items()):
            wrapped = [getattr(value, part, None) for part in ("__func__", "fget", "fset", "func")]
            if any(wrapped):
                yield name, wrapped
            elif isinstance(value, types.FunctionType) or not name.startswith("__"):
                yield name, self._lenient(value)

    def _method(self, method: types.MethodType) -> Iterator[Any]:
        yield method.__func__, method.__self__

    def _builtin(self, function: Any) -> Iterator[Any]:
        owner = getattr(function, "__self__", None)
        yield function.__qualname__
        yield owner.__name__ if isinstance(owner, types.ModuleType) else owner

    def _python_module(self, module: types.ModuleType) -> Iterator[Any]:
        yield module.__name__

    def _network(self, network: nn.Module) -> Iterator[Any]:
        """Class, attributes, tensors and parts of a module."""
        if "_orig_mod" in network._modules:  # a module compiled by torch.compile
            yield network._modules["_orig_mod"]
            return
        yield type(network), network.extra_repr(), str(getattr(network, "code", ""))
        text = self._lenient if _is_installed(type(network).__module__) else self.text
        for name, value in sorted(vars(network).items()):
            if name in HOOKS:  # their keys differ between processes
                yield name, text(list(value.values()))
            elif name not in NOT_STATE:
                yield name, text(value)
        yield list(network.named_parameters(recurse=False, remove_duplicate=False))
        yield list(network.named_buffers(recurse=False, remove_duplicate=False))
        yield list(network._modules.items())

    def _state(self, value: Any) -> Iterator[Any]:
        """Values from which a copy of any other object would be made."""
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:
            raise NotComparable(f"a {type(value).__qualname__}") from error
        yield type(value), getattr(value, "__wrapped__", None)
        yield from (made,) if isinstance(made, str) else made[:3]
        if not isinstance(made, str):
            yield from (list(items or ()) for items in made[3:5])


# Methods that describe each kind of object; other objects are described by their state.
_PARTS: tuple[tuple[Any, Callable[..., Iterator[Any]]], ...] = (
    (nn.Module, _Describer._network),
    (type, _Describer._class),
    (types.FunctionType, _Describer._function),
    (types.CodeType, _Describer._code),
    (types.MethodType, _Describer._method),
    (types.ModuleType, _Describer._python_module),
    (types.BuiltinFunctionType, _Describer._builtin),
    (types.MethodWrapperType, _Describer._builtin),
)


def _label(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    return str(named.__qualname__)


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _values(array: Tensor | NDArray[Any]) -> str:
    """Type, shape and digest of a tensor or an array."""
    if isinstance(array, Tensor) and is_lazy(array):
        return f"{array.dtype} without a shape"
    shown = f"{array.dtype} {tuple(array.shape)}"
    if isinstance(array, np.ndarray):
        return f"{shown} {_digest(array.tobytes())}"
    if array.is_meta:
        return shown
    dense = array.detach().to_dense().cpu().resolve_conj().resolve_neg().contiguous()
    return f"{shown} {_digest(dense.reshape(-1).view(torch.uint8).numpy())}"


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _names(code: types.CodeType) -> set[str]:
    """Names that a function and those inside it look up in modules."""
    inside = (_names(part) for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*inside)


def _is_installed(module: str | None) -> bool:
    """Return True for a module of Python, of this package or of an installed one."""
    if module is None or module not in sys.modules or module == "__main__":
        return False
    if module.partition(".")[0] == ANY_VERSION[0]:
        return True
    file = getattr(sys.modules[module], "__file__", None)
    return file is None or file.startswith(INSTALLED)


def _name(value: Any, module: str | None) -> str:
    """Name of a class or function, with module and version where these are installed."""
    if module is None or not _is_installed(module):
        return str(value.__qualname__)
    package = module.partition(".")[0]
    version = getattr(sys.modules[package], "__version__", "")
    return f"{module}.{value.__qualname__} {'' if package in ANY_VERSION else version}"
