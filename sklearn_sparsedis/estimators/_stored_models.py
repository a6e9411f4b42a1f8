"""Checks of the content of a model's file, before it is written and after it is read."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from sklearn_sparsedis.estimators._base import StampedEstimator
from sklearn_sparsedis.nn._stored_encoder import check_stored_encoder
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.storage._arrays import check_arrays

__all__ = [
    "OUTPUT",
    "YOURS",
    "Model",
    "UserEncoder",
    "check_encoder",
    "check_names",
    "check_penalty",
    "check_values",
    "is_users",
    "try_out",
]

UserEncoder = nn.Module | Callable[[int, int], nn.Module]
# Placeholder in a file for a module or function of the user's.
YOURS = {"yours": True}
OUTPUT = "_sklearn_output_config"
CONTAINERS = "default|pandas|polars"


@dataclass(frozen=True)
class Model:
    """An estimator, and the specification against which its files are checked."""

    estimator: type[StampedEstimator]
    fitted: Mapping[str, str]


def check_names(kind: Model, params: Any, attributes: Any) -> None:
    known, owner = set(kind.estimator().get_params(deep=False)), kind.estimator.__name__
    if set(params) != known:
        odd = sorted(map(str, set(params) ^ known))
        raise ValueError(f"parameters of {owner} are missing or unknown: {', '.join(odd)}")
    for name in attributes:
        ours = isinstance(name, str) and name.isidentifier() and not name.startswith("__")
        if not ours or (hasattr(kind.estimator, name) and name not in kind.fitted):
            raise ValueError(f"{owner} can have no attribute {name!r}")


def check_values(kind: Model, params: Any, attributes: Any) -> None:
    """Raise an error for parameters and fitted attributes that no fitted model can have."""
    tried = kind.estimator(**params)
    tried.n_features_in_ = attributes["n_features_in_"]
    if tried.device != "auto":  # this machine need not have it
        torch.device(tried.device)
        tried.device = "cpu"
    check_random_state(params.get("random_state"))
    tried._check_parameters()
    check_arrays(attributes, kind.fitted)
    if attributes.get(OUTPUT):
        check_arrays(attributes, {f"{OUTPUT}.transform": CONTAINERS})
    if "encoder_" in attributes:
        networks = kind.estimator._networks
        check_stored_encoder(attributes["encoder_"], networks, kind.estimator.__name__)


def check_encoder(param: object, stored: Any, given: UserEncoder | None) -> None:
    needed = param == YOURS or (stored is not None and stored["recipe"] is None)
    if needed and given is None:
        raise ValueError(
            "its encoder is a module of the user's, whose code is not stored. Call "
            "load_model(path, encoder=...) with the module or callable that the model was fitted "
            "with"
        )
    if given is not None and not needed:
        raise ValueError(
            f"encoder= was given, but the encoder of this model is our own {param!r}. Leave it out"
        )
    if given is not None and not is_users(given):
        raise ValueError(f"encoder= must be an nn.Module or a callable, got {given!r}")


def check_penalty(param: object, given: object) -> None:
    """Raise an error unless a penalty was given exactly if the file needs one."""
    if not isinstance(param, dict):
        if given is not None:
            raise ValueError(
                f"penalty= was given, but the penalty of this model is our own {param!r}. Leave it "
                "out"
            )
        return
    kind = param.get("yours")
    if not isinstance(given, Penalty) or type(given).__name__ != kind:
        raise ValueError(
            f"its penalty is an object of the class {kind}, whose code is not stored, and "
            f"penalty={given!r} was given. Call load_model(path, penalty=...) with the object that "
            "the model was fitted with"
        )


def try_out(model: StampedEstimator) -> None:
    """Raise an error if the encoder does not fit the model."""
    tried = copy.copy(model)
    tried.device = "cpu"
    tried.__dict__.pop("feature_names_in_", None)  # the row has none
    row = np.zeros((1, model.n_features_in_))
    for method in ("predict", "transform"):
        if hasattr(tried, method):
            getattr(tried, method)(row)


def is_users(encoder: object) -> bool:
    return isinstance(encoder, nn.Module) or callable(encoder)
