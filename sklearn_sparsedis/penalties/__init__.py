"""Penalties of heads: each class holds everything that depends on its penalty."""

from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.penalties._elastic_net import ElasticNet
from sklearn_sparsedis.penalties._l0 import L0
from sklearn_sparsedis.penalties._l1 import L1
from sklearn_sparsedis.penalties._l2 import L2
from sklearn_sparsedis.penalties._mcp import MCP
from sklearn_sparsedis.penalties._registry import PENALTIES
from sklearn_sparsedis.penalties._separable import SeparablePenalty

__all__ = ["ElasticNet", "L0", "L1", "L2", "MCP", "PENALTIES", "Penalty", "SeparablePenalty"]
