"""The only function through which code on a device waits for it.

Reading a tensor's value empties an accelerator's queue, so solvers do it once per block of
iterations and only through this function: tests count its calls.
"""

from torch import Tensor


def any_true(mask: Tensor) -> bool:
    """Return True if any element of a bool tensor is True; this synchronises with the host."""
    return bool(mask.any())
