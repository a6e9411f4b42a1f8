"""scikit-learn's protocol of callbacks, which it has from version 1.9 on."""

from collections.abc import Callable
from typing import Any

__all__ = ["CallbackContext", "CallbackSupportMixin", "ScoringMonitor", "with_callbacks"]

try:
    from sklearn.callback import (
        CallbackContext,
        CallbackSupportMixin,
        ScoringMonitor,
        with_callbacks,
    )
except ModuleNotFoundError:
    _NEEDED = (
        "{} needs scikit-learn 1.9 or newer, which has callbacks. Update scikit-learn, or give "
        "callbacks of skorch in the parameter callbacks."
    )
    CallbackContext = Any

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An estimator that no callback can be set on."""

        def set_callbacks(self, *callbacks: object) -> None:
            """Raise an ImportError."""
            raise ImportError(_NEEDED.format("set_callbacks"))

        def _init_callback_context(self, **options: object) -> None:
            return None

    class ScoringMonitor:  # type: ignore[no-redef]
        """A callback that cannot be made."""

        def __init__(self, **options: object) -> None:
            raise ImportError(_NEEDED.format(type(self).__name__))

    def with_callbacks(fit: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return fit
