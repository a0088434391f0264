"""Preparing small corpora: ids, vocabulary, packings of the same text, where files are looked for, memory."""

from __future__ import annotations

import codecs
import gzip
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from seqbench.data.errors import DataError
from seqbench.data.text.build import ensure_prepared, prepare
from seqbench.data.text.corpus import SPLITS
from seqbench.data.text.tokenizer import CHARACTER


def set_bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_words(corpus, raw, tmp_path, text):
    prepared = prepare(corpus, tmp_path / "data", str(raw))
    for split in SPLITS:
        tokens = [prepared.vocabulary[number] for number in prepared.ids(split)]
        assert tokens == [token for line in text[split] for token in [*line.split(), "<eos>"]]
        assert prepared.n_tokens(split) == len(tokens)
    # <eos> 5 times, a the 3, cat dog 2 and the rest once; ties by spelling
    assert prepared.vocabulary == ["<eos>", "the", "a", "cat", "dog", "sat", "<unk>", "and", "end", "on"]
    assert prepared.manifest["splits"]["train"] == {
        "n_tokens": 21,
        "n_lines": 5,
        "n_words": 16,
        "n_characters": sum(len(line) for line in text["train"]),
        "n_bytes": sum(len(line) + 1 for line in text["train"]),
        "source_sha256": corpus.splits["train"].sha256,
    }
    assert prepared.path == tmp_path / "data" / "tiny"


def test_characters(corpus_of, raw, tmp_path, text):
    corpus = corpus_of(text, CHARACTER)
    prepared = prepare(corpus, tmp_path / "data", str(raw))
    for split in SPLITS:
        tokens = [prepared.vocabulary[number] for number in prepared.ids(split)]
        assert tokens == [token for line in text[split] for token in [*line.replace(" ", "_"), "<eos>"]]
    assert prepared.manifest["splits"]["train"]["n_words"] == 16


def test_more_than_65536_types_take_four_bytes(corpus_of, tmp_path):
    text = {"train": [f"w{number}" for number in range(70_000)], "valid": ["w69999"], "test": ["w0 w1"]}
    for split, lines in text.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    prepared = prepare(corpus_of(text), tmp_path / "data", str(tmp_path))
    assert prepared.ids("train").dtype == np.dtype("<u4")
    assert [prepared.vocabulary[number] for number in prepared.ids("valid")] == ["w69999", "<eos>"]


def test_a_word_that_train_lacks_is_unk_or_an_error(corpus_of, tmp_path, raw, text):
    text["valid"] = ["a zebra sat"]
    (raw / "valid.txt").write_text("a zebra sat\n")
    prepared = prepare(corpus_of(text), tmp_path / "data", str(raw))
    assert [prepared.vocabulary[number] for number in prepared.ids("valid")] == ["a", "<unk>", "sat", "<eos>"]
    text["train"][1] = "the dog sat on the mat"
    (raw / "train.txt").write_text("".join(f"{line}\n" for line in text["train"]))
    with pytest.raises(DataError, match="'zebra' in valid or test but not in train, and no <unk>"):
        prepare(corpus_of(text), tmp_path / "data", str(raw))


def test_a_line_ends_at_a_newline_only(corpus_of, tmp_path):
    text = {"train": ["a\u2028b", "c\x85d\x0ce"], "valid": ["a"], "test": ["a"]}
    for split, lines in text.items():
        (tmp_path / f"{split}.txt").write_bytes(("\n".join(lines) + "\n").encode())
    prepared = prepare(corpus_of(text, CHARACTER), tmp_path / "data", str(tmp_path))
    spelled = "".join(prepared.vocabulary[number] for number in prepared.ids("train"))
    assert spelled == "a\u2028b<eos>c\x85d\x0ce<eos>"


def write_parquet(path, lines, column="sentence"):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table({column: lines}), path)


def as_windows_text(folder, text):
    for split, lines in text.items():
        (folder / f"tiny.{split}.txt").write_bytes("\r\n".join(f"  {line} " for line in lines).encode())


def as_json_lines(folder, text):
    for split, lines in text.items():
        rows = [json.dumps({"text": line, "id": number}) for number, line in enumerate(lines)]
        (folder / f"{split}.jsonl").write_text("".join(f"{row}\n" for row in rows))


def as_marked_text(folder, text):
    for split, lines in text.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        (folder / f"{split}.txt").write_bytes(codecs.BOM_UTF8 + content)


def as_marked_json_lines(folder, text):
    as_json_lines(folder, text)
    for path in folder.iterdir():
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())


def as_gzip(folder, text):
    for split, lines in text.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        suffix = ".txt.gz" if split == "train" else ".tokens.gz"
        (folder / f"{split}{suffix}").write_bytes(gzip.compress(codecs.BOM_UTF8 + content))


def as_json_lines_in_gzip(folder, text):
    as_json_lines(folder, text)
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def as_parquet(folder, text):
    for split, lines in text.items():
        write_parquet(folder / f"{split}.parquet", [f" {line} \n" for line in lines], "text")


def as_hub_folders(folder, text):
    for split, lines in text.items():
        name = "validation" if split == "valid" else split
        write_parquet(folder / "tinytext" / name / "0000.parquet", lines)


