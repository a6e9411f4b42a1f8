"""The interface between penalties and the code that trains and fits with them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sklearn_sparsedis.implicit import LeastSquaresFit
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty as SmoothPenalty

__all__ = ["Penalty"]

# Schedule of the least relative alpha: it falls from half of alpha_max.
START_ALPHA = 0.5
END_ALPHA = 0.01


class Penalty:
    """A penalty :math:`\\alpha\\, p(w)` on the coefficients w of a head.

    Everything that depends on the penalty is here: estimators use the object and never compare
    its name. A new penalty is a subclass that sets the attributes and defines `unit` and `fit`;
    the other methods have defaults for a convex penalty with zeros.

    Attributes
    ----------
    name : str
        Word by which an estimator takes the penalty, also used in messages; by default the name of
        the class.
    convex : bool
        Whether the problem of a head has a single minimum. If not, trainings are compared by their
        objective, and one more starts from the basis in which the heads are sparsest.
    sparse : bool
        Whether solutions have zeros.
    parameters : tuple of str
        Arguments of the constructor that are also parameters of an estimator.
    annealed : bool
        Whether a training starts with another alpha: see `at`.
    in_units_of_targets : bool
        Whether the alpha at which a head becomes zero is in units of the targets, as for a norm, or
        does not depend on them, as for a square.
    supports_common_head : bool
        Whether it can penalise deviations from a common head of the tasks (`alpha_of_spread`).
    turns_components : bool
        Whether components are turned to the sparsest basis after the training, and heads are then
        fitted by least squares on the supports found there.
    fit_outputs : callable or None
        Function that fits heads of tasks whose outputs share a support, differentiably, with the
        signature of `implicit.multitask_lasso_gram`; None if outputs cannot share a support.
    """

    name = ""
    parameters: tuple[str, ...] = ()
    convex = True
    sparse = True
    annealed = True
    in_units_of_targets = True
    supports_common_head = False
    turns_components = False
    fit_outputs: Callable[..., LeastSquaresFit] | None = None

    def __init_subclass__(cls) -> None:
        cls.name = vars(cls).get("name", cls.__name__)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor, which are stored under their names."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> "Penalty":
        """Set arguments of the constructor, as a search over parameters does."""
        self.__init__(**{**self.get_params(), **params})  # type: ignore[misc]
        return self

    def check(self) -> None:
        """Raise an error if a part of the penalty is missing or wrong."""

    def with_parameters(self, params: Mapping[str, Any]) -> "Penalty":
        """Return the penalty of this class with the parameters of an estimator."""
        return type(self)(**{name: params[name] for name in self.parameters})

    @property
    def smooth(self) -> SmoothPenalty | None:
        """Penalty for `solvers.solve_smooth`, or None if only squared errors are available."""
        return None

    @property
    def trained_through(self) -> "Penalty":
        """Penalty of the heads while the encoder is trained."""
        return self

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Unit of a relative `alpha`, shape (T,).

        Parameters
        ----------
        gram : Tensor of shape (m, m) or (T, m, m)
            Z'Z / n.
        corr : Tensor of shape (T, m)
            Z'y / n.
        """
        raise NotImplementedError

    def fit(
        self, gram: Tensor, corr: Tensor, y_sq: Tensor, alpha: Tensor, **options: Any
    ) -> LeastSquaresFit:
        """Minimise 1/2 w'Gw - w'q + y_sq/2 + alpha p(w), with its implicit derivative.

        Parameters
        ----------
        gram, corr
            As in `unit`.
        y_sq : Tensor of shape (T,)
            y'y / n.
        alpha : Tensor of shape (T,)
        **options
            tol, max_iter and coef_init.
        """
        raise NotImplementedError

    def in_units(self, alpha: float, scale: Tensor) -> tuple["Penalty", Tensor | float]:
        """Convert the penalty and an absolute alpha to targets that were divided by a scale.

        Parameters
        ----------
        alpha : float
            Alpha for the original targets.
        scale : Tensor of shape (T,)
            Scale by which the targets of each task were divided.
        """
        return self, alpha / scale if self.in_units_of_targets else alpha

    def at(self, progress: float) -> tuple["Penalty", float]:
        """Penalty of the heads after a share of the training, and its least relative alpha.

        Under a weak penalty many bases are locally optimal, under a strong one few. So alpha falls
        from a large value, which finds the basis, to the value that was asked for.
        """
        return self, between(START_ALPHA, END_ALPHA, progress)

    def unit_of_outputs(self, corr: Tensor) -> Tensor:
        """Unit of a relative `alpha` for tasks of several outputs, corr of shape (T, m, q)."""
        raise NotImplementedError

    def alpha_of_spread(self, spread: Tensor) -> Tensor:
        """Alpha, in units of noise / n, whose prior gives coefficients the variance `spread`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))


def between(start: float, end: float, share: float) -> float:
    """Interpolate geometrically."""
    return start * (end / start) ** share
