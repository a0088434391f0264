"""Everything that can be wrong is one sentence that names the file and the remedy, and leaves nothing half-written."""

from __future__ import annotations

import errno
import json
import os

import pytest

from seqbench.data.errors import DataError
from seqbench.data.files.manifest import files_entry
from seqbench.data.text.build import ensure_prepared, prepare
from seqbench.data.text.store import file_names


def sentence(call, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and ". " not in text.replace("... ", "")
    return text


def test_missing_source(corpus, tmp_path, raw):
    wanted = "tiny.train.txt, tiny.valid.txt and tiny.test.txt"
    text = sentence(prepare, corpus, tmp_path / "data", str(tmp_path / "nowhere"))
    assert text == f"source={tmp_path}/nowhere does not exist; name a folder that holds {wanted}."
    text = sentence(prepare, corpus, tmp_path / "data", str(raw / "train.txt"))
    assert text == f"source={raw}/train.txt is not a folder; name the folder that holds {wanted}."
    (tmp_path / "empty").mkdir()
    text = sentence(prepare, corpus, tmp_path / "data", str(tmp_path / "empty"))
    assert text.startswith(f"{tmp_path}/empty holds no file of the tiny corpus; it should hold {wanted}")
    (raw / "valid.txt").unlink()
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert f"{raw} has train.txt but nothing for the valid split; add one of tiny.valid.txt, valid.txt" in text
    assert not (tmp_path / "data").exists()


def test_wrong_text(corpus, tmp_path, raw):
    place = tmp_path / "data"
    train = (raw / "train.txt").read_text()
    (raw / "train.txt").write_text(train + "more\n")
    text = sentence(prepare, corpus, place, str(raw))
    assert f"{raw}/train.txt is not the train split of the tiny corpus: it has 6 lines where 5 are expected" in text
    (raw / "train.txt").write_text(train.replace("cat", "cow"))
    text = sentence(prepare, corpus, place, str(raw))
    assert "its 5 lines differ somewhere (SHA-256 of the stripped lines " in text
    assert corpus.splits["train"].sha256[:12] in text
    assert not place.exists()


def test_unreadable_text(corpus, tmp_path, raw):
    (raw / "train.txt").write_bytes("the cat\ncaf\xe9\n".encode("latin-1"))
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert text == f"{raw}/train.txt is not UTF-8 text (line 2); save it as UTF-8 or fetch it again."
    (raw / "train.txt").unlink()
    (raw / "train.jsonl").write_text('{"text": "the cat sat"}\n{"words": 3}\n')
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert text == f"line 2 of {raw}/train.jsonl is not a JSON object with a text under 'sentence' or 'text'."
    (raw / "train.jsonl").write_text('{"text": "the cat \\ud800"}\n' * 5)  # half a character
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert text == f"{raw}/train.jsonl spells half a character, '\\ud800'; fetch it again."
    assert not (tmp_path / "data").exists()


def test_unreadable_parquet(corpus, tmp_path, raw):
    pytest.importorskip("datasets")
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (raw / "train.txt").unlink()
    path = raw / "train.parquet"
    path.write_bytes(b"PAR1 and no more")
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert text.startswith(f"{path} cannot be read as parquet: ")
    parquet.write_table(arrow.table({"line": ["the cat"]}), path)
    text = sentence(prepare, corpus, tmp_path / "data", str(raw))
    assert text == f"{path} has no column of text named 'sentence' or 'text'; its columns are line."
    parquet.write_table(arrow.table({"text": [1, 2]}), path)
    assert "no column of text" in sentence(prepare, corpus, tmp_path / "data", str(raw))


@pytest.mark.parametrize("locked", ["tiny.train.txt", "."])
def test_forbidden_source(locked, corpus, text, plain_user):
    source = plain_user / "raw"
    source.mkdir()
    for split, lines in text.items():
        (source / f"tiny.{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    (source / locked).chmod(0)
    said = sentence(prepare, corpus, plain_user / "data", str(source))
    assert said == f"{source / locked} cannot be read: Permission denied."


def test_read_only_data_dir(corpus, text, plain_user):
    source, place = plain_user / "raw", plain_user / "data"
    source.mkdir()
    for split, lines in text.items():
        (source / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    place.mkdir()
    place.chmod(0o555)
    for data_dir in (place, place / "deeper"):
        said = sentence(ensure_prepared, corpus, data_dir, str(source))
        assert said.startswith(f"tiny cannot be prepared in {data_dir}: Permission denied; name a folder that can be ")
        assert "data_dir=<folder>" in said and "source=<folder>" in said
    assert os.listdir(place) == []
    place.chmod(0o777)
    sha256 = prepare(corpus, place, str(source)).sha256
    (place / ".tiny.lock").unlink()
    place.chmod(0o555)  # a shared, read-only set is opened without a lock
    assert ensure_prepared(corpus, place, None).sha256 == sha256


@pytest.mark.parametrize("writes", range(6))
def test_full_disk_leaves_nothing(writes, corpus, tmp_path, raw, monkeypatch):
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    place = tmp_path / "data"
    if writes == 5:  # train, valid, test, vocabulary and manifest are safe; only the folder was not synced
        sentence(prepare, corpus, place, str(raw))
        assert ensure_prepared(corpus, place, None).n_tokens("train") == 21
        return
    text = sentence(prepare, corpus, place, str(raw))
    assert text.startswith(f"tiny cannot be prepared in {place}: No space left on device; ")
    assert not place.exists()
    monkeypatch.setattr(os, "fsync", sync)
    sha256 = prepare(corpus, place, str(raw)).sha256
    monkeypatch.setattr(os, "fsync", full)
    sentence(prepare, corpus, place, str(raw))
    assert ensure_prepared(corpus, place, None).sha256 == sha256  # the old set is whole


def flip(path):
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2])


DAMAGE = [
    (flip, "train.bin", "is damaged (its checksum is not its manifest's)"),
    (truncate, "test.bin", "has 24 bytes where its manifest says 26"),
    (lambda path: path.unlink(), "valid.bin", "is missing from its prepared set"),
    (flip, "vocabulary.txt", "is damaged (its checksum is not its manifest's)"),
    (truncate, "manifest.json", "is damaged"),
    (lambda path: path.write_text("[1]"), "manifest.json", "is damaged"),
]


@pytest.mark.parametrize("harm, name, complaint", DAMAGE)
def test_damaged_set_says_how_to_mend_it(harm, name, complaint, corpus, tmp_path, raw):
    place = tmp_path / "data"
    sha256 = prepare(corpus, place, str(raw)).sha256
    harm(place / "tiny" / name)
    text = sentence(ensure_prepared, corpus, place, str(raw))
    remedy = f"make it anew with `seqbench prepare task=tiny data_dir={place} force=true`"
    assert text == f"{place}/tiny/{name} {complaint}; {remedy}."
    assert prepare(corpus, place, str(raw)).sha256 == sha256


def test_what_was_there_before_a_refusal_is_left(corpus, tmp_path, raw):
    place = tmp_path / "deep" / "data"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    (raw / "train.txt").write_text("another text")
    sentence(prepare, corpus, place, str(raw))
    assert os.listdir(place) == ["mine.txt"]
    sentence(prepare, corpus, tmp_path / "deep" / "new" / "data", str(raw))
    assert os.listdir(tmp_path / "deep") == ["data"]


def test_a_file_in_the_place_of_a_folder(corpus, tmp_path, raw):
    place = tmp_path / "data"
    place.mkdir()
    (place / "tiny").write_text("no folder")
    text = sentence(ensure_prepared, corpus, place, str(raw))
    assert text.startswith(f"tiny cannot be prepared in {place}: File exists; ")
    (tmp_path / "file").write_text("no folder")
    text = sentence(ensure_prepared, corpus, tmp_path / "file" / "data", str(raw))
    assert text.startswith(f"tiny cannot be prepared in {tmp_path}/file/data: Not a directory; ")
    (place / "tiny").unlink()
    (place / "tiny" / "manifest.json").mkdir(parents=True)
    text = sentence(ensure_prepared, corpus, place, None)
    assert text == f"{place}/tiny/manifest.json cannot be read: Is a directory."


def test_another_edition_is_prepared_anew(corpus, tmp_path, raw):
    place = tmp_path / "data"
    sha256 = prepare(corpus, place, str(raw)).sha256
    path = place / "tiny" / "manifest.json"
    whole = json.loads(path.read_text())
    for change in ({"format": 2}, {"format": None}, {"version": "1"}, {"format": 7, "files": 3}):
        path.write_text(json.dumps(whole | change))
        assert ensure_prepared(corpus, place, str(raw)).sha256 == sha256
        assert json.loads(path.read_text()) == whole


ODD = [  # manifests that are JSON, and not of this set
    {"files": []},
    {"files": {}},
    {"files": dict.fromkeys(file_names(), "0" * 64)},
    {"files": {name: {"n_bytes": "3", "sha256": "0" * 64} for name in file_names()}},
    {"files": {name: {"n_bytes": None, "sha256": None} for name in file_names()}},
    {"splits": None},
    {"splits": {"train": {}, "valid": {}, "test": {}}},
    {"dtype": "float64"},
    {"dtype": "uint32"},
    {"dtype": None},
    {"vocabulary_size": 11},
]


@pytest.mark.parametrize("change", ODD)
def test_an_odd_manifest_is_damage(change, corpus, tmp_path, raw):
    place = tmp_path / "data"
    prepare(corpus, place, str(raw))
    path = place / "tiny" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    text = sentence(ensure_prepared, corpus, place, str(raw))
    assert text.startswith(f"{place}/tiny") and " is damaged; make it anew with `seqbench prepare task=tiny " in text
    prepare(corpus, place, str(raw))
    ensure_prepared(corpus, place, None)


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"\xff\xfe", b"null", b"3", b'"x"', b"[" * 100_000])
def test_a_manifest_that_is_none_is_damage(content, corpus, tmp_path, raw):
    path = prepare(corpus, tmp_path / "data", str(raw)).path / "manifest.json"
    path.write_bytes(content)
    assert sentence(ensure_prepared, corpus, tmp_path / "data", None).startswith(f"{path} is damaged; make it anew ")


@pytest.mark.parametrize("content", [b"\xff\n" * 10, b"a\nb\n", b"the\n" * 10])
def test_a_vocabulary_that_does_not_fit_is_damage(content, corpus, tmp_path, raw):
    """With its checksum in the manifest: a set that something else has written."""
    path = prepare(corpus, tmp_path / "data", str(raw)).path
    (path / "vocabulary.txt").write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"] |= files_entry(path, ["vocabulary.txt"])
    (path / "manifest.json").write_text(json.dumps(manifest))
    text = sentence(ensure_prepared, corpus, tmp_path / "data", None)
    assert text.startswith((f"{path} is damaged; make it anew ", f"{path} lacks the token <eos>; make it anew "))


def test_a_set_of_another_text(corpus, tmp_path, raw):
    path = prepare(corpus, tmp_path / "data", str(raw)).path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["splits"]["train"]["source_sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    text = sentence(ensure_prepared, corpus, tmp_path / "data", None)
    assert "was prepared from another text than the tiny corpus" in text