def as_hub_shards(folder, text):
    for split, lines in text.items():
        write_parquet(folder / f"{split}-00000-of-00002.parquet", lines[:1])
        write_parquet(folder / f"{split}-00001-of-00002.parquet", lines[1:])


PACKINGS = [as_windows_text, as_marked_text, as_gzip, as_json_lines, as_marked_json_lines, as_json_lines_in_gzip]


@pytest.mark.parametrize("pack", [*PACKINGS, as_parquet, as_hub_folders, as_hub_shards])
def test_every_packing_gives_identical_bytes(pack, corpus, raw, tmp_path, text):
    if pack in (as_parquet, as_hub_folders, as_hub_shards):
        pytest.importorskip("datasets")
    folder = tmp_path / "packed"
    folder.mkdir()
    pack(folder, text)
    expected = prepare(corpus, tmp_path / "expected", str(raw))
    found = prepare(corpus, tmp_path / "data", str(folder))
    assert set_bytes(found.path) == set_bytes(expected.path)
    assert found.sha256 == expected.sha256


@pytest.mark.parametrize("place", ["raw/tiny", "raw/tinytext", "tinytext", "."])
def test_a_copy_in_data_dir_is_found(place, corpus, raw, tmp_path):
    folder = tmp_path / "data" / place
    folder.mkdir(parents=True)
    for path in raw.iterdir():
        path.rename(folder / path.name)
    assert ensure_prepared(corpus, tmp_path / "data", None).n_tokens("train") == 21


def test_a_prepared_set_needs_no_source_and_keeps_other_files(corpus, raw, tmp_path):
    lines = []
    first = prepare(corpus, tmp_path / "data", str(raw), lines.append)
    assert lines[0] == f"tiny: reading {raw}/train.txt"
    assert lines[-1] == f"tiny: 21 / 7 / 13 tokens, vocabulary 10, in {tmp_path}/data/tiny"
    (first.path / "notes.txt").write_text("mine")
    assert ensure_prepared(corpus, tmp_path / "data", None, lines.append).sha256 == first.sha256
    with pytest.raises(DataError, match="source=/nowhere is not a folder"):
        ensure_prepared(corpus, tmp_path / "data", "/nowhere", lines.append)
    assert len(lines) == 4
    assert prepare(corpus, tmp_path / "data", str(raw)).sha256 == first.sha256
    assert (first.path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".tiny.lock", "tiny"]


def test_a_set_is_held_against_a_source_where_its_content_is_not_pinned(corpus, raw, tmp_path):
    splits = {**corpus.splits, "train": replace(corpus.splits["train"], sha256=None)}
    loose = replace(corpus, splits=splits)
    first, lines = prepare(loose, tmp_path / "data", str(raw)), []
    assert ensure_prepared(loose, tmp_path / "data", str(raw), lines.append).sha256 == first.sha256
    assert lines == [f"tiny: holding {first.path} against {raw}"]
    (raw / "train.txt").write_text((raw / "train.txt").read_text().replace("cat", "cow"))
    complaint = r"data/tiny was prepared from another train text than that of source=.*raw_text; leave source out, or "
    with pytest.raises(DataError, match=complaint):
        ensure_prepared(loose, tmp_path / "data", str(raw))
    assert ensure_prepared(loose, tmp_path / "data", None).sha256 == first.sha256
    assert ensure_prepared(corpus, tmp_path / "data", str(raw)).sha256 == first.sha256  # pinned: not read again


def test_a_set_of_an_older_version_is_made_anew(corpus, raw, tmp_path):
    path = prepare(corpus, tmp_path / "data", str(raw)).path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"version": 0}))
    lines = []
    assert ensure_prepared(corpus, tmp_path / "data", str(raw), lines.append).manifest == manifest
    assert lines


def test_a_mark_within_a_text_is_a_character(corpus_of, raw, tmp_path, text):
    text["train"][4] = "\ufeffthe end"
    (raw / "train.txt").write_text("".join(f"{line}\n" for line in text["train"]), encoding="utf-8")
    prepared = prepare(corpus_of(text, CHARACTER), tmp_path / "data", str(raw))
    assert "\ufeff" in prepared.vocabulary


def test_a_damaged_gzip_is_one_sentence(corpus, raw, tmp_path):
    path = raw / "train.txt.gz"
    path.write_bytes(gzip.compress((raw / "train.txt").read_bytes())[:-9])
    (raw / "train.txt").unlink()
    complaint = f"{path} cannot be read: Compressed file ended before the end-of-stream marker was reached."
    with pytest.raises(DataError, match=f"^{complaint}$"):
        prepare(corpus, tmp_path / "data", str(raw))


def test_memory_does_not_grow_with_the_text(corpus_of, tmp_path):
    def peak(n_lines):
        line = "the quick brown fox jumps over the lazy dog and runs away from the cat"
        text = {"train": [line] * n_lines, "valid": ["the"], "test": ["the"]}
        folder = tmp_path / str(n_lines)
        folder.mkdir()
        for split, lines in text.items():
            (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
        corpus = corpus_of(text)
        del text
        tracemalloc.start()
        try:
            prepare(corpus, folder, None)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(80_000) < 1.2 * peak(20_000)  # 5.6 and 1.4 MB of text in blocks of one
