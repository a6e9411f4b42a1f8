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


def pytest_configure():
    # the suite runs in parallel worker processes; before the fixtures of modules train models
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread():
    # whatever the test before has set
    torch.set_num_threads(1)
