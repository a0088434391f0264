"""Where real benchmark data lie, for tests that read them: $SEQBENCH_TEST_DATA, else shared/data beside us."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SEQBENCH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def folder(name: str, file: str) -> Path:
    """The folder `name` of the data, which holds `file`; the test that asks is skipped where there is none."""
    if not (ROOT / name / file).exists():
        pytest.skip(f"{ROOT / name} has no {file}; set SEQBENCH_TEST_DATA to the folder that holds {name}")
    return ROOT / name
