"""An accelerator that is not there, and a counter of host synchronisations.

Under `FakeTensorMode` tensors on the device "meta" stand for an accelerator's: only shapes flow,
mixing devices raises, and autograd works, which on the fake device "cuda" it does not unless torch
was built with CUDA. Reading a value is what such a tensor cannot do, so `SyncCounter` answers
instead: each read is counted and returns the value given.
"""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

ACCELERATOR = "meta"


class SyncCounter(TorchDispatchMode):
    """Count reads of a tensor's value by the host.

    Parameters
    ----------
    answer : None, bool, int or float
        What a read returns instead of the value; None reads the value itself.
    """

    def __init__(self, answer=None):
        super().__init__()
        self.answer = answer
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
            if self.answer is not None:
                return self.answer
        return func(*args, **(kwargs or {}))


def fake_cuda(*shape, dtype=torch.float64, requires_grad=False):
    """Tensor on the accelerator that is not there; call it under `FakeTensorMode`."""
    return torch.empty(*shape, dtype=dtype, device=ACCELERATOR, requires_grad=requires_grad)


__all__ = ["ACCELERATOR", "FakeTensorMode", "SyncCounter", "fake_cuda"]
