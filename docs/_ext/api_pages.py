"""Write the pages of the API from the `__all__` of each public subpackage, grouped by use."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

PACKAGE = "sklearn_sparsedis"
# page -> title, what it is for, modules: in the order in which a user needs them. Every subpackage
# with public names stands on one page.
GROUPS = {
    "estimators": (
        "Estimators",
        "The estimators, the functions that store and load them, their encoders, the penalties and "
        "losses of their heads, callbacks for their trainings, and errors and warnings.",
        ("", "nn", "penalties", "losses", "callbacks", "exceptions"),
    ),
    "evaluation": (
        "Evaluation",
        "Scores of representations and of tasks, splits by task and by class, evaluation on "
        "few-shot episodes, reports and plots.",
        ("metrics", "model_selection", "inspection"),
    ),
    "data": (
        "Data sets",
        "Generators of data whose latents are known, and loaders for files of benchmarks.",
        ("datasets",),
    ),
    "solvers": (
        "Solvers and their gradients",
        "Solvers of the problems that heads solve, their exact derivatives, and objectives and "
        "duality gaps, on tensors, for methods of your own.",
        ("solvers", "implicit", "functional"),
    ),
}
INTRODUCTION = """\
Every public class and function of the package, grouped by what it is for. The :doc:`user guide
</guide/index>` explains the words, such as component, head, support and latent.
"""


def public_modules() -> Iterator[ModuleType]:
    """The package and its public modules."""
    package = importlib.import_module(PACKAGE)
    found = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    named = [name for _, _, modules in GROUPS.values() for name in modules]
    for name in [*named, *sorted(found - set(named))]:
        yield importlib.import_module(f"{PACKAGE}.{name}".rstrip("."))


def public_names(module: ModuleType) -> tuple[list[str], list[str]]:
    """Classes and functions of a module's `__all__`, and its other names."""
    names = [name for name in getattr(module, "__all__", []) if not name.startswith("__")]
    documented = [name for name in names if _has_page(getattr(module, name))]
    return documented, [name for name in names if name not in documented]


def _has_page(public: Any) -> bool:
    return inspect.isclass(public) or inspect.isroutine(public)


def pages() -> dict[str, str]:
    """Full name of every public class and function -> full name of the page that it has.

    What several modules export has its page in the first of them.
    """
    found: dict[str, str] = {}
    first: dict[int, str] = {}
    for module in public_modules():
        for name in public_names(module)[0]:
            full = f"{module.__name__}.{name}"
            found[full] = first.setdefault(id(getattr(module, name)), full)
    return found


def _section(module: ModuleType, page_of: dict[str, str]) -> str:
    documented, others = public_names(module)
    path = module.__name__
    own = [name for name in documented if page_of[f"{path}.{name}"] == f"{path}.{name}"]
    elsewhere = [page_of[f"{path}.{name}"] for name in documented if name not in own]
    summary = (inspect.getdoc(module) or "").partition("\n")[0]
    lines = [*_heading(path, "-"), f".. module:: {path}", "", summary, ""]
    lines += [f".. currentmodule:: {path}", ""]
    classes = [name for name in own if inspect.isclass(getattr(module, name))]
    functions = [name for name in own if name not in classes]
    for title, names in (("Classes", classes), ("Functions", functions)):
        if names:
            lines += [f".. rubric:: {title}", "", ".. autosummary::", "   :toctree: generated", ""]
            lines += [*(f"   {name}" for name in names), ""]
    if elsewhere:
        lines += ["", f"Also here: {', '.join(f'`{place}`' for place in elsewhere)}."]
    if others:
        lines += ["", f"Constants and registries: {', '.join(f'``{name}``' for name in others)}."]
    return "\n".join(lines) + "\n\n"


def _heading(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def _texts(page_of: dict[str, str]) -> dict[str, str]:
    """Name of each page of the API -> its text."""
    group_of = {name: group for group, (_, _, names) in GROUPS.items() for name in names}
    sections: dict[str, str] = dict.fromkeys(GROUPS, "")
    for module in public_modules():
        if public_names(module)[0]:
            name = module.__name__.removeprefix(PACKAGE).lstrip(".")
            sections[group_of[name]] += _section(module, page_of)
    index = [*_heading("API reference", "="), INTRODUCTION]
    for group, (title, purpose, _) in GROUPS.items():
        index += [f":doc:`{title} <{group}>`", f"    {purpose}", ""]
    index += [".. toctree::", "   :hidden:", "", *(f"   {group}" for group in GROUPS), ""]
    texts = {"index": "\n".join(index)}
    for group, (title, purpose, _) in GROUPS.items():
        texts[group] = "\n".join([*_heading(title, "="), purpose, "", sections[group]])
    return texts


def write_pages(app: Sphinx, config: Any) -> None:
    """Write the pages whose text has changed, and remove those of what is no more."""
    page_of = pages()
    folder = Path(app.srcdir, "api")
    folder.mkdir(exist_ok=True)
    for name, text in _texts(page_of).items():
        path = folder / f"{name}.rst"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for page in folder.glob("generated/*.rst"):
        if page.stem not in page_of.values():
            page.unlink()


def keep_our_own(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> Any:
    """Leave out members that scikit-learn, torch or skorch define and document."""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    module = getattr(function, "__module__", None) or ""
    return True if not module.startswith(PACKAGE) else None


# what is in code font or mathematics already, to be left as it is
_VERBATIM = re.compile(r"(``.*?``|:math:`[^`]*`|`[^`]*`_?)")
# what reST would read as markup: (*batch, n), |w|, (n_features_in_,)
_MARKUP = re.compile(r"(?<=\()\*(?=\w)|\||(?<=\w)_(?=,?\))")
# a field of a Bunch: reST needs a blank line before each
_FIELD = re.compile(r" {4,}\w+(, \w+)* : ")


def plain_to_rest(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Make reST of what docstrings write for readers of the code: shapes, norms, fields."""
    block = None  # indentation of the math directive that we are in
    written: list[str] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        if line.lstrip().startswith(".. math::"):
            block = indent
        if block is None and not line.lstrip().startswith((">>>", "...")):
            if _FIELD.match(line):
                written.append("")
            parts = _VERBATIM.split(line)
            parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
            line = "".join(parts)
        written.append(line)
    lines[:] = written


def setup(app: Sphinx) -> dict[str, bool]:
    # before Sphinx looks for source files
    app.connect("config-inited", write_pages)
    app.connect("autodoc-skip-member", keep_our_own)
    # before numpydoc, which takes the sections apart
    app.connect("autodoc-process-docstring", plain_to_rest, priority=100)
    return {"parallel_read_safe": True}
