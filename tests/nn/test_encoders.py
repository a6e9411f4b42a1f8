"""Networks, and the normalisation around them."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.nn import ConvNetwork, Encoder
from sklearn_sparsedis.nn._encoders import column_moments
from sklearn_sparsedis.nn._networks import ENCODERS


def test_conv_is_the_papers_network_on_its_images():
    network = ConvNetwork((64, 64, 3), 6)
    convolutions = [layer for layer in network.layers if isinstance(layer, torch.nn.Conv2d)]
    sizes = [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions]
    assert sizes == [(3, 32, 4), (32, 32, 4), (32, 64, 2), (64, 64, 2)]
    assert network(torch.zeros(2, 64 * 64 * 3)).shape == (2, 6)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (12, 30, 3), (2, 2)])
def test_conv_fits_the_images(shape):
    n_features = int(np.prod(shape))
    network = ENCODERS["conv"](n_features, 5, input_shape=shape)
    assert network(torch.zeros(3, n_features)).shape == (3, 5)


def test_conv_reads_rows_as_height_width_channels():
    network = ConvNetwork((8, 8, 3), 2)
    images = torch.randn(4, 8, 8, 3)
    seen = []
    network.layers[0].register_forward_hook(lambda layer, args, out: seen.append(args[0]))
    network(images.reshape(4, -1))
    np.testing.assert_array_equal(seen[0], images.permute(0, 3, 1, 2))


@pytest.mark.parametrize("weighted", [False, True])
def test_components_have_mean_zero_and_variance_one(weighted):
    X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3 + 2
    weight = torch.arange(50).float() if weighted else None
    encoder = Encoder(torch.nn.Linear(4, 2), torch.zeros(4), torch.ones(4), 2)
    Z = encoder(X, weight).detach().double().numpy()
    share = np.full(50, 1 / 50) if weight is None else np.arange(50) / np.arange(50).sum()
    np.testing.assert_allclose(share @ Z, 0, atol=1e-6)
    np.testing.assert_allclose(share @ Z**2, 1, rtol=1e-5)
    encoder.calibrate(encoder.raw(X).detach(), weight)
    np.testing.assert_allclose(encoder.eval()(X).detach(), Z, atol=1e-5)


def test_a_constant_column_has_deviation_one():
    x = torch.tensor([[1e8, 0.0, 1.0], [1e8, 0.0, 3.0]], dtype=torch.float64)
    mean, std = column_moments(x)
    np.testing.assert_array_equal(mean, [1e8, 0, 2])
    np.testing.assert_array_equal(std, [1, 1, 1])
