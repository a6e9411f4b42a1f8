"""Statistics of components: those of the normalised rows, also where processes share the rows."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch

from sklearn_sparsedis.functional import centred_gram
from sklearn_sparsedis.functional._gram import centre_targets
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._component_statistics import component_statistics

N, SPLIT = 30, 11


def new_encoder(dtype=torch.float64):
    return Encoder(torch.nn.Identity(), torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype), 3)


def rows(offset, kind):
    g = torch.Generator().manual_seed(0)
    raw = offset + torch.randn(N, 3, generator=g, dtype=torch.float64) @ torch.randn(
        3, 3, generator=g, dtype=torch.float64
    )
    Y = offset + torch.randn(N, 4, generator=g, dtype=torch.float64)
    weights = None
    if kind != "none":
        weights = torch.rand((N, 4) if kind == "labels" else N, generator=g, dtype=torch.float64)
    if kind == "labels":
        weights = weights * (weights > 0.4)
        weights[:, 2] = 0  # a task without labels
    return raw, Y, weights


class Sums:
    """Sums of two threads' tensors, which keep the graphs of both."""

    def __init__(self):
        self.barrier, self.given, self.n_messages = Barrier(2), [None, None], [0, 0]

    def of(self, index):
        def total(tensor):
            self.n_messages[index] += 1
            self.given[index] = tensor
            self.barrier.wait(timeout=20)
            result = self.given[0] + self.given[1]
            self.barrier.wait(timeout=20)
            return result

        return total


def of_two(encoders, parts, y, weights, **options):
    """Statistics of the two threads, and how many sums they took."""
    slices, sums = (slice(0, SPLIT), slice(SPLIT, N)), Sums()

    def one(index):
        return component_statistics(
            encoders[index],
            parts[index],
            y,
            weights,
            part=lambda n: slices[index],
            total=sums.of(index),
            **options,
        )

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, (0, 1))), sums.n_messages


def loss(stats):
    """Some function of all moments but the targets'."""
    factors = [torch.arange(x.numel(), dtype=x.dtype).view_as(x) + 1 for x in stats[:2]]
    return sum((f * x).sum() for f, x in zip(factors, stats[:2], strict=True))


@pytest.mark.parametrize("kind", ["none", "rows", "labels"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("centred", [False, True])
def test_statistics_are_those_of_the_components(kind, offset, centred):
    raw, Y, weights = rows(offset, kind)
    if centred and kind == "labels":
        pytest.skip("tasks have weights of their own")
    raw.requires_grad_()
    row_weights = weights.mean(1) if kind == "labels" else weights
    tasks_first = weights.T if kind == "labels" else weights
    expected = centred_gram(new_encoder().normalise(raw, row_weights), Y.T, tasks_first)
    gradient = torch.autograd.grad(loss(expected), raw)[0]
    y = centre_targets(Y.T, weights) if centred else Y.T
    alone = component_statistics(new_encoder(), raw, y, tasks_first)
    together, n_messages = of_two(
        [new_encoder(), new_encoder()], (raw[:SPLIT], raw[SPLIT:]), y, tasks_first
    )
    assert n_messages == [2, 2]
    # the offset is represented to 1e-16 of it
    tolerance = {"rtol": 1e-11, "atol": 1e-13 + 1e-15 * offset}
    for found in (alone, *together):
        for name, value in expected._asdict().items():
            other = getattr(found, name).expand_as(value)
            np.testing.assert_allclose(other.detach(), value.detach(), **tolerance, err_msg=name)
        to_raw = torch.autograd.grad(loss(found), raw, retain_graph=True)[0]
        np.testing.assert_allclose(to_raw, gradient, rtol=1e-8, atol=1e-12 * max(1, offset))


def test_one_sum_is_enough_near_the_mean():
    raw, Y, _ = rows(1e4, "none")
    y = centre_targets(Y.T)
    encoders = [new_encoder(), new_encoder()]
    raw.requires_grad_()
    parts = (raw[:SPLIT], raw[SPLIT:])
    of_two(encoders, parts, y, None)
    # an encoder that has moved since
    moved = [part * 1.01 + 0.5 for part in parts]
    together, n_messages = of_two(encoders, moved, y, None, near=True)
    assert n_messages == [1, 1]
    expected = component_statistics(new_encoder(), raw * 1.01 + 0.5, y, None)
    gradient = torch.autograd.grad(loss(expected), raw)[0]
    for found in together:
        # the mean moved by some hundred deviations, whose squares cancel
        np.testing.assert_allclose(found.gram.detach(), expected.gram.detach(), atol=1e-10)
        np.testing.assert_allclose(found.corr.detach(), expected.corr.detach(), atol=1e-10)
        to_raw = torch.autograd.grad(loss(found), raw, retain_graph=True)[0]
        np.testing.assert_allclose(to_raw, gradient, atol=1e-8)


def test_the_normalisation_is_kept_on_request():
    raw, Y, _ = rows(0.0, "none")
    encoder = new_encoder().eval()
    with torch.no_grad():
        stats = component_statistics(encoder, raw, Y.T, None, calibrate=True)
    np.testing.assert_allclose(encoder.mean, raw.mean(0), rtol=1e-12)
    np.testing.assert_allclose(encoder.std, raw.std(0, correction=0), rtol=1e-12)
    again = component_statistics(encoder, raw, Y.T, None)
    np.testing.assert_allclose(again.gram, stats.gram, rtol=1e-12)


def test_what_is_constant_in_single_precision_has_deviation_one():
    raw, Y, _ = rows(0.0, "none")
    # a constant, up to its rounding
    raw[:, 0] = 1000 * (1 + 1e-7 * raw[:, 0])
    stats = component_statistics(new_encoder(torch.float32), raw.float().double(), Y.T, None)
    assert stats.gram[0, 0] < 1e-6
    np.testing.assert_allclose(stats.gram.diagonal()[1:], 1, rtol=1e-6)
