"""Encoder, meta-training and heads of GroupLassoSVMMetaClassifier."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearn_sparsedis._distributed import Ranks
from sklearn_sparsedis.estimators._agreement import agree
from sklearn_sparsedis.estimators._base import Identity
from sklearn_sparsedis.estimators._checkpoints import open_record
from sklearn_sparsedis.estimators._encoders import check_started, not_applicable, users_network
from sklearn_sparsedis.estimators._episode_settings import EpisodeSettings
from sklearn_sparsedis.estimators._settings import EncoderSettings
from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.inputs._parameters import check_device, draw_seed
from sklearn_sparsedis.inputs._tensors import to_tensor
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._embeddings import EMBEDDING_ENCODERS, UnitLength
from sklearn_sparsedis.nn._encoders import column_moments
from sklearn_sparsedis.nn._episode_heads import SPARSE_HEADS, EpisodeHeads
from sklearn_sparsedis.nn._generators import diverted_draws, seeded
from sklearn_sparsedis.nn._image_encoders import EPISODE_ENCODERS
from sklearn_sparsedis.nn._networks import build_network, image_shape
from sklearn_sparsedis.tasks._episodes import (
    EpisodeBatches,
    EpisodeSampler,
    feasible_sizes,
    quarter_turns,
)
from sklearn_sparsedis.training._discriminants import discriminants
from sklearn_sparsedis.training._encode import encode
from sklearn_sparsedis.training._episodes import EpisodeObjective, HeldOutEpisodes
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._train import TrainingPlan, train

__all__ = [
    "FittedMetaEncoder",
    "check_features",
    "encode_array",
    "fit_meta_encoder",
    "fold_center",
]

N_VALIDATION_EPISODES = 200
# Number of evaluations on held-out classes during a full training.
N_EVALUATIONS = 25
PATIENCE = 10
# Batches on which the scale of the scores is fitted after training.
BATCHES_FOR_SCALE = 40
# Classes that rotations make of one.
N_TURNS = 4
SHARED_SCALE = ("conv", "conv4", "resnet12")


@dataclass(frozen=True)
class FittedMetaEncoder:
    """A trained encoder on the CPU, in evaluation mode, its scale and its training's record."""

    encoder: Encoder
    scale: float
    run: TrainingRun
    sizes: tuple[int, int, int]


def fit_meta_encoder(
    settings: EpisodeSettings,
    identity: Identity,
    X: NDArray[Any],
    y: NDArray[np.int64],
    started: Encoder | None,
    watching: Sequence[Callback] = (),
) -> FittedMetaEncoder:
    """Train an encoder on episodes of rows X of classes y, the best of `n_init` runs.

    A training that goes on from `started` is one run. The callbacks in `watching` are told of all
    trainings, beside those of the settings.
    """
    fixed = _is_fixed(settings.encoder.encoder)
    # n_components does not apply to a user's module, and is a bound where nothing is trained
    if isinstance(settings.encoder.encoder, str) and not fixed:
        check_started(started, settings.encoder.n_components)
    n_way, n_shot, n_query = _sizes(settings, np.bincount(y))
    n_rows = len(y) * (N_TURNS if settings.rotations else 1)
    drawn_rows = settings.episodes_per_batch * n_way * (n_shot + n_query)
    settings = settings.with_budget(n_rows, drawn_rows)
    drawn = agree(identity, {"X": X, "y": y}, draw_seed(settings.training.random_state))
    if Ranks.joined().size > settings.episodes_per_batch:
        raise ValueError(
            f"episodes_per_batch must be at least the number of ranks, {Ranks.joined().size}, got "
            f"{settings.episodes_per_batch}: each of them takes part of the episodes of a step."
        )
    random = np.random.RandomState(drawn)
    seed, *more_seeds = random.randint(2**31 - 1, size=settings.training.n_init).tolist()
    held_out = np.zeros(0) if fixed else _held_out_classes(settings, np.bincount(y), random)
    kept = ~np.isin(y, held_out)
    rows, labels = to_tensor(X[kept]), np.unique(y[kept], return_inverse=True)[1]
    episodes = _held_out_episodes(settings, X[~kept], y[~kept], seed)
    seeds = [seed, *more_seeds] if started is None and not fixed else [seed]
    record = open_record(identity, {"X": X, "y": y}, drawn, started)
    anneal = started is None and settings.head.kind in SPARSE_HEADS
    plan = settings.training.plan(PATIENCE, watching, record=record, anneal=anneal)
    runs = [_run(settings, rows, labels, episodes, started, plan, seed) for seed in seeds]
    best = min(runs, key=_final_loss)
    return _turned(settings, best, X, y, seed) if settings.discriminants else best


