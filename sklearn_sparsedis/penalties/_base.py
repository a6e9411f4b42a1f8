"""What training and fitting need to know of a penalty."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sklearn_sparsedis.implicit import LeastSquaresFit
from sklearn_sparsedis.solvers.smooth_loss._penalties import Penalty as SmoothPenalty

__all__ = ["Penalty"]

# schedule of the heads' strength: from half of alpha_max down to where alpha takes over
START_ALPHA = 0.5
END_ALPHA = 0.01


class Penalty:
    """A penalty :math:`\\alpha\\, p(w)` on the coefficients w of a head.

    Everything that depends on the penalty is here: an estimator asks the object and never its
    name. A new penalty is a subclass that sets the attributes and writes `unit` and `fit`; the
    other methods have defaults that suit a convex penalty with zeros.

    Attributes
    ----------
    name : str
        For messages, and the word that an estimator takes for it; that of the class by default.
    convex : bool
        Whether a head has one minimum. Without, trainings are compared by their objective, and one
        more goes on from the basis in which the heads are sparsest.
    sparse : bool
        Whether solutions have zeros.
    parameters : tuple of str
        Those of its arguments that an estimator has as parameters of the same names.
    annealed : bool
        Whether a training starts at another strength than `alpha`: see `at`.
    in_units_of_targets : bool
        Whether the strength at which a head becomes zero changes with the units of the targets, as
        that of a norm does and that of a square does not.
    supports_common_head : bool
        Whether it can be on deviations from a head that tasks share (`strength_of_spread`).
    turns_components : bool
        Whether components are turned to the sparsest basis after the training, and heads are least
        squares on the supports found there.
    fit_outputs : callable or None
        Differentiable heads of tasks whose outputs share a support, as
        `implicit.multitask_lasso_gram` gives them; None where there are none.
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
        """Arguments of the constructor, which are stored under their names."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> "Penalty":
        """Change arguments of the constructor, as a search over parameters does."""
        self.__init__(**{**self.get_params(), **params})  # type: ignore[misc]
        return self

    def check(self) -> None:
        """Raise where a part of the penalty is missing or wrong."""

    def with_parameters(self, params: Mapping[str, Any]) -> "Penalty":
        """The penalty of this kind that the parameters of an estimator ask for."""
        return type(self)(**{name: params[name] for name in self.parameters})

    @property
    def smooth(self) -> SmoothPenalty | None:
        """What `solvers.solve_smooth` takes for it, for losses whose heads need the rows."""
        return None

    @property
    def trained_through(self) -> "Penalty":
        """Penalty of the heads through which the encoder is trained."""
        return self

    def unit(self, gram: Tensor, corr: Tensor) -> Tensor:
        """Strength of which a relative `alpha` is a fraction, shape (T,).

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
        """The penalty of an absolute strength, and that strength, for targets over a scale.

        Parameters
        ----------
        alpha : float
            For the targets as they are.
        scale : Tensor of shape (T,)
            By which the targets of each task were divided.
        """
        return self, alpha / scale if self.in_units_of_targets else alpha

    def at(self, progress: float) -> tuple["Penalty", float]:
        """Penalty of the heads after a share of the training, and its least relative strength.

        A weak penalty has many bases in which it is locally best; a strong one has few. So the
        strength falls from a strong one, which finds the basis, to the one asked for.
        """
        return self, between(START_ALPHA, END_ALPHA, progress)

    def unit_of_outputs(self, corr: Tensor) -> Tensor:
        """As `unit`, for tasks of several outputs, corr of shape (T, m, q)."""
        raise NotImplementedError

    def strength_of_spread(self, spread: Tensor) -> Tensor:
        """Strength, per unit of noise over n, under which coefficients of a variance are likely."""
        raise NotImplementedError

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))


def between(start: float, end: float, share: float) -> float:
    """Geometric interpolation."""
    return start * (end / start) ** share
