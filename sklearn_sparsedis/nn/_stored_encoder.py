"""Encoders as plain values and tensors, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sklearn_sparsedis.nn._encoders import Encoder
from sklearn_sparsedis.nn._networks import build_network

__all__ = ["check_stored_encoder", "put_together", "take_apart"]


def take_apart(encoder: Encoder) -> dict[str, Any]:
    """Weights of an encoder, and how to build it where it is one of ours."""
    state = dict(encoder.state_dict())
    return {"recipe": getattr(encoder.network, "recipe", None), "state": state}


def check_stored_encoder(
    stored: Any, networks: Mapping[str, Callable[..., nn.Module]], owner: str
) -> None:
    """Raise for a network of ours that its owner does not have, or that its weights cannot fill.

    Parameters
    ----------
    stored : dict
        As `take_apart` gives it. The network of a user is not looked into.
    networks : mapping
        ENCODERS or EPISODE_ENCODERS.
    owner : str
        The estimator, for the message.
    """
    recipe, state = stored["recipe"], stored["state"]
    if recipe is None:
        return
    if recipe["name"] not in networks:
        raise ValueError(
            f"encoder {recipe['name']!r} is none of {owner}'s: {', '.join(sorted(networks))}"
        )
    n_layers = len(recipe["hidden_layer_sizes"])
    if n_layers > len(state):  # each has weights, and takes time to make
        raise ValueError(f"its encoder has {n_layers} hidden layers and {len(state)} arrays")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"encoder_.state.{name} must hold finite numbers")


def put_together(
    stored: Any,
    networks: Mapping[str, Callable[..., nn.Module]],
    users: Callable[[int, int], nn.Module],
) -> Encoder:
    """Encoder of what `take_apart` gave, on the CPU.

    Parameters
    ----------
    stored : dict
        Which `check_stored_encoder` found no fault with.
    networks : mapping
        ENCODERS or EPISODE_ENCODERS.
    users : callable
        Makes the network of a user from the numbers of features and components.
    """
    state, recipe = stored["state"], stored["recipe"]
    n_features, n_components = len(state["center"]), len(state["mean"])
    if recipe is None:
        network = users(n_features, n_components)
    else:
        # without memory: sizes are believed only where the weights have them
        with torch.device("meta"):
            network = build_network(networks, **recipe)
    network.to(state["mean"].dtype)
    encoder = Encoder(network, state["center"], state["scale"], n_components)
    encoder.rotation = state.get("rotation")
    encoder.load_state_dict(state, assign=True)
    if any(tensor.is_meta for tensor in (*encoder.parameters(), *encoder.buffers())):
        raise ValueError("weights of its encoder are missing")
    return encoder.eval()
