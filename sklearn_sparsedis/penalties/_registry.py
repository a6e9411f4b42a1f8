"""Penalties by name."""

from collections.abc import Callable
from typing import Any

from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.penalties._l0 import L0
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.penalties._l2 import L2
from sklearn_sparsedis.penalties._mcp import MCP

__all__ = ["PENALTIES", "check_penalty", "penalties_with"]

# what an estimator takes by name
PENALTIES: dict[str, Penalty] = {kind.name: kind() for kind in (L0, L1, L2, MCP)}


def check_penalty(penalty: Any) -> Penalty:
    """The penalty that an estimator's parameter stands for: one of PENALTIES, or an object."""
    if isinstance(penalty, Penalty):
        return penalty
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        raise ValueError(
            f"penalty must be one of {penalties_with(lambda _: True, ', ')}, or an instance of a "
            f"subclass of penalties.Penalty, got {penalty!r}."
        )
    return PENALTIES[penalty]


def penalties_with(have: Callable[[Penalty], bool], join: str = " or ") -> str:
    """Names of those that have something, for messages."""
    return join.join(repr(name) for name, penalty in sorted(PENALTIES.items()) if have(penalty))
