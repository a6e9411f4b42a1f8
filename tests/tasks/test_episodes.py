"""Episode samplers: what is drawn, how often, and what is refused."""

import numpy as np
import pytest
import torch

from sklearn_sparsedis.tasks._episodes import (
    EpisodeBatches,
    EpisodeSampler,
    feasible_sizes,
    quarter_turns,
)

COUNTS = (4, 7, 30, 5, 9, 6)
Y = np.repeat([f"c{i}" for i in range(6)], COUNTS)


def sampler(**options):
    return EpisodeSampler(Y, **{"n_way": 3, "n_shot": 1, "n_query": 3, "seed": 0, **options})


def test_rows_are_of_their_classes_and_come_once():
    episodes = sampler(n_shot=2, n_query=2).sample(50)
    assert episodes.support.shape == episodes.query.shape == (50, 6)
    for classes, support, query in zip(*episodes, strict=True):
        assert len(set(classes)) == 3
        np.testing.assert_array_equal(Y[support], classes[episodes.support_labels])
        np.testing.assert_array_equal(Y[query], classes[episodes.query_labels])
        assert len(set(support) | set(query)) == 12


def test_classes_are_drawn_equally_often_whatever_their_sizes():
    classes = sampler().sample(2000).classes
    shares = np.array([(classes == f"c{i}").any(1).mean() for i in range(6)])
    # standard error of a share of one half over 2000 episodes: 0.011
    np.testing.assert_allclose(shares, 0.5, atol=0.05)


def test_equal_seeds_give_equal_sequences():
    a, b, c = sampler(), sampler(), sampler(seed=1)
    for _ in range(2):
        first, second = a.sample(5), b.sample(5)
        np.testing.assert_array_equal(first.support, second.support)
    assert not np.array_equal(first.support, c.sample(5).support)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_way": 1}, "n_way must be at least 2"),
        ({"n_shot": 0}, "n_shot must be at least 1"),
        ({"n_query": 0}, "n_query must be at least 1"),
        ({"n_shot": 3}, r"n_shot \+ n_query = 3 \+ 3 = 6 rows; 2 of 6 .* c0 \(4\), c3 \(5\)"),
        ({"n_way": 7}, "n_way=7 classes .* y has 6 classes"),
        ({"n_way": 6, "n_shot": 3, "small_classes": "drop"}, "n_way=6 .* y has 4 classes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sampler(**options)


def test_small_classes_can_be_left_out():
    episodes = sampler(n_shot=3, small_classes="drop").sample(100)
    assert set(episodes.classes.ravel()) == {"c1", "c2", "c4", "c5"}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((30, 30, 30, 30, 30), (5, 5, 10)),
        ((30, 30), (2, 5, 10)),
        ((8, 8, 8, 8, 8, 1), (5, 5, 3)),
        ((8, 8, 8, 8, 3), (5, 2, 1)),
        ((40, 40, 40, 40, 40, 2), (5, 5, 10)),
    ],
)
def test_sizes_are_reduced_to_what_the_classes_allow(counts, expected):
    assert feasible_sizes(np.array(counts), 5, 5, 10) == expected


@pytest.mark.parametrize("counts", [(9, 1, 1), (1, 1), (5,)])
def test_episodes_need_two_classes_of_two_rows(counts):
    with pytest.raises(ValueError, match="at least two classes with two rows"):
        feasible_sizes(np.array(counts), 5, 5, 10)


def test_quarter_turns_are_those_of_numpy():
    images = np.random.default_rng(0).random((3, 4, 4, 2))
    turns = quarter_turns((4, 4, 2))
    rows = torch.from_numpy(images.reshape(3, -1))
    for turn in range(4):
        expected = np.rot90(images, turn, axes=(1, 2)).reshape(3, -1)
        np.testing.assert_array_equal(rows[:, turns[turn]].numpy(), expected)


@pytest.mark.parametrize("turned", [False, True])
def test_batches_hold_rows_of_one_class_and_one_turn(turned):
    # pixel values tell the class; the marked corner tells the turn
    y = np.arange(5).repeat(4)
    images = np.zeros((20, 3, 3)) + y[:, None, None]
    images[:, 0, 0] += 100
    X = torch.from_numpy(images.reshape(20, -1))
    batches = EpisodeBatches(
        X,
        y,
        n_way=3,
        n_shot=1,
        n_query=2,
        episodes_per_batch=4,
        n_batches=30,
        n_total=40,
        seed=0,
        turns=quarter_turns((3, 3)) if turned else None,
    )
    drawn = list(batches)
    assert (len(drawn), len(batches), len(list(batches)), len(batches)) == (30, 10, 10, 0)
    corners = set()
    for batch in drawn:
        labels = torch.cat([batch.support_labels, batch.query_labels])
        value, corner = batch.X[:, :, 4], batch.X.argmax(-1)
        corners |= set(corner.flatten().tolist())
        for episode in range(4):
            pairs = torch.stack([value[episode], corner[episode].double()], 1)
            by_class = [pairs[labels == k].unique(dim=0) for k in range(batch.n_way)]
            assert [len(p) for p in by_class] == [1, 1, 1]
            assert len(pairs.unique(dim=0)) == 3
    assert corners == ({0, 2, 6, 8} if turned else {0})
