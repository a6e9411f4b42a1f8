"""Backbones for images: shapes, DropBlock, devices."""

import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda

from sklearn_sparsedis.nn import Conv4Network, ResNet12Network
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS, DropBlock


@pytest.mark.parametrize("network", [Conv4Network, ResNet12Network])
@pytest.mark.parametrize(
    ("shape", "positions"), [((28, 28), 1), ((8, 8), 1), ((32, 48, 3), 6), ((3, 5), 2)]
)
def test_features_are_channels_times_positions(network, shape, positions):
    encoder = network(shape, 20)
    n_pixels = torch.zeros(shape).numel()
    features = encoder(torch.randn(4, n_pixels))
    assert features.shape == (4, 20 * positions)


def test_the_papers_sizes():
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(ACCELERATOR):
        network = ResNet12Network((84, 84, 3), 640)
        assert network(torch.empty(2, 84 * 84 * 3)).shape == (2, 16_000)
    n_weights = sum(p.numel() for p in network.parameters() if p.ndim == 4)
    # three 3 x 3 convolutions and a 1 x 1 one a block
    pairs = ((3, 64), (64, 160), (160, 320), (320, 640))
    assert n_weights == sum(9 * (i * o + 2 * o * o) + i * o for i, o in pairs)


def test_images_are_laid_out_height_width_channel():
    network = Conv4Network((6, 4, 3), 5).eval()
    images = torch.randn(2, 6, 4, 3)
    expected = network.layers(images.permute(0, 3, 1, 2)).flatten(1)
    torch.testing.assert_close(network(images.flatten(1)), expected)


def test_drop_block_drops_blocks_at_its_rate_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropBlock(0.1, 3, n_steps=1)
    x = torch.ones(200, 20, 12, 12)
    y = drop(x)
    dropped = y == 0
    # blocks overlap now and then, so that slightly less than a tenth goes
    assert 0.085 < dropped.float().mean() < 0.1
    assert y.mean() == pytest.approx(1, abs=1e-4)
    # a dropped value lies in a whole dropped block
    from torch.nn.functional import avg_pool2d, max_pool2d

    whole = (avg_pool2d(dropped.float(), 3, stride=1) > 1 - 1e-6).float()
    covered = max_pool2d(torch.nn.functional.pad(whole, (2,) * 4), 3, stride=1) > 0
    assert (covered == dropped).all()


def test_drop_block_grows_and_rests_in_evaluation():
    torch.manual_seed(0)
    drop = DropBlock(0.2, 1, n_steps=10)
    x = torch.ones(100, 10, 8, 8)
    shares = [(drop(x) == 0).float().mean().item() for _ in range(12)]
    assert shares[0] == pytest.approx(0.02, abs=0.005)
    assert shares[4] == pytest.approx(0.1, abs=0.01)
    assert shares[11] == pytest.approx(0.2, abs=0.01)
    assert drop.eval()(x) is x


def test_the_mlp_starts_from_the_rows_distances():
    torch.manual_seed(0)
    network = EPISODE_ENCODERS["mlp"](6, 10, hidden_layer_sizes=(7,))
    x = torch.randn(9, 6)
    torch.testing.assert_close(torch.cdist(network(x), network(x)), torch.cdist(x, x))


def test_resnet_stays_on_the_device():
    with FakeTensorMode(allow_non_fake_inputs=True), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            network = ResNet12Network((28, 28), 64)
        features = network(fake_cuda(3, 784, dtype=torch.float32))
        features.sum().backward()
        assert features.device.type == ACCELERATOR
    assert counter.count == 0
