"""Measures of the package's structure, to be printed before and after a change of it.

From the root of a checkout: ``python tests/measure_structure.py``.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1] / "sklearn_sparsedis"
PENALTIES = {"l0", "l1", "l2", "mcp", "elasticnet"}
TARGETS = {"ObservedTargets", "DenseTargets"}
LOSSES = {"squared_error", "logistic", "huber"}
IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def _trees():
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def _strings(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value}


def _tables(tree, names):
    """Dictionaries and sequences of two or more of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = {k.value for k in node.keys if isinstance(k, ast.Constant)}
            if len(keys & names) >= 2:
                yield node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            values = {e.value for e in node.value.elts if isinstance(e, ast.Constant)}
            if len(values & names) >= 2:
                yield node


def _comparisons(tree, names):
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
            if any(
                isinstance(side, ast.Constant | ast.Tuple) and _strings(side) & names
                for side in compared
            ):
                yield node


def _functions(tree):
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def _takes_estimator(function):
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(
        a.arg in ("p", "estimator")
        and a.annotation is not None
        and ast.unparse(a.annotation) == "Any"
        for a in arguments
    )


def _body_lines(function):
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def code_lines(path):
    """Lines of a file that hold code, without comments and docstrings."""
    text = path.read_text()
    doc = set()
    for node in ast.walk(ast.parse(text)):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            doc |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in IGNORED and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - doc)


def _loaded():
    """Own modules that an import loads, and packages of a training that it adds to torch alone."""
    code = (
        "import sys, torch; before = set(sys.modules); "  # torch.hub loads tqdm by itself
        "from sklearn_sparsedis import SparseRotation; "
        "print(*(m for m in set(sys.modules) - before if m.split('.')[0] in "
        "('sklearn_sparsedis', 'skorch', 'tqdm')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = done.stdout.split()
    own = [name for name in names if name.startswith("sklearn_sparsedis")]
    return len(own), sorted({name.split(".")[0] for name in names} - {"sklearn_sparsedis"})


def measures():
    """Each measure and its value."""
    trees = list(_trees())
    whole = [f for _, t in trees for f in _functions(t) if _takes_estimator(f)]
    bodies = [
        (_body_lines(f), f"{p.relative_to(ROOT)}:{f.name}") for p, t in trees for f in _functions(t)
    ]
    observed = sum(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Name)
        and n.func.id == "isinstance"
        and bool(TARGETS & set(re.findall(r"\w+", ast.unparse(n.args[1]))))
        for _, t in trees
        for n in ast.walk(t)
    )
    modules, others = _loaded()
    count = {
        f"{kind} {what}": sum(len(list(find(t, names))) for _, t in trees)
        for kind, names in (("penalty", PENALTIES), ("loss", LOSSES))
        for what, find in (("tables", _tables), ("string comparisons", _comparisons))
    }
    return {
        "private modules at the root": len([p for p in ROOT.glob("_*.py") if p.stem[:2] != "__"]),
        **count,
        "functions that take a whole estimator": len(whole),
        "isinstance(..., ObservedTargets)": observed,
        "modules loaded by SparseRotation": f"{modules}, with {', '.join(others) or 'no other'}",
        "files": len(trees),
        "lines of code": sum(code_lines(p) for p, _ in trees),
        "longest function body": "{} ({})".format(*max(bodies)),
    }


if __name__ == "__main__":
    for name, value in measures().items():
        sys.stdout.write(f"{name}: {value}\n")
