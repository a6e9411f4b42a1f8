"""scikit-learn before 1.9 has no callbacks: everything else works, and they say what they need."""

import runpy
import sys

import pytest

from sklearn_sparsedis.training import _callback_protocol


def test_an_older_scikit_learn_is_named_where_callbacks_are_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)  # importing it fails
    older = runpy.run_path(_callback_protocol.__file__)
    with pytest.raises(ImportError, match=r"set_callbacks needs scikit-learn 1\.9 or newer"):
        older["CallbackSupportMixin"]().set_callbacks(object())
    with pytest.raises(ImportError, match=r"ScoringMonitor needs scikit-learn 1\.9 or newer"):
        older["ScoringMonitor"](scoring="r2")
    assert older["with_callbacks"](repr) is repr
    assert older["CallbackSupportMixin"]()._init_callback_context(task_name="fit") is None
