"""The reproduction of the image experiments runs from end to end, on a few images and steps."""

import importlib
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "reproduction"
TINY = {"n_train": 300, "n_test": 200, "n_tasks": 40, "steps": 8, "batch_size": 64}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    plt.switch_backend("Agg")
    loaded = importlib.import_module("image_regression")
    alphas = {"l2": (0.01,), "l1": (0.3,), "mcp": (0.05,)}
    monkeypatch.setitem(
        loaded.SETTINGS, "fast", loaded.SETTINGS["fast"] | TINY | {"alphas": alphas}
    )
    monkeypatch.setattr("image_pictures.POOL", 100)
    monkeypatch.setattr("image_pictures.N_ROUNDS", 1)
    return loaded


@pytest.mark.slow
def test_every_section_is_written_once(script, monkeypatch, tmp_path, capsys):
    arguments = ["--correlations", "0.9", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["image_regression.py", *arguments])
    script.main()
    folder = tmp_path / "image_regression_fast"
    files = sorted(folder.glob("*.json"))
    # two data sets, and four laws of the tasks on one of them; three penalties each
    assert len(files) == (2 + 4) * 3
    rows = [row for file in files for row in json.loads(file.read_text())]
    methods = {"l0", "l1", "l1 + ICA", "l2", "l2 + ICA", "mcp", "mcp + ICA"}
    assert {row["method"] for row in rows} == methods
    for row in rows:
        assert all(0 <= row[score] <= 1 for score in script.SCORES)
        assert row["MCC"] <= row["R"] + 1e-9
    assert (folder / "mcc.png").exists()
    assert len(list(folder.glob("*_traversal.png"))) == 2
    monkeypatch.setattr(script, "draw_cell", None)  # nothing is left to run
    script.main()
    assert capsys.readouterr().out.count("attainable R: {'shapes3d': 0.99") == 2
