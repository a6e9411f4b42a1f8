"""Batches solved a part at a time, with smaller parts where memory does not suffice."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from sklearn_sparsedis._warnings import warn_caller

__all__ = ["solve_each_part"]

Part = TypeVar("Part")

# how torch's allocator for the CPU says what `torch.OutOfMemoryError` says of an accelerator
_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


def solve_each_part(solve: Callable[[slice], Part], parts: Iterable[slice]) -> list[Part]:
    """Solve the problems of a batch in parts; where memory runs out, in parts of half the size.

    Parameters
    ----------
    solve : callable
        From a slice of the problems to their solution.
    parts : iterable of slice
        Together the whole batch, in order.

    Returns
    -------
    list
        Solutions of the parts in order; more of them than `parts` if some had to be halved.

    Raises
    ------
    torch.OutOfMemoryError, RuntimeError or MemoryError
        Whichever the allocator raised, if memory does not suffice for a single problem.

    Warns
    -----
    UserWarning
        Once, in the end, if parts had to be halved: with the size that worked.
    """
    solved: list[Part] = []
    waiting = list(parts)[::-1]
    limit: int | None = None
    while waiting:
        part = waiting.pop()
        size = part.stop - part.start
        if limit is not None and size > limit:
            starts = range(part.start, part.stop, limit)
            pieces = [slice(i, min(i + limit, part.stop)) for i in starts]
            waiting.extend(pieces[::-1])
            continue
        result = _attempt(solve, part)
        if result is None:  # the memory of the attempt is free by now
            limit = size // 2
            waiting.append(part)
        else:
            solved.append(result)
    if limit is not None:
        warn_caller(
            "Memory ran out while problems were solved together: they were solved "
            f"{limit} at a time instead. The solution is the same; more memory or a smaller batch "
            "is faster.",
        )
    return solved


def _attempt(solve: Callable[[slice], Part], part: slice) -> Part | None:
    try:
        return solve(part)
    except (RuntimeError, MemoryError) as error:
        if part.stop - part.start < 2 or not _is_out_of_memory(error):
            raise
        return None


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(message in str(error) for message in _CPU_MESSAGES)