def _turned(
    settings: EpisodeSettings,
    fitted: FittedMetaEncoder,
    X: NDArray[Any],
    y: NDArray[np.int64],
    seed: int,
) -> FittedMetaEncoder:
    """The encoder with its features turned to discriminants of all classes, and its new scale."""
    features = encode_array(fitted.encoder, X, check_device(settings.training.device))
    matrix = discriminants(features, y, features.shape[1], np.random.RandomState(seed))
    n_way, n_shot, n_query = feasible_sizes(
        np.bincount(y), settings.n_way, settings.n_shot, settings.n_query
    )
    batches = EpisodeBatches(
        features @ matrix.T,
        y,
        n_way=n_way,
        n_shot=n_shot,
        n_query=n_query,
        episodes_per_batch=settings.episodes_per_batch,
        n_batches=BATCHES_FOR_SCALE,
        n_total=BATCHES_FOR_SCALE,
        seed=seed,
    )
    zero = features.new_zeros(len(matrix))
    given = Encoder(nn.Identity(), zero, torch.ones_like(zero), len(matrix))
    objective = EpisodeObjective(given, settings.head, float(settings.label_smoothing))
    objective.fit_scale(batches)
    encoder = fitted.encoder.in_basis(matrix).eval()
    return replace(fitted, encoder=encoder, scale=float(objective.scale.detach()))


