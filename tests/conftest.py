"""Fixtures shared by all tests."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder of reference cases and real data that lies beside a developer's checkout."""
    if not SHARED.is_dir():
        pytest.skip("reference data are not beside this checkout")
    return SHARED


def pytest_addoption(parser):
    parser.addoption("--share", help="run a share of the tests only: 2/10, every tenth from 2 on")


@pytest.hookimpl(trylast=True)  # of what -m has left
def pytest_collection_modifyitems(config, items):
    if config.getoption("share"):
        first, step = (int(part) for part in config.getoption("share").split("/"))
        chosen = items[first % step :: step]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_configure():
    # the suite runs in parallel worker processes; before the fixtures of modules train models
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread():
    # whatever the test before has set
    torch.set_num_threads(1)
