"""Code that uses the public names passes mypy's strict mode, and wrong code does not."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GOOD = """
import numpy as np

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
    show_versions,
)
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import mean_corrcoef_score

data = make_sparse_multitask(100, 5)
checkpoint = Checkpoint("training.safetensors", every=3)
model = SparseDisentangledRepresentation(3, callbacks=[checkpoint]).fit(data.X, data.Y)
coef: np.ndarray = model.adapt(data.X, data.Y).coef_
Z: np.ndarray = model.transform(data.X)
score: float = mean_corrcoef_score(data.Z, Z)
labels: np.ndarray = GroupLassoSVC(group_reg=0.5).fit(data.X, data.Y[:, 0] > 0).predict(data.X)
few_shot = GroupLassoSVMMetaClassifier().fit(data.X, labels).adapt(data.X, labels)
mean: float = few_shot.score_episodes(data.X, labels).mean
rotation: np.ndarray = SparseRotation(3).fit(data.X, data.Y).rotation_
save_model(model, "model.safetensors")
print(load_model("model.safetensors").predict(data.X))
show_versions()
"""
BAD = """
from sklearn_sparsedis import GroupLassoSVC

GroupLassoSVC(group_reg="strong")
"""


def check(code, tmp_path):
    path = tmp_path / "use.py"
    path.write_text(code.replace("np.ndarray", "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"))
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports"]
    command = [sys.executable, "-m", "mypy", *options, f"--cache-dir={tmp_path}", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_strict_mypy_understands_the_public_names(tmp_path):
    good = check(GOOD, tmp_path)
    assert good.returncode == 0, good.stdout
    bad = check(BAD, tmp_path)
    assert 'Argument "group_reg" to "GroupLassoSVC" has incompatible type "str"' in bad.stdout


def test_the_package_says_that_it_is_typed():
    assert (files("sklearn_sparsedis") / "py.typed").is_file()
    assert "sklearn_sparsedis = py.typed" in (ROOT / "setup.cfg").read_text()