def _final_loss(fitted: FittedMetaEncoder) -> float:
    """Best loss on held-out classes; without these, the mean loss of the last quarter of steps."""
    losses = fitted.run.losses
    if fitted.run.held_out_losses:
        return min(fitted.run.held_out_losses)
    return float(np.mean(losses[-max(1, len(losses) // 4) :])) if losses else 0.0


def _run(
    settings: EpisodeSettings,
    rows: Tensor,
    labels: NDArray[np.int64],
    held_out: HeldOutEpisodes | None,
    started: Encoder | None,
    plan: TrainingPlan,
    seed: int,
) -> FittedMetaEncoder:
    turns = _turns(settings, rows.shape[1])
    sizes = _sizes(settings, np.bincount(labels))
    device = plan.device
    with seeded(seed):
        encoder = (
            _new_encoder(settings, rows, labels, seed)
            if started is None
            else copy.deepcopy(started).in_basis(None).to(rows.dtype)
        )
        objective = EpisodeObjective(encoder, settings.head, float(settings.label_smoothing))
        batches = EpisodeBatches(
            rows.to(device),
            labels,
            **dict(zip(("n_way", "n_shot", "n_query"), sizes, strict=True)),
            episodes_per_batch=settings.episodes_per_batch,
            n_batches=max(1, math.ceil(settings.training.max_iter / N_EVALUATIONS)),
            n_total=settings.training.max_iter,
            seed=seed,
            turns=None if turns is None else turns.to(device),
        )
        if settings.training.max_iter and not _can_learn(encoder.network):
            objective.to(device).fit_scale(batches)
            plan, held_out = replace(plan, max_iter=0), None
        evaluate = None
        if held_out is not None:
            judged = held_out._replace(X=held_out.X.to(device))
            evaluate = partial(EpisodeObjective.held_out_loss, held_out=judged)
        run = train(objective, batches, plan, evaluate)
    objective.eval()
    scale = float(objective.scale.detach())
    if not 0 < scale < np.inf:
        raise DivergenceError(
            f"Training diverged: the scale of the scores came to {scale}. Lower learning_rate; the "
            "estimator is unchanged."
        )
    return FittedMetaEncoder(objective.encoder, scale, run, sizes)


def _sizes(settings: EpisodeSettings, counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """Ways, shots and queries of episodes of classes of so many rows."""
    turned = counts.repeat(N_TURNS) if settings.rotations else counts
    return feasible_sizes(turned, settings.n_way, settings.n_shot, settings.n_query)


def _turns(settings: EpisodeSettings, n_features: int) -> Tensor | None:
    if not settings.rotations:
        return None
    shape = image_shape(str(settings.encoder.encoder), n_features, settings.encoder.input_shape)
    if shape[0] != shape[1]:
        raise ValueError(
            f"rotations=True needs square images, got input_shape={tuple(shape)}. Pad them, or "
            "leave rotations out."
        )
    return quarter_turns(shape)


def _held_out_classes(
    settings: EpisodeSettings, counts: NDArray[np.int64], random: np.random.RandomState
) -> NDArray[np.int64]:
    """Classes on which the best encoder is chosen; none if there are too few."""
    usable = np.flatnonzero(counts >= 2)
    n_held_out = round(settings.training.validation_fraction * len(usable))
    if settings.training.early_stopping == "auto":
        enough = settings.n_way <= min(n_held_out, len(usable) - n_held_out)
        n_held_out = n_held_out if enough and settings.training.max_iter else 0
    elif settings.training.early_stopping:
        n_held_out = max(2, n_held_out)
        if len(usable) - n_held_out < 2:
            raise ValueError(
                f"early_stopping=True holds out {n_held_out} classes, but y has {len(usable)} "
                "classes of at least two rows, of which two must be left. Set "
                'early_stopping="auto" or lower validation_fraction.'
            )
    else:
        n_held_out = 0
    return random.permutation(usable)[:n_held_out]


def _held_out_episodes(
    settings: EpisodeSettings, X: NDArray[Any], y: NDArray[np.int64], seed: int
) -> HeldOutEpisodes | None:
    if not len(X):
        return None
    counts = np.unique(y, return_counts=True)[1]
    n_way, n_shot, n_query = feasible_sizes(
        counts, settings.n_way, settings.n_shot, settings.n_query
    )
    sampler = EpisodeSampler(
        y, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed, small_classes="drop"
    )
    return HeldOutEpisodes(to_tensor(X), sampler.sample(N_VALIDATION_EPISODES))


def _is_fixed(encoder: Any) -> bool:
    """Return True for an encoder in which nothing is trained by steps."""
    if isinstance(encoder, nn.Module):
        return not _can_learn(encoder)
    return isinstance(encoder, str) and encoder in EMBEDDING_ENCODERS


def _can_learn(network: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in network.parameters())


def _embedding_encoder(
    settings: EncoderSettings, X: Tensor, y: NDArray[np.int64], seed: int
) -> Encoder:
    """Encoder of rows less their mean: at unit length, and perhaps in a basis of the classes."""
    matrix, n_features = None, X.shape[1]
    center = X.mean(0)
    if settings.encoder == "discriminant":
        rows = UnitLength()(X - center)
        matrix = discriminants(rows, y, settings.n_components, np.random.RandomState(seed))
    n_components = n_features if matrix is None else len(matrix)
    network = build_network(
        EPISODE_ENCODERS,
        settings.encoder,
        n_features,
        n_components,
        hidden_layer_sizes=settings.hidden_layer_sizes,
        input_shape=None,
    ).to(X.dtype)
    if matrix is not None:
        network.matrix = matrix.to(X)
    return Encoder(network, center, X.new_ones(n_features), n_components)


def _new_encoder(settings: EpisodeSettings, X: Tensor, y: NDArray[np.int64], seed: int) -> Encoder:
    n_features = X.shape[1]
    if isinstance(settings.encoder.encoder, str) and _is_fixed(settings.encoder.encoder):
        return _embedding_encoder(settings.encoder, X, y, seed)
    center, scale = X.new_zeros(n_features), X.new_ones(n_features)
    if isinstance(settings.encoder.encoder, str):
        network = build_network(
            EPISODE_ENCODERS,
            settings.encoder.encoder,
            n_features,
            settings.encoder.n_components,
            hidden_layer_sizes=settings.encoder.hidden_layer_sizes,
            input_shape=settings.encoder.input_shape,
        )
        center, scale = column_moments(X)
        if settings.encoder.encoder in SHARED_SCALE or settings.encoder.input_shape is not None:
            center = center.mean().expand(n_features)
            spread = X.std()
            scale = torch.where(spread > 0, spread, 1).expand(n_features)
    else:
        network = users_network(
            settings.encoder.encoder,
            n_features,
            settings.encoder.n_components,
            settings.encoder.input_shape,
        )
    network = network.to(X.dtype)
    n_components = _n_outputs(network, X[:2])
    return Encoder(network, center.clone(), scale.clone(), n_components)


def _n_outputs(network: nn.Module, rows: Tensor) -> int:
    network.eval()
    try:
        with torch.no_grad(), diverted_draws():
            output = network(rows)
    except RuntimeError as error:
        raise not_applicable(rows, error) from error
    network.train()
    if output.ndim != 2 or len(output) != len(rows):
        raise ValueError(
            "encoder must map rows to vectors: it gave an output of shape "
            f"{tuple(output.shape)} for {len(rows)} rows. End it with nn.Flatten()."
        )
    return output.shape[1]


def encode_array(encoder: Encoder, X: NDArray[Any], device: torch.device) -> Tensor:
    """Encode rows to features in float64 on the CPU; the fitted encoder stays on its device."""
    if device.type != "cpu":
        encoder = copy.deepcopy(encoder).to(device)
    with torch.no_grad(), seeded(0):
        rows = to_tensor(X).to(encoder.mean.dtype)
        return encode(encoder.raw, rows.to(device)).cpu().double()


def check_features(features: Tensor, dtype: torch.dtype) -> None:
    """Raise an error if squares of features overflow in the dtype of their encoder."""
    if not bool((features.abs() < 0.1 * torch.finfo(dtype).max ** 0.5).all()):
        raise DivergenceError(
            "The encoder's features of these rows are too large or not finite. Lower "
            "learning_rate, or check X for extreme values; the estimator is unchanged."
        )


def fold_center(heads: EpisodeHeads) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (k, m) and intercepts (k,) of one head for features that are not centred."""
    intercept = heads.intercept[0] - heads.center[0] @ heads.coef
    return heads.coef.mT.numpy().copy(), intercept.numpy()
