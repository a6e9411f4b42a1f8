"""Registry of the penalties by their names."""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.penalties._elastic_net import ElasticNet
from sklearn_sparsedis.penalties._l0 import L0
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.penalties._l2 import L2
from sklearn_sparsedis.penalties._mcp import MCP

__all__ = ["PENALTIES", "check_penalty", "penalties_with"]

# Penalties that an estimator takes by name.
PENALTIES: dict[str, Penalty] = {kind.name: kind() for kind in (L0, L1, L2, MCP, ElasticNet)}


def check_penalty(params: Mapping[str, Any]) -> Penalty:
    """Return the penalty of an estimator's parameters: one of PENALTIES, or the user's object."""
    penalty = params["penalty"]
    if isinstance(penalty, Penalty):
        penalty.check()
        return penalty
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        raise ValueError(
            f"penalty must be one of {penalties_with(lambda _: True, ', ')}, or an instance of a "
            f"subclass of penalties.Penalty, got {penalty!r}."
        )
    return PENALTIES[penalty].with_parameters(params)


def penalties_with(have: Callable[[Penalty], bool], join: str = " or ") -> str:
    """Join the names of the penalties for which `have` is true, for messages."""
    return join.join(repr(name) for name, penalty in sorted(PENALTIES.items()) if have(penalty))
