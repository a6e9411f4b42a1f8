"""The examples for several processes run as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(*command, cwd):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_the_same_script_with_and_without_torchrun(tmp_path):
    pytest.importorskip("torch.distributed")
    script = [str(EXAMPLES / "many_processes.py"), "--max-iter=20"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = run(*script, cwd=tmp_path / "one")
    two = run(*torchrun, *script, cwd=tmp_path / "two")
    assert one == two
    assert one.startswith("R^2 on held-out rows: 0.")
    assert (tmp_path / "two" / "model.safetensors").exists()
    assert (tmp_path / "two" / "training.safetensors").exists()


def test_search_on_a_dask_cluster(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import dask_search

    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        found = dask_search.search(client, max_iter=30)
    assert found.best_score_ > 0.5
    assert len(found.cv_results_["params"]) == 3
