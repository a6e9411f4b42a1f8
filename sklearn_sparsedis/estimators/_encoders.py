"""Construction of encoders before training: network, and scaling of its inputs."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_sparsedis.estimators._settings import EncoderSettings
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._tensors import to_tensor
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.nn._encoders import column_moments, column_scale
from sklearn_sparsedis.nn._generators import diverted_draws
from sklearn_sparsedis.nn._image_input import with_image_input
from sklearn_sparsedis.nn._networks import ENCODERS, build_network, linear_path
from sklearn_sparsedis.tasks._file_rows import FileRows
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._encode import rows_at_once
from sklearn_sparsedis.training._start import start_linear_path

__all__ = ["check_started", "new_encoder", "not_applicable", "rows_of", "users_network"]


def new_encoder(
    settings: EncoderSettings, table: TaskTable, seed: int, *, more_rows: bool
) -> Encoder:
    n_features = table.X.shape[1]
    own = isinstance(settings.encoder, str)
    if own:
        network = build_network(
            ENCODERS,
            settings.encoder,
            n_features,
            settings.n_components,
            hidden_layer_sizes=settings.hidden_layer_sizes,
            input_shape=settings.input_shape,
        )
    else:
        network = users_network(
            settings.encoder, n_features, settings.n_components, settings.input_shape
        )
        if next(network.parameters(), None) is None:
            raise ValueError(
                f"encoder has no parameters to be trained: {network}. Give a module with weights; "
                "features that are fixed are for SparseRotation."
            )
    network = network.to(table.X.dtype)
    center = table.X.new_zeros(n_features)
    scale = torch.ones_like(center)
    if own:
        moments = _pixel_moments if settings.encoder == "conv" else _column_moments
        center, scale = moments(table.X, table.row_weights)
    encoder = Encoder(network, center.clone(), scale.clone(), settings.n_components)
    if not own:
        _check_output(encoder, table.X[:2], settings.n_components)
    if linear_path(network):
        start_linear_path(encoder, table, seed, more_rows=more_rows)
    return encoder


def check_started(started: Encoder | None, n_components: int) -> None:
    """Raise an error if the encoder to go on with has another number of components."""
    if started is not None and started.n_outputs != n_components:
        raise ValueError(
            f"n_components={n_components}, but the encoder with which warm_start=True and "
            f"partial_fit go on has {started.n_outputs} components. Set "
            f"n_components={started.n_outputs}, or start anew: fit with warm_start=False."
        )


def rows_of(X: NDArray[Any] | Rows) -> Tensor | FileRows:
    """Convert rows to a tensor, or rows in a file to a table that reads them."""
    return to_tensor(X) if isinstance(X, np.ndarray) else FileRows(X)


def _column_moments(X: Tensor | FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column, as `column_moments` gives them."""
    if isinstance(X, Tensor):
        return column_moments(X, row_weights)
    mean, var = _read_moments(X, row_weights)
    return mean.to(X.dtype), column_scale(mean.to(X.dtype), var.to(X.dtype))


def _read_moments(X: FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance of each column of a file, read twice."""
    weight = torch.ones(len(X)) if row_weights is None else row_weights
    weight = weight.double() / weight.double().sum()

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        size = rows_at_once(X.shape[1])
        for i in range(0, len(X), size):
            yield weight[i : i + size], X[i : min(i + size, len(X))].double()

    # In place, because small results between large buffers would fragment the memory.
    mean = weight.new_zeros(X.shape[1])
    for w, x in chunks():
        mean.addmv_(x.T, w)
    var = torch.zeros_like(mean)
    for w, x in chunks():
        var.addmv_(x.sub_(mean).square_().T, w)
    return mean, var


def _pixel_moments(X: Tensor | FileRows, row_weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """One centre and scale for all pixels, so that dark corners stay dark."""
    if isinstance(X, Tensor):  # of each row, which is no copy of the images
        var, mean = torch.var_mean(X, 1, correction=0)
        share = torch.ones_like(mean) if row_weights is None else row_weights.to(mean)
        share = share / share.sum()
    else:  # of each column
        mean, var = _read_moments(X, row_weights)
        share = torch.full_like(mean, 1 / len(mean))
    center = share @ mean
    scale = column_scale(center, share @ (var + (mean - center).square())).to(X.dtype)
    return center.to(X.dtype).expand(X.shape[1]), scale.expand(X.shape[1])


def users_network(
    encoder: nn.Module | Callable[[int, int], nn.Module] | Any,
    n_features: int,
    n_components: int,
    input_shape: Sequence[int] | None,
) -> nn.Module:
    """Copy the user's module, or call the user's callable to make one.

    With `input_shape` the module gets images if its first layer takes them.
    """
    if isinstance(encoder, nn.Module):
        network = copy.deepcopy(encoder)
    else:
        with diverted_draws():
            network = encoder(n_features, n_components)
    if not isinstance(network, nn.Module):
        raise TypeError(
            "encoder must return an nn.Module when it is called with (n_features_in, "
            f"n_components), got {type(network).__name__}."
        )
    return with_image_input(network, n_features, input_shape)


def not_applicable(rows: Tensor, error: Exception) -> ValueError:
    """Return the error for an encoder that fails on rows."""
    return ValueError(
        f"encoder cannot be applied to rows of shape {tuple(rows.shape)}: {error} A module whose "
        "first layer takes images needs input_shape=(height, width[, channels])."
    )


def _check_output(encoder: Encoder, rows: Tensor, n_components: int) -> None:
    encoder.eval()
    try:
        with torch.no_grad():
            output = encoder.raw(rows)
    except RuntimeError as error:
        raise not_applicable(rows, error) from error
    encoder.train()
    if output.shape != (len(rows), n_components):
        raise ValueError(
            f"encoder must map rows to n_components={n_components} values: it gave an output of "
            f"shape {tuple(output.shape)} for {len(rows)} rows. Change its last layer or "
            "n_components."
        )
