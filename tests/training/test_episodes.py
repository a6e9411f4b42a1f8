"""The few-shot objective: its value, its gradient, devices and host synchronisations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from torch.nn.functional import cross_entropy

from sklearn_sparsedis.nn import Conv4Network, Encoder, LinearNetwork
from sklearn_sparsedis.nn._episode_heads import EPISODE_HEADS, FewShotHead
from sklearn_sparsedis.tasks._episodes import EpisodeBatch, EpisodeSampler
from sklearn_sparsedis.training._episodes import EpisodeObjective, HeldOutEpisodes

# reads by the host in a training step: the checks of the SVMs' arguments, then one a block of
# iterations of their solver, which stops at once when it is told that nothing is left to do
LIMITS = {"prototype": 0, "ridge": 0, "logistic": 1}
LIMITS |= {"svm": 4, "group_lasso_svm": 4, "sparse_prototype": 4}


def objective(kind="group_lasso_svm", n_features=6):
    torch.manual_seed(0)
    encoder = Encoder(
        LinearNetwork(n_features, 5).double(),
        torch.zeros(n_features, dtype=torch.float64),
        torch.ones(n_features, dtype=torch.float64),
        5,
    )
    return EpisodeObjective(encoder, FewShotHead(kind, group_reg=0.0, tol=1e-12), 0.1)


def batch(n_episodes=3):
    generator = torch.Generator().manual_seed(1)
    support, query = torch.arange(3).repeat_interleave(2), torch.arange(3).repeat_interleave(4)
    X = torch.randn(n_episodes, 18, 6, generator=generator, dtype=torch.float64)
    return EpisodeBatch(X, support, query, 3)


def test_loss_is_that_of_the_episodes_one_by_one():
    model, episodes = objective(), batch()
    losses = []
    for X in episodes.X:
        features = model.encoder.raw(X)
        heads = model.head.fit(features[:6], episodes.support_labels, 3)
        scores = model.scale * heads.scores(features[6:])
        losses.append(cross_entropy(scores, episodes.query_labels, label_smoothing=0.1))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(model(episodes), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", sorted(EPISODE_HEADS))
def test_gradient_of_the_encoder_is_that_of_finite_differences(kind):
    model, episodes = objective(kind), batch()
    weight = model.encoder.network.linear.weight
    model(episodes).backward()
    direction = torch.randn(weight.shape, dtype=torch.float64)
    slope = (weight.grad * direction).sum()
    values = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            weight += step * direction
            values.append(model(episodes))
            weight -= step * direction
    torch.testing.assert_close(slope, (values[0] - values[1]) / 2e-5, rtol=1e-4, atol=1e-7)
    assert model.log_scale.grad.abs() > 0


def test_the_group_penalty_grows_in_training_only_and_after_ridge_heads():
    model, episodes = objective(), batch()
    model.head = replace(model.head, group_reg=0.6)
    found = []
    for progress in (0.0, 0.79, 0.8, 0.85, 0.9, 1.0):
        model.anneal(progress)
        head = model.training_head
        found.append((head.kind, head.group_reg if head.kind == "group_lasso_svm" else 0.0))
        reference = objective(head.kind)
        reference.training_head = replace(model.head, kind=head.kind, group_reg=found[-1][1])
        torch.testing.assert_close(model(episodes), reference(episodes))
    kinds, strengths = zip(*found, strict=True)
    assert kinds == ("ridge",) * 2 + ("group_lasso_svm",) * 4
    np.testing.assert_allclose(strengths, [0.0, 0.0, 0.0, 0.3, 0.6, 0.6])
    assert model.head.kind == "group_lasso_svm"
    assert model.head.group_reg == 0.6


def test_held_out_loss_does_not_change_the_module():
    model = objective()
    y = np.arange(4).repeat(10)
    X = torch.randn(40, 6, dtype=torch.float64)
    episodes = EpisodeSampler(y, n_way=3, n_shot=2, n_query=3, seed=0).sample(20)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    loss = model.held_out_loss(HeldOutEpisodes(X, episodes))
    assert model.training
    assert np.isfinite(loss)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_held_out_loss_in_chunks(monkeypatch):
    model = objective()
    y = np.arange(4).repeat(10)
    episodes = EpisodeSampler(y, n_way=3, n_shot=2, n_query=3, seed=0).sample(20)
    held_out = HeldOutEpisodes(torch.randn(40, 6, dtype=torch.float64), episodes)
    whole = model.held_out_loss(held_out)
    module = __import__("sklearn_sparsedis.training._episodes", fromlist=["x"])
    monkeypatch.setattr(module, "CHUNK_VALUES", 500)
    monkeypatch.setattr("sklearn_sparsedis.training._encode.CHUNK", 7)
    assert model.held_out_loss(held_out) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("kind", sorted(EPISODE_HEADS))
def test_training_step_stays_on_the_device(kind):
    with FakeTensorMode(allow_non_fake_inputs=True), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            network = Conv4Network((8, 8), 16)
            moments = (fake_cuda(64, dtype=torch.float32) for _ in range(2))
            model = EpisodeObjective(Encoder(network, *moments, 16), FewShotHead(kind), 0.1)
        labels = torch.arange(10, device=ACCELERATOR) // 2
        episodes = EpisodeBatch(fake_cuda(4, 20, 64, dtype=torch.float32), labels, labels, 5)
        loss = model(episodes)
        loss.backward()
        assert loss.device.type == ACCELERATOR
        assert network.layers[0].weight.grad.device.type == ACCELERATOR
    assert counter.count <= LIMITS[kind]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", sorted(EPISODE_HEADS))
def test_cuda_gives_the_same_loss(kind):
    model, episodes = objective(kind), batch()
    expected = model(episodes)
    moved = EpisodeBatch(
        episodes.X.cuda(), episodes.support_labels.cuda(), episodes.query_labels.cuda(), 3
    )
    torch.testing.assert_close(model.cuda()(moved).cpu(), expected, rtol=1e-6, atol=1e-8)
