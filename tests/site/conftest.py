"""A small site, built once."""

from pathlib import Path

import pytest
from made_results import build, write_results


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A folder of a made-up ledger whose site is built."""
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    build(folder)
    return folder
