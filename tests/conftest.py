"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.envs.gpu_cluster.side_by_side")  # so that its assertions say which numbers differ

settings.register_profile("few", max_examples=20)  # a fifth of the examples of each property of kernels

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real traces; the test is skipped where it is absent."""
    folder = Path(os.environ.get("AUTOSCALER_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set AUTOSCALER_TEST_DATA to the folder that holds it")
    return folder
