"""What a checkpoint is held against before a run goes on from it."""

from types import SimpleNamespace

import pytest

from seqbench.engine.state import restore
from seqbench.errors import UserError


def test_other_data_are_refused():
    run = SimpleNamespace(task=SimpleNamespace(version={"name": "text8", "version": 1, "data_sha256": "b" * 64}))
    payload = {"task": {"name": "text8", "version": 1, "data_sha256": "a" * 64}}
    said = r"other data \(name text8, version 1, data_sha256 aaaaaaaaaaaa\) than are there now \(.*bbbbbbbbbbbb\): name"
    with pytest.raises(UserError, match=said):
        restore(run, payload)
