"""The outer objective of few-shot learning: how well heads of small episodes classify queries."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._episode_heads import START_SCALES, EpisodeHeads, FewShotHead
from sklearn_sparsedis.tasks._episodes import EpisodeBatch, Episodes
from sklearn_sparsedis.training._encode import encode

__all__ = ["EpisodeObjective", "HeldOutEpisodes", "fit_episodes"]

# values of features that a chunk of episodes may hold outside training
CHUNK_VALUES = 2**22
# the scale's logarithm moves this much faster than the encoder's parameters
SCALE_RATE = 10.0
# the search for a scale halves the interval between these logarithms so often
LARGEST_LOG_SCALE, N_HALVINGS = 8.0, 30


class HeldOutEpisodes(NamedTuple):
    """Rows of classes that are not trained on, and fixed episodes of them."""

    X: Tensor
    episodes: Episodes


def _is_frozen(layer: nn.Module) -> bool:
    parameters = list(layer.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


class EpisodeObjective(nn.Module):
    r"""theta -> mean cross-entropy of the query rows under the heads of their episodes.

    .. math:: \min_{\theta, \gamma} \frac1E \sum_e CE(\gamma\, s_e(g_\theta(X^q_e)), y^q_e)

    with smoothed labels, where s_e are the scores of the head that solves episode e's inner problem
    on its support rows and gamma is a learned scale.

    Parameters
    ----------
    encoder : Encoder
        Trained in place; its raw outputs are the features.
    head : FewShotHead
        Inner problem of every episode.
    label_smoothing : float
        Share of a query's label that is spread over all classes.
    """

    # shares of the steps with heads that have no zeros, and until the group penalty is what is
    # asked for
    dense_share, annealed_share = 0.8, 0.9
    convex = True

    def __init__(self, encoder: Encoder, head: FewShotHead, label_smoothing: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.training_head = head
        self.ranks = Ranks.joined()
        self.label_smoothing = label_smoothing
        self.log_scale = nn.Parameter(encoder.center.new_zeros(()))
        self._frozen = [layer for layer in encoder.network.modules() if _is_frozen(layer)]

    @property
    def scale(self) -> Tensor:
        """Factor of the head's scores in the softmax."""
        return self._scale_of(self.head)

    def _scale_of(self, head: FewShotHead) -> Tensor:
        return START_SCALES[head.kind] * (SCALE_RATE * self.log_scale).exp()

    def anneal(self, progress: float) -> None:
        """Set the heads in training for a share `progress` of all steps done.

        A feature that no head uses gets no gradient. So training starts with ridge heads, which
        cost little, and then the group penalty grows from zero: features are switched off after
        they had the chance to learn something.
        """
        if progress < self.dense_share:
            self.training_head = replace(self.head, kind="ridge")
            return
        share = (progress - self.dense_share) / (self.annealed_share - self.dense_share)
        self.training_head = replace(self.head, group_reg=min(1.0, share) * self.head.group_reg)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; layers whose parameters are all frozen keep their statistics as well."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def forward(self, batch: EpisodeBatch) -> Tensor:
        """This rank's share of the mean loss over the episodes of a batch."""
        X = batch.X[self.ranks.part(len(batch.X))]
        scores, labels = self._scores(X, batch)
        scale = self._scale_of(self.training_head)
        loss = cross_entropy(scale * scores, labels, label_smoothing=self.label_smoothing)
        return loss if self.ranks.size == 1 else loss * (len(X) / len(batch.X))

    def _scores(self, X: Tensor, batch: EpisodeBatch) -> tuple[Tensor, Tensor]:
        """Scores of the query rows of episodes of a batch, not scaled, and their classes."""
        features = self.encoder.raw(X.flatten(0, 1)).unflatten(0, X.shape[:2])
        n_support = len(batch.support_labels)
        support, query = features[:, :n_support], features[:, n_support:]
        heads = self.training_head.fit(support, batch.support_labels, batch.n_way)
        return heads.scores(query).flatten(0, 1), batch.query_labels.repeat(len(features))

    @torch.no_grad()
    def fit_scale(self, batches: Iterable[EpisodeBatch]) -> None:
        """Set the scale to the best one for an encoder that stays as it is.

        The loss is convex in it; a search over its logarithm halves an interval.
        """
        self.eval()
        self.training_head = self.head
        found = [self._scores(batch.X, batch) for batch in batches]
        scores, labels = (torch.cat(part) for part in zip(*found, strict=True))
        low, high = -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            factor = START_SCALES[self.head.kind] * math.exp(middle)
            chances = (factor * scores).softmax(-1)
            target = self.label_smoothing / scores.shape[-1] + (1 - self.label_smoothing) * one_hot(
                labels, scores.shape[-1]
            ).to(scores)
            rises = bool(((chances - target) * scores).sum() > 0)
            low, high = (low, middle) if rises else (middle, high)
        self.log_scale.fill_((low + high) / 2 / SCALE_RATE)

    @torch.no_grad()
    def held_out_loss(self, held_out: HeldOutEpisodes) -> float:
        """Mean cross-entropy, without smoothing, on fixed episodes of held-out classes."""
        training = self.training
        self.eval()
        n = len(held_out.X)
        features = encode(self.encoder.raw, held_out.X, self.ranks.part(n))
        features = self.ranks.join(features, n)
        episodes = held_out.episodes
        labels = torch.from_numpy(episodes.query_labels).to(features.device)
        total = 0.0
        for part, _, scores in fit_episodes(self.head, features, episodes):
            scores = (self.scale * scores).flatten(0, 1)
            total += float(cross_entropy(scores, labels.repeat(len(part)))) * len(part)
        self.train(training)
        return total / len(episodes.support)


def fit_episodes(
    head: FewShotHead, features: Tensor, episodes: Episodes
) -> list[tuple[NDArray[np.int64], EpisodeHeads, Tensor]]:
    """Heads of episodes on rows that are encoded already.

    Parameters
    ----------
    head : FewShotHead
        Inner problem.
    features : Tensor of shape (n, m)
        Features of all rows.
    episodes : Episodes
        Which rows make up each episode.

    Returns
    -------
    list of (indices of the chunk's episodes, heads, scores of the queries (e, n_query, n_way))
    """
    n_way = episodes.classes.shape[1]
    labels = torch.from_numpy(episodes.support_labels).to(features.device)
    rows = episodes.support.shape[1] + episodes.query.shape[1]
    n_chunks = math.ceil(len(episodes.support) * rows * features.shape[1] / CHUNK_VALUES)
    found = []
    for part in np.array_split(np.arange(len(episodes.support)), max(1, n_chunks)):
        if not len(part):
            continue
        support, query = (
            features[torch.from_numpy(index[part]).to(features.device)]
            for index in (episodes.support, episodes.query)
        )
        heads = head.fit(support, labels, n_way)
        found.append((part, heads, heads.scores(query)))
    return found
