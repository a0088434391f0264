"""A text of one's own as ids: nothing is lost but what is cut off, and what is cut off is <unk>."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from own_text import made, splits

from seqbench.data.errors import DataError
from seqbench.data.text.own.build import MODEL, Recipe, ensure_own
from seqbench.data.text.own.files import checksum, find_files
from seqbench.data.text.own.units import Pieces, UnitSettings
from seqbench.data.text.store import Prepared

CONTENT = made()
SHARES = (0.1, 0.1)
PARTS = splits(CONTENT, *SHARES)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("own") / "mine.txt"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def prepared(file, tmp_path):
    def make(unit: str, min_count=1, max_words=None, vocabulary_size=300, source: Path = file) -> Prepared:
        settings = UnitSettings(unit, min_count, max_words, vocabulary_size, "unigram")
        recipe = Recipe(checksum(find_files(str(source))), SHARES, settings)
        return ensure_own(recipe, tmp_path / "data", str(source), False, lambda line: None)

    return make


def tokens(prepared: Prepared, split: str) -> list[str]:
    return [prepared.vocabulary[i] for i in prepared.ids(split)]


def test_words(prepared):
    whole = prepared("word")
    expected = [word for line in PARTS["test"].split("\n")[:-1] for word in [*line.split(), "<eos>"]]
    unseen = {"zebra", "seen", "nowhere", "else"}
    assert tokens(whole, "test") == ["<unk>" if word in unseen else word for word in expected]
    assert "x" in whole.vocabulary and "x\u00a0y" not in whole.vocabulary  # a no-break space ends a word
    assert whole.manifest["splits"]["test"]["n_unknown"] == 4


@pytest.mark.parametrize(("min_count", "max_words"), [(2, None), (1, 5), (3, 4)])
def test_the_vocabulary_is_cut_by_count(min_count, max_words, prepared):
    counts = Counter(PARTS["train"].split())
    ranked = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    kept = ranked[:max_words]
    whole = prepared("word", min_count, max_words)
    assert sorted(whole.vocabulary) == sorted([*kept, "<eos>", "<unk>"])
    in_train = np.bincount(whole.ids("train"), minlength=len(whole.vocabulary))
    assert in_train[whole.vocabulary.index("<unk>")] == sum(counts.values()) - sum(counts[word] for word in kept)
    assert list(in_train) == sorted(in_train, reverse=True)  # ids by falling count


def test_characters_come_back(prepared):
    whole = prepared("character")
    for split in ("train", "valid", "test"):
        characters = [{"<eos>": "\n"}.get(token, token) for token in tokens(whole, split)]
        assert "".join(characters) == "".join(c if c in PARTS["train"] else "<unk>" for c in PARTS[split])
    assert " " in whole.vocabulary and "_" in whole.vocabulary


def test_bytes_come_back(prepared):
    whole = prepared("byte")
    assert len(whole.vocabulary) == 256
    for split in ("train", "valid", "test"):
        assert bytes(map(int, tokens(whole, split))).decode() == PARTS[split]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_subword_pieces_come_back(split, prepared):
    whole = prepared("subword")
    pieces = Pieces((whole.path / MODEL).read_bytes())
    assert pieces.vocabulary == whole.vocabulary and len(whole.vocabulary) == 300
    assert pieces.text(tokens(whole, split)) == PARTS[split]
    assert whole.manifest["splits"][split]["n_unknown"] == 0


@pytest.mark.parametrize("unit", ["word", "character", "byte", "subword"])
def test_what_the_text_has_is_counted_alike_for_all(unit, prepared):
    for split, entry in prepared(unit).manifest["splits"].items():
        text = PARTS[split]
        n_lines = text.count("\n")
        counts = {"n_lines": n_lines, "n_words": len(text.split()), "n_characters": len(text) - n_lines}
        assert {name: entry[name] for name in counts} == counts


def test_a_text_with_unk_written_in_it_has_one_kind_of_unknown(tmp_path, prepared):
    path = tmp_path / "marked.txt"
    path.write_text("a <unk> a b\n" * 8 + "a <unk> c\n" * 2)
    whole = prepared("word", source=path)
    assert sorted(whole.vocabulary) == ["<eos>", "<unk>", "a", "b"]
    assert tokens(whole, "test") == ["a", "<unk>", "<unk>", "<eos>"]


@pytest.mark.parametrize("content", [b"", b"a\n" * 3, b"one line, and no more " * 1_000])
def test_a_text_that_cannot_be_cut_is_one_sentence_and_leaves_nothing(content, tmp_path, prepared):
    path = tmp_path / "short.txt"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"^.*short\.txt \((train|valid)\) has no line: with task\.valid_share=0\.1 and "
    ):
        prepared("word", source=path)
    assert not (tmp_path / "data").exists()


def test_an_empty_split_is_one_sentence(tmp_path, prepared):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("" if name == "valid" else "a b\n")
    with pytest.raises(DataError, match=r"valid\.txt is empty: the valid split needs a line of text\.$"):
        prepared("word", source=tmp_path)


def test_too_many_pieces_are_one_sentence(prepared):
    with pytest.raises(DataError, match=r"cannot be learnt from this text; make task\.vocabulary_size at most \d+\.$"):
        prepared("subword", vocabulary_size=30_000)


def test_another_text_is_refused(file, tmp_path, prepared):
    recipe = Recipe("0" * 64, SHARES, UnitSettings("byte", 1, None, 1, "bpe"))
    with pytest.raises(DataError, match=r"holds another text than this run's \(SHA-256 \w{12}, not 000000000000\)"):
        ensure_own(recipe, tmp_path / "data", str(file), False, lambda line: None)
    with pytest.raises(DataError, match=r"is not prepared in .*; name its file or folder as source=<path>\.$"):
        ensure_own(recipe, tmp_path / "data", None, False, lambda line: None)


def test_a_word_that_is_there_often_enough_is_kept(tmp_path, prepared):
    for name, text in {"train": "a b b c c c\n", "valid": "a\n", "test": "c\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    assert prepared("word", 2, source=tmp_path).vocabulary == ["c", "b", "<eos>", "<unk>"]


@pytest.mark.parametrize("between", ["\t\n", " "])
def test_pieces_are_learnt_from_any_line(between, tmp_path, prepared):
    """SentencePiece's trainer by itself leaves out lines that have a tab or are long."""
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(PARTS["valid"].replace("\n", between))
    whole = prepared("subword", vocabulary_size=281, source=tmp_path)
    assert any("é" in piece for piece in whole.vocabulary)
