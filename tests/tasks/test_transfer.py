"""Transfers from the host."""

import pytest
import torch

from sklearn_sparsedis.tasks._transfer import send


class Recorder:
    """Stands for a tensor and writes down what is asked of it."""

    def __init__(self, device):
        self.device = torch.device(device)
        self.asked = []

    def pin_memory(self):
        self.asked.append("pinned")
        return self

    def to(self, device, **options):
        self.asked.append((str(device), options))
        return self


@pytest.mark.parametrize(
    ("source", "target", "asked"),
    [
        ("cpu", "cuda", ["pinned", ("cuda", {"non_blocking": True})]),
        ("cuda", "cuda", [("cuda", {})]),
        ("cpu", "cpu", [("cpu", {})]),
        ("cpu", "mps", [("mps", {})]),
    ],
)
def test_the_host_waits_for_no_transfer_to_cuda(source, target, asked):
    assert send(Recorder(source), torch.device(target)).asked == asked


def test_a_tensor_on_its_device_stays_what_it_is():
    tensor = torch.ones(3)
    assert send(tensor, torch.device("cpu")) is tensor


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_values_arrive():
    tensor = torch.randn(1000)
    assert torch.equal(send(tensor, torch.device("cuda")).cpu(), tensor)
