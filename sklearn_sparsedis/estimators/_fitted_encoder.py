"""What the training of an encoder gives."""

from dataclasses import dataclass

from torch import Tensor

from sklearn_sparsedis._warnings import warn_caller
from sklearn_sparsedis.basis._components import Components
from sklearn_sparsedis.estimators._residuals import HeldOutResiduals
from sklearn_sparsedis.inputs._targets import Targets
from sklearn_sparsedis.nn import Encoder
from sklearn_sparsedis.tasks._dense import TargetValues
from sklearn_sparsedis.tasks._tables import TaskTable
from sklearn_sparsedis.training._state import TrainingRun
from sklearn_sparsedis.training._strength import StrengthPath

__all__ = ["FittedEncoder", "JudgedEncoder"]


@dataclass(frozen=True)
class JudgedEncoder:
    """An encoder, and labels that its training did not see.

    Attributes
    ----------
    encoder : Encoder
        On the CPU, in evaluation mode.
    table : TaskTable
        Labels that were held out.
    heads : Tensor of shape (T, m) or None
        On its components for standard targets; None where it is the encoder that is kept.
    """

    encoder: Encoder
    table: TaskTable
    heads: Tensor | None


@dataclass(frozen=True)
class FittedEncoder:
    """A trained encoder on the CPU, in evaluation mode, and how its training went."""

    encoder: Encoder
    run: TrainingRun
    basis: Components | None = None
    judged: JudgedEncoder | None = None
    # what heads are fitted to, if not the labels alone: in standard units, and those of Y
    values: TargetValues | None = None
    # whether it is linear, and rows far from the others follow the line
    linear: bool = False
    targets: Targets | None = None
    # of held-out labels in standard units
    residuals: HeldOutResiduals | None = None
    # along which the strength of the final heads was chosen
    path: StrengthPath | None = None

    def warn(self, n_components: int, *, turned: bool, of_predictions: bool) -> None:
        """Say what is wrong with a basis, or which components a linear encoder cannot have.

        `of_predictions` is for an encoder of a regressor's predictions, and not of X.
        """
        if self.basis is not None and self.basis.basis.problems:
            warn_caller(self.basis.basis.message)
        constant = [] if turned else self.encoder.unreached()
        if constant:
            rank = n_components - len(constant)
            said, remedy = "X", ', or encoder="mlp"'
            if of_predictions:
                said, remedy = "the encoder's predictions of the tasks", ""
            warn_caller(
                f"n_components={n_components} exceeds the rank of {said}, {rank}, and a linear "
                f"map has no more independent components: components {constant} are constant "
                f"zero. Set n_components={rank}{remedy}."
            )
