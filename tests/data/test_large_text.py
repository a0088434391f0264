"""text8 and enwik8: one file cut into three, its symbols as they are, on small files made here."""

from __future__ import annotations

import codecs
import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqbench.data.errors import DataError
from seqbench.data.text import cut
from seqbench.data.text.build import ensure_prepared, prepare
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import SPLITS, Corpus

LENGTHS = {"train": 9_000, "valid": 500, "test": 500}


def small(corpus: Corpus, vocabulary_size: int) -> Corpus:
    splits = {split: replace(corpus.splits[split], n_tokens=LENGTHS[split]) for split in SPLITS}
    return replace(corpus, splits=splits, vocabulary_size=vocabulary_size)


@pytest.fixture
def letters() -> bytes:
    alphabet = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz     ", np.uint8)
    return np.random.default_rng(0).choice(alphabet, 10_000).tobytes()


@pytest.fixture
def octets() -> bytes:
    """Bytes that are no UTF-8, of 206 kinds; one of them, byte 7, lies in test alone."""
    made = np.random.default_rng(0).integers(50, 255, 10_000).astype(np.uint8)
    made[::70] = ord("\n")
    made[-1] = 7
    return made.tobytes()


def plain(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder


def itself(folder: Path, name: str, content: bytes) -> Path:
    return plain(folder, name, content) / name


def zipped(folder: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return folder


def gzipped(folder: Path, name: str, content: bytes) -> Path:
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def marked(folder: Path, name: str, content: bytes) -> Path:
    return plain(folder, name, codecs.BOM_UTF8 + content)


def marked_and_gzipped(folder: Path, name: str, content: bytes) -> Path:
    return gzipped(folder, name, codecs.BOM_UTF8 + content)


@pytest.mark.parametrize("pack", [plain, itself, zipped, gzipped, marked, marked_and_gzipped])
def test_text8(pack, letters, tmp_path, monkeypatch):
    monkeypatch.setattr(cut, "_CHUNK", 997)  # so that words lie across chunks
    prepared = prepare(small(CORPORA["text8"], 27), tmp_path / "data", str(pack(tmp_path, "text8", letters)))
    start = 0
    for split, length in LENGTHS.items():
        spelled = "".join(prepared.vocabulary[number] for number in prepared.ids(split))
        assert spelled.replace("_", " ").encode() == letters[start : start + length]
        entry = prepared.manifest["splits"][split]
        assert entry["n_words"] == len(letters[start : start + length].split())
        assert entry["n_tokens"] == entry["n_characters"] == entry["n_bytes"] == length and entry["n_lines"] == 0
        start += length
    assert prepared.vocabulary[0] == "_" and len(prepared.vocabulary) == 27


def test_enwik8_is_bytes(octets, tmp_path):
    prepared = prepare(small(CORPORA["enwik8"], 207), tmp_path / "data", str(plain(tmp_path, "enwik8", octets)))
    kinds = sorted(set(octets))
    assert sorted(map(int, prepared.vocabulary)) == kinds
    assert prepared.vocabulary[-1] == "7"  # which train lacks
    found = [int(prepared.vocabulary[number]) for split in SPLITS for number in prepared.ids(split)]
    assert bytes(found) == octets
    counts = np.bincount(prepared.ids("train"), minlength=len(kinds))
    assert (np.diff(counts) <= 0).all()


def refused(corpus: Corpus, tmp_path: Path, source: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        ensure_prepared(corpus, tmp_path / "data", None if source is None else str(source))
    assert not (tmp_path / "data").exists()
    return str(caught.value)


def test_another_file_is_refused(letters, tmp_path):
    corpus = small(CORPORA["text8"], 27)
    path = itself(tmp_path, "text8", letters + b" and more")
    assert refused(corpus, tmp_path, path) == f"{path} has 10,009 bytes where text8 has 10,000; fetch it again."
    itself(tmp_path, "text8", letters.replace(b"q", b"Q").replace(b"Q", b"q", 1))
    assert refused(corpus, tmp_path, path) == (
        f"{path} is not the train split of text8: it has 28 types where 27 are expected; name a folder with the "
        "published files as source=<folder>."
    )


def test_a_damaged_zip_is_one_sentence(letters, tmp_path):
    path = zipped(tmp_path, "text8", letters) / "text8.zip"
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:100])
    assert refused(small(CORPORA["text8"], 27), tmp_path, path).startswith(f"{path} cannot be read as a zip: ")
    zipped(tmp_path, "text9", letters)
    (tmp_path / "text9.zip").rename(path)
    assert refused(small(CORPORA["text8"], 27), tmp_path, path) == f"{path} is a zip without a file named text8."


def test_a_damaged_gzip_is_one_sentence(letters, tmp_path):
    path = gzipped(tmp_path, "text8", letters) / "text8.gz"
    content = path.read_bytes()
    for damaged in (content[:-300], content[:500] + bytes(200) + content[700:]):
        path.write_bytes(damaged)
        assert refused(small(CORPORA["text8"], 27), tmp_path, path).startswith(f"{path} cannot be read as a gzip: ")
    path.write_bytes(letters)
    assert refused(small(CORPORA["text8"], 27), tmp_path, path).startswith(f"{path} cannot be read: Not a gzipped")


@pytest.mark.parametrize("source", [None, Path("hub")])
def test_no_place_on_the_hub_is_known(source, tmp_path):
    assert refused(CORPORA["text8"], tmp_path, source) == (
        "text8 is not at hand, and no place on the hub is known to fetch it from; put text8, text8.zip or "
        f"text8.gz into {tmp_path}/data/text8, or name its folder as source=<folder>."
    )


def test_a_prepared_set_is_not_taken_for_the_file(letters, tmp_path):
    corpus = small(CORPORA["text8"], 27)
    folder = tmp_path / "data" / "text8"
    folder.mkdir(parents=True)
    plain(folder, "text8", letters)
    sha256 = ensure_prepared(corpus, tmp_path / "data", None).sha256
    assert prepare(corpus, tmp_path / "data", None).sha256 == sha256
    assert (folder / "text8").read_bytes() == letters
    (folder / "text8").unlink()
    with pytest.raises(DataError, match="text8 is not at hand"):
        prepare(corpus, tmp_path / "data", None)
