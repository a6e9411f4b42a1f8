"""The one place where device code waits for the host.

Reading a tensor's value stops an accelerator's queue, so solvers do it once per block of
iterations and only through this function: tests count its calls.
"""

from torch import Tensor


def any_true(mask: Tensor) -> bool:
    """Whether any element of a bool tensor is True (one host synchronisation)."""
    return bool(mask.any())
