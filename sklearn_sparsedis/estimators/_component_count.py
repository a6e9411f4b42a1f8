"""How many components an encoder needs: as many as the heads of the tasks use directions."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_sparsedis.basis._sparsest_heads import count_directions
from sklearn_sparsedis.estimators._encoders import rows_of
from sklearn_sparsedis.estimators._regressors import TaskRegressors
from sklearn_sparsedis.estimators._representation_heads import standardise
from sklearn_sparsedis.estimators._representation_training import MAX_ROWS_READ, fit_encoder
from sklearn_sparsedis.estimators._settings import RepresentationSettings
from sklearn_sparsedis.inputs._rows import Rows
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.nn import Encoder

__all__ = ["choose_components"]

# outputs of a network whose heads are counted: more would fit the noise of the labels sooner
MOST_OUTPUTS = 64


def choose_components(
    settings: RepresentationSettings,
    X: NDArray[Any] | Rows,
    targets: Targets,
    started: Encoder | None,
    seed: int,
    regressor: TaskRegressors | None,
    *,
    one_epoch: bool,
) -> tuple[RepresentationSettings, NDArray[np.float64] | None]:
    """Settings with the number of components that "auto" stands for, and losses of 1, 2, ....

    Where that is how many directions heads use, those on the columns of X say it for a linear
    encoder, and those on more outputs than they use for another network. This one is trained
    before, and held-out labels end its training, because outputs that fit noise would count too.
    Under other penalties it is as few as predict labels that such a network has not seen as well as
    any number of them (`fewest_directions`).

    Parameters
    ----------
    settings : RepresentationSettings
    X : ndarray or Rows of shape (n, d)
        What the encoder is trained on; combinations of predictions where there is a regressor.
    targets : Targets
    started : Encoder or None
        Which goes on with the components that it has.
    seed : int
        Of the training.
    regressor : TaskRegressors or None
        Which was fitted, where the encoder is one.
    one_epoch : bool
        Whether the rows are those of one call of partial_fit.
    """
    if settings.regressor is not None:
        assert regressor is not None  # for mypy
        return settings.with_components(X.shape[1]), regressor.stack.loss_of_rank
    if started is not None:
        return settings.with_components(started.n_outputs), None
    if one_epoch:
        raise ValueError(
            'n_components="auto" needs all rows at once, and partial_fit gets some: call fit '
            "first, or give the number of components."
        )
    if isinstance(settings.encoder.encoder, nn.Module):
        raise ValueError(
            'n_components="auto" needs networks with different numbers of outputs, and encoder is '
            "a module with one number: give a callable (n_features_in, n_components) -> nn.Module, "
            "or the number of components."
        )
    evident = settings.heads.penalty.turns_components
    if evident and settings.encoder.encoder == "linear":
        x = rows_of(X)
        some = torch.arange(0, len(x), -(-len(x) // MAX_ROWS_READ))
        table = standardise(targets)[0].table(x, x.dtype).rows(some)
        assert isinstance(table.X, Tensor)  # for mypy
        return settings.with_components(max(1, count_directions(table.X, table))), None
    outputs = settings.with_components(min(targets.shape[1], MOST_OUTPUTS))
    # of which callbacks need not know
    training = replace(outputs.training, early_stopping=True, n_init=1, callbacks=None)
    heads = replace(outputs.heads, chooses_alpha=not evident)
    tried = replace(outputs, training=training, heads=heads)
    fitted = fit_encoder(tried, X, targets, None, seed, None, one_epoch=False)
    if evident:
        assert fitted.basis is not None  # for mypy
        return settings.with_components(max(1, fitted.basis.basis.n_latents)), None
    if fitted.path is None:  # no label could be held out
        return outputs, None
    found = settings.with_components(fitted.path.n_components)
    return found, fitted.path.of_rank.mean(1).numpy()
