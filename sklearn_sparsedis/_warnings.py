"""Warnings that name the line of the caller, however deep in the package they arise."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch

__all__ = ["hear_out_torch", "muted", "warn_caller"]

_MUTED = ContextVar("muted", default=False)

# top-level names of the modules that stand between a caller and this package
_BETWEEN = {
    *(__name__.partition(".")[0], "contextlib", "copy", "functools", "joblib", "pickle"),
    *("sklearn", "skorch", "torch"),
}


def warn_caller(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points at the innermost line outside what lies between.

    Parameters
    ----------
    message : str or Warning
        What to say; a Warning has its own category.
    category : type of Warning, default=UserWarning
        Of a message that is a string.
    """
    if _MUTED.get():
        return
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back is not None and _top_level_name(frame.f_globals) in _BETWEEN:
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


@contextmanager
def muted() -> Iterator[None]:
    """Leave out this package's warnings, in this thread: filters are those of all threads."""
    token = _MUTED.set(True)
    try:
        yield
    finally:
        _MUTED.reset(token)


@cache
def hear_out_torch() -> None:
    """Let torch announce once in this process, unheard, that its sparse rows may still change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.eye(1).to_sparse_csr()


def _top_level_name(namespace: dict[str, object]) -> str:
    return str(namespace.get("__name__")).partition(".")[0]
