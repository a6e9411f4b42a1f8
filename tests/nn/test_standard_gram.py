"""The moments of components in training, without the components."""

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.functional._gram import centre_targets
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.nn._component_statistics import component_statistics

SCALES = torch.tensor([1.0, 0.01, 100.0, 3.0]).double()


def raw_outputs(n=40):
    """Of different scales and means; the last column is constant."""
    generator = torch.Generator().manual_seed(0)
    varying = (
        torch.randn(n, 4, generator=generator).double()
        @ torch.randn(4, 4, generator=generator).double()
    )
    return torch.cat([5 + varying * SCALES, torch.full((n, 1), 7.0).double()], 1)


def an_encoder():
    ones = torch.ones(3).double()
    return Encoder(LinearNetwork(3, 5), 0 * ones, ones, 5)


def row_weights(kind, n=40):
    return {
        "none": None,
        "some": torch.linspace(0, 2, n).double(),
        "zero": torch.zeros(n).double(),
    }[kind]


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("kind", ["none", "some", "zero"])
def test_equal_those_of_the_components(kind, centred):
    raw, weights, encoder = raw_outputs().requires_grad_(), row_weights(kind), an_encoder()
    Y = torch.randn(2, 3, 40).double()
    y = centre_targets(Y, weights) if centred else Y
    some = None if kind == "zero" else weights  # which count as equal ones
    expected = centred_gram(encoder.normalise(raw, some), Y, some)
    found = component_statistics(encoder, raw, y, weights)
    directions = [torch.randn_like(expected.gram), torch.randn_like(expected.corr)]
    # rounding of columns that differ by 1e4 in scale
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), atol=1e-12)
    ours, theirs = (
        torch.autograd.grad([s.gram, s.corr], raw, directions)[0]
        / SCALES.new_tensor([*(1 / SCALES), 1.0])
        for s in (found, expected)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-11 * float(theirs.abs().max()))


def test_gradients_against_finite_differences():
    raw, Y = raw_outputs(12), torch.randn(3, 12).double()
    encoder, constant = an_encoder(), raw[:, 4:]

    def statistics(varying, targets):
        whole = torch.cat([varying * SCALES, constant], 1)
        return component_statistics(encoder, whole, targets, None)[:3]

    varying = (raw[:, :4] / SCALES).requires_grad_()
    assert torch.autograd.gradcheck(statistics, (varying, Y.requires_grad_()))


def test_float32_decides_what_is_constant_for_an_encoder_in_float32():
    raw = raw_outputs()
    raw[:, 0] = 1000 + 1e-3 * raw[:, 1]  # below what float32 tells from 1000
    encoder = an_encoder()
    assert component_statistics(encoder, raw, torch.zeros(1, 40).double(), None).gram[0, 0] > 0.99
    gram = component_statistics(encoder.float(), raw, torch.zeros(1, 40).double(), None).gram
    assert gram[0, 0] < 1e-3


def test_stays_on_the_device_without_a_look():
    with FakeTensorMode(allow_non_fake_inputs=True), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            encoder = Encoder(LinearNetwork(3, 5), fake_cuda(3), fake_cuda(3), 5)
        raw = fake_cuda(40, 5, requires_grad=True)
        found = component_statistics(encoder, raw, fake_cuda(3, 40), fake_cuda(40))
        (found.gram.sum() + found.corr.sum()).backward()
        assert raw.grad.device.type == ACCELERATOR
    assert counter.count == 0
