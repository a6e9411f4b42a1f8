"""Conversion of encoders to plain values and tensors, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sklearn_sparsedis.nn._encoders import Encoder
from sklearn_sparsedis.nn._networks import build_network

__all__ = ["check_stored_encoder", "of_plain", "put_together", "take_apart", "to_plain"]


def take_apart(encoder: Encoder) -> dict[str, Any]:
    """Return the weights of an encoder, and the recipe of its network if the package built it."""
    state = dict(encoder.state_dict())
    return {"recipe": getattr(encoder.network, "recipe", None), "state": state}


def to_plain(encoder: Encoder) -> Any:
    """Return an encoder as plain values and arrays if the package built its network."""
    stored = take_apart(encoder)
    if stored["recipe"] is None:
        return encoder
    return {**stored, "state": {key: value.cpu().numpy() for key, value in stored["state"].items()}}


def of_plain(stored: Any, networks: Mapping[str, Callable[..., nn.Module]]) -> Encoder:
    """Build the encoder that `to_plain` made plain, with its own memory."""
    state = {key: torch.tensor(value) for key, value in stored["state"].items()}
    return put_together({**stored, "state": state}, networks)


def check_stored_encoder(
    stored: Any, networks: Mapping[str, Callable[..., nn.Module]], owner: str
) -> None:
    """Raise if an estimator has no such network, or if weights of it are missing or not finite.

    Parameters
    ----------
    stored : dict
        As `take_apart` returns it. A network of the user's own is not checked.
    networks : mapping
        ENCODERS or EPISODE_ENCODERS.
    owner : str
        Name of the estimator, for messages.
    """
    recipe, state = stored["recipe"], stored["state"]
    if recipe is None:
        return
    if recipe["name"] not in networks:
        raise ValueError(
            f"encoder {recipe['name']!r} is none of {owner}'s: {', '.join(sorted(networks))}"
        )
    n_layers = len(recipe["hidden_layer_sizes"])
    if n_layers > len(state):  # each layer has weights, and takes time to make
        raise ValueError(f"its encoder has {n_layers} hidden layers and {len(state)} arrays")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"encoder_.state.{name} must hold finite numbers")


def put_together(
    stored: Any,
    networks: Mapping[str, Callable[..., nn.Module]],
    users: Callable[[int, int], nn.Module] | None = None,
) -> Encoder:
    """Build the encoder that `take_apart` took apart, on the CPU.

    Parameters
    ----------
    stored : dict
        Values that passed `check_stored_encoder`.
    networks : mapping
        ENCODERS or EPISODE_ENCODERS.
    users : callable, optional
        Makes the user's own network from the numbers of features and components; needed without a
        recipe.
    """
    state, recipe = stored["state"], stored["recipe"]
    n_features, n_components = len(state["center"]), len(state["mean"])
    if recipe is None and users is not None:
        network = users(n_features, n_components)
    else:
        # Without memory: sizes in the recipe are trusted only if the weights have them.
        with torch.device("meta"):
            network = build_network(networks, **recipe)
    network.to(state["mean"].dtype)
    encoder = Encoder(network, state["center"], state["scale"], n_components)
    encoder.rotation, encoder.reach = state.get("rotation"), state.get("reach")
    encoder.load_state_dict(state, assign=True)
    if any(tensor.is_meta for tensor in (*encoder.parameters(), *encoder.buffers())):
        raise ValueError("weights of its encoder are missing")
    return encoder.eval()
