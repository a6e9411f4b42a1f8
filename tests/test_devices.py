"""The fake accelerator catches what it is there to catch."""

import pytest
import torch
from devices import FakeTensorMode, SyncCounter, fake_cuda


def test_a_cpu_tensor_among_the_accelerators_is_caught():
    with FakeTensorMode(), pytest.raises(RuntimeError, match=r"(?i)device"):
        fake_cuda(3) + torch.ones(3)


def test_a_read_is_counted():
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        if fake_cuda(3).sum() > 0:
            pytest.fail("the counter answers False")
    assert counter.count == 1
