"""What a bug report needs is printed."""

import numpy as np
import sklearn
import torch

import sklearn_sparsedis
from sklearn_sparsedis import show_versions


def test_versions_devices_and_threads_are_printed(capsys):
    show_versions()
    text = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  "))
    assert text.startswith(f"sklearn_sparsedis {sklearn_sparsedis.__version__}\n")
    assert rows["numpy"] == np.__version__
    assert rows["scikit-learn"] == sklearn.__version__
    assert rows["torch"] in (torch.__version__, str(torch.get_num_threads()))
    for title in ("System", "Libraries", "Optional libraries", "Devices", "Threads"):
        assert f"\n{title}\n" in text
    for name in ("skorch", "safetensors", "scipy", "python", "platform", "OMP_NUM_THREADS"):
        assert name in rows
    assert "CUDA of torch" in text


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    module = __import__("sklearn_sparsedis._version", fromlist=["OPTIONAL"])
    monkeypatch.setattr(module, "OPTIONAL", ("no-such-library",))
    show_versions()
    assert "no-such-library  not installed" in capsys.readouterr().out
