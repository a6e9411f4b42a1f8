"""Fits that ranks of torch.distributed share: the same model, clear errors, no hang."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed_fit
import numpy as np
import pytest
import torch.distributed as dist

SCRIPT = Path(distributed_fit.__file__)
pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo"
)


def start(folder, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*command, str(SCRIPT), str(folder), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=240):
    try:
        return process.communicate(timeout=timeout)[1]
    finally:
        process.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folder of what two ranks came to in every case, and of what they were told."""
    folder = tmp_path_factory.mktemp("ranks")
    process = start(folder)
    errors = finish(process)
    assert process.returncode == 0, errors
    return folder


@pytest.mark.parametrize("name", list(distributed_fit.CASES))
def test_two_ranks_end_with_the_model_of_one_process(shared, name):
    ranks = [dict(np.load(shared / f"{name} {rank}.npz")) for rank in (0, 1)]
    alone = distributed_fit.fit(name)
    for key, expected in alone.items():
        np.testing.assert_array_equal(ranks[0][key], ranks[1][key])
        np.testing.assert_allclose(ranks[0][key], expected, atol=1e-6, rtol=1e-6, err_msg=key)
    assert len(alone["loss_curve_"])


@pytest.mark.parametrize("name", list(distributed_fit.ROTATIONS))
def test_two_ranks_end_with_the_rotation_of_one_process(shared, name):
    ranks = [dict(np.load(shared / f"rotation {name} {rank}.npz")) for rank in (0, 1)]
    for key, expected in distributed_fit.rotate(name).items():
        np.testing.assert_array_equal(ranks[0][key], ranks[1][key])
        np.testing.assert_allclose(ranks[0][key], expected, atol=1e-6, rtol=1e-6, err_msg=key)


def test_ranks_that_were_given_different_things_are_told(shared):
    expected = [
        r"shape of X must be the same on all 2 ranks .* (301, 6) on rank 0, (300, 6) on rank 1",
        "X must be the same on all 2 ranks",
        "the seed drawn from random_state must be the same",
        "alpha must be the same on all 2 ranks of a distributed fit, got 0.1 on rank 0, 0.2",
        "encoder must be the same on all 2 ranks of a distributed fit, got partial",
        "loss must be the same on all 2 ranks of a distributed fit, got {0: 'logistic'} on rank 0",
        "episodes_per_batch must be at least the number of ranks, 2",
        r"shape of Y must be the same on all 2 ranks .* (301, 21) on rank 0, (300, 21) on rank 1",
        r"shape of Y must be the same on all 2 ranks .* (301, 21) on rank 0, (301, 20) on rank 1",
        "ValueError: F must be the same on all 2 ranks",
        "ValueError: Input X contains NaN",
        "ValueError: Input Y contains infinity",
    ]
    left = "RankError: Rank 0 of 2 cannot reach the others: one has stopped"
    for rank in (0, 1):
        messages = (shared / f"messages {rank}").read_text().split("\n\n")
        for message, start_of in zip(messages, [*expected, left][: 13 - rank], strict=True):
            for part in start_of.split(" .* "):
                assert part in message


def kill_one(folder, name, delay, rank):
    """Start both ranks, kill one after a while, and return what the launcher says."""
    process = start(folder, name)
    pid = folder / f"pid {rank}"
    for path in (pid, folder / f"pid {1 - rank}"):
        while not path.exists() or not path.read_text():
            time.sleep(0.02)
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):  # it may have come to its end
        os.kill(int(pid.read_text()), signal.SIGKILL)
    for path in folder.glob("pid *"):
        path.unlink()
    began = time.monotonic()
    errors = finish(process, timeout=60)
    return process.returncode, errors, time.monotonic() - began


def check_kills(folder, name, random, n_kills, longest):
    """Kill ranks again and again; the fit ends as it does undisturbed."""
    undisturbed = distributed_fit.fit(name, **distributed_fit.LONGER)
    n_killed = 0
    for _ in range(n_kills):
        rank, delay = int(random.integers(2)), random.uniform(0, longest)
        code, errors, seconds = kill_one(folder, name, delay, rank)
        assert seconds < 30
        if code:
            n_killed += 1
            assert "Signal 9" in errors or "RankError" in errors
    process = start(folder, name)
    errors = finish(process)
    assert process.returncode == 0, errors
    for rank in (0, 1):
        found = dict(np.load(folder / f"{name} {rank}.npz"))
        for key, expected in undisturbed.items():
            np.testing.assert_allclose(found[key], expected, atol=1e-6, rtol=1e-6)
    return n_killed


@pytest.mark.slow
def test_a_killed_rank_stops_the_others_and_the_training_goes_on(tmp_path):
    random = np.random.default_rng(0)
    assert check_kills(tmp_path, "batches of missing labels", random, 1, 0.3) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["batches of missing labels", "classes"])
def test_twenty_kills(tmp_path, name):
    random = np.random.default_rng(1)
    assert check_kills(tmp_path, name, random, 20, 1.5) > 5
