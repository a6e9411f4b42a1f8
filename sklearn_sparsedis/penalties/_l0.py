"""The number of nonzero coefficients as a penalty."""

from sklearn_sparsedis.penalties._base import Penalty
from sklearn_sparsedis.penalties._l2 import L2

__all__ = ["L0"]


class L0(Penalty):
    r""":math:`p(w) = \|w\|_0`, by way of the basis in which all heads together are sparsest.

    The encoder is trained through ridge heads, which determine its components up to a linear map;
    then these are turned to the basis in which least-squares heads have most zeros, and heads are
    fitted by least squares on the supports found. `alpha` is that of the ridge in training.
    """

    name = "l0"
    annealed = False
    in_units_of_targets = False
    turns_components = True

    @property
    def trained_through(self) -> Penalty:
        """The ridge penalty."""
        return L2()
