"""A prepared set of pairs that was changed: every file that is not as it was, or does not fit the others, is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_pairs import SETTINGS

from seqbench.data.errors import DataError
from seqbench.data.files.manifest import files_entry
from seqbench.data.pairs.build import ensure_pairs
from seqbench.data.pairs.corpora import MULTI30K
from seqbench.data.pairs.store import open_pairs, place


def test_damage_is_seen(raw_pairs, tmp_path):
    data = tmp_path / "data"
    pairs = ensure_pairs(MULTI30K, SETTINGS, data, str(raw_pairs()))
    path = place(MULTI30K, SETTINGS, data) / "valid.target.txt"
    path.write_text(pairs.path.joinpath("valid.target.txt").read_text().replace("Hund", "Hand"))
    with pytest.raises(DataError, match=r"valid\.target\.txt is damaged .*force=true"):
        open_pairs(MULTI30K, SETTINGS, data)
    path.unlink()
    with pytest.raises(DataError, match=r"valid\.target\.txt is missing"):
        open_pairs(MULTI30K, SETTINGS, data)
    (path.parent / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        open_pairs(MULTI30K, SETTINGS, data)


def rewritten(path: Path, name: str, content: bytes) -> None:
    """Another file in a set, with its checksum in the manifest."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"] |= files_entry(path, [name])
    (path / "manifest.json").write_text(json.dumps(manifest))


def moved(content: bytes, place: int, by: int) -> bytes:
    numbers = np.frombuffer(content, "<i8").copy()
    numbers[place] += by
    return numbers.tobytes()


UNFIT = [
    ("train.source.offsets.bin", lambda content: content[:-8]),
    ("train.source.offsets.bin", lambda content: content[:-3]),
    ("train.source.offsets.bin", lambda content: b""),
    ("train.target.offsets.bin", lambda content: moved(content, -1, 5)),
    ("train.target.offsets.bin", lambda content: moved(content, -1, -1)),
    ("valid.target.offsets.bin", lambda content: moved(content, 0, 1)),
    ("valid.target.offsets.bin", lambda content: moved(content, 3, 1000)),
    ("test.source.offsets.bin", lambda content: moved(content, 3, -(2**62))),
    ("test.source.bin", lambda content: content[:-2]),
    ("test.source.bin", lambda content: content[:-1]),
    ("test.source.bin", lambda content: b""),
    ("test.target.txt", lambda content: content + b"more\n"),
    ("test.target.txt", lambda content: b"\xff" + content),
    ("subwords.model", lambda content: b"no model"),
    ("subwords.model", lambda content: b""),
]


@pytest.mark.parametrize(("name", "change"), UNFIT)
def test_files_that_do_not_fit_together_are_damage(name, change, raw_pairs, tmp_path):
    path = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs())).path
    rewritten(path, name, change((path / name).read_bytes()))
    with pytest.raises(DataError, match=r"data/multi30k_ende-[0-9a-f]{8} is damaged; make it anew with `seqbench prep"):
        open_pairs(MULTI30K, SETTINGS, tmp_path / "data")


ODD = [{"files": {}}, {"splits": {}}, {"splits": {"train": 3}}, {"dtype": "float64"}, {"dtype": "uint32"}]


@pytest.mark.parametrize("change", ODD)
def test_an_odd_manifest_is_damage(change, raw_pairs, tmp_path):
    path = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs())).path / "manifest.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | change))
    with pytest.raises(DataError, match=" is damaged; make it anew with `seqbench prepare task=multi30k_ende "):
        open_pairs(MULTI30K, SETTINGS, tmp_path / "data")
    for other in ({"format": 2}, {"version": 9}):
        path.write_text(json.dumps(whole | other))
        assert open_pairs(MULTI30K, SETTINGS, tmp_path / "data") is None
