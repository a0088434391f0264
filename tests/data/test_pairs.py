"""Sentence pairs from files to ids: what is kept, what is counted, what is refused, and that nothing is lost."""

from __future__ import annotations

import codecs
import gzip
import json
import shutil

import pytest
from made_pairs import SETTINGS, lines

from seqbench.data.errors import DataError
from seqbench.data.pairs import build as pair_build
from seqbench.data.pairs.build import ensure_pairs
from seqbench.data.pairs.corpora import MULTI30K, WMT14_FRENCH
from seqbench.data.pairs.store import PairSettings


def test_every_pair_comes_back(raw_pairs, pair_text, tmp_path):
    pairs = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs()))
    for split, stem in (("train", "train"), ("valid", "val"), ("test", "test_2016_flickr")):
        for side, name in enumerate(("source", "target")):
            ids = [pairs.sequence(split, name, i) for i in range(len(pair_text[stem]))]
            assert pairs.subwords.decode(ids) == lines(pair_text[stem], side)
            assert pairs.lengths(split, name).tolist() == [len(one) for one in ids]
            if split != "train":
                assert pairs.text(split, name) == lines(pair_text[stem], side)
    assert pairs.manifest["splits"]["train"]["n_pairs"] == 200
    assert len(pairs.subwords) == 300


def test_gzip_is_the_same_set(raw_pairs, tmp_path):
    folder = raw_pairs()
    plain = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "one", str(folder))
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert ensure_pairs(MULTI30K, SETTINGS, tmp_path / "two", str(folder)).sha256 == plain.sha256
    (folder / "train.en.gz").write_bytes((folder / "train.en.gz").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.en\.gz cannot be read"):
        ensure_pairs(MULTI30K, SETTINGS, tmp_path / "three", str(folder))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_mark_before_a_file_is_no_part_of_its_first_line(pack, raw_pairs, pair_text, tmp_path):
    folder = raw_pairs()
    plain = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "one", str(folder))
    for path in list(folder.iterdir()):
        content = pack(codecs.BOM_UTF8 + path.read_bytes())
        path.unlink()
        path.with_name(path.name + (".gz" if pack is gzip.compress else "")).write_bytes(content)
    marked = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "two", str(folder))
    assert marked.sha256 == plain.sha256
    references = marked.text("test", "target")
    assert references == lines(pair_text["test_2016_flickr"], 1)
    assert marked.subwords.decode(marked.subwords.encode(references)) == references


def test_what_cannot_serve_is_counted(raw_pairs, pair_text, tmp_path):
    odd = [("word " * 10_000, "Wort"), ("", "leer"), ("empty", "  "), ("a dog", "ein Hund " * 8)]
    english = "".join(f"{row[0]}\n" for row in [*pair_text["train"], *odd]).encode() + b"caf\xe9\n"
    german = "".join(f"{row[1]}\n" for row in [*pair_text["train"], *odd, ("", "Café")]).encode()
    pairs = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs(train__en=english, train__de=german)))
    split = pairs.manifest["splits"]["train"]
    assert split["skipped"] == {"empty": 2, "invalid_utf8": 1, "long": 1, "ratio": 1}
    assert split["n_read"] == 205 and split["n_pairs"] == 200
    assert pairs.subwords.decode([pairs.sequence("train", "source", 199)]) == [pair_text["train"][199][0]]


def test_only_newlines_end_lines_and_unknown_characters_survive(raw_pairs, pair_text, tmp_path):
    strange = "a\x0bdog\x85and\u2028a 🦊 „café“"
    english = "".join(f"{row[0]}\n" for row in pair_text["val"]) + strange  # and no newline at the end
    german = "".join(f"{row[1]}\n" for row in pair_text["val"]) + "Fuchs\r\n"
    pairs = ensure_pairs(
        MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs(val__en=english.encode(), val__de=german.encode()))
    )
    assert pairs.text("valid", "source")[20] == strange and pairs.text("valid", "target")[20] == "Fuchs"
    assert pairs.subwords.decode([pairs.sequence("valid", "source", 20)])[0].endswith("🦊 „café“")


def test_an_empty_line_of_test_is_kept(raw_pairs, pair_text, tmp_path):
    english = "".join(f"{row[0]}\n" for row in pair_text["test_2016_flickr"]) + "\n"
    german = "".join(f"{row[1]}\n" for row in pair_text["test_2016_flickr"]) + "\n"
    folder = raw_pairs(test_2016_flickr__en=english.encode(), test_2016_flickr__de=german.encode())
    pairs = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(folder))
    assert pairs.text("test", "target")[15] == "" and len(pairs.sequence("test", "source", 15)) == 0


REFUSED = [
    (
        {"train__en": b"a dog\n"},
        r"train\.en has 1 lines and .*train\.de 200: they are not parallel; fetch them again\.",
    ),
    ({"train__de": b"ein\n" * 207}, r"train\.en has 200 lines and .*train\.de 207: they are not parallel"),
    (
        {"train__en": b"one\n" * 10_007, "train__de": b"ein\n" * 10_005},
        r"train\.de has 10,005 lines and .*train\.en 10,007: they are not parallel",
    ),
    ({"val__en": b"caf\xe9\n" * 20}, r"line 1 of .*val\.en or of its other side is not UTF-8 text; save it as UTF-8"),
    (
        {"val__en": b"a\n" * 19 + b"dog " * 10_000},
        r"line 20 of .*val\.en or of its other side has 10,\d+ pieces, more than 4 times task\.max_pieces=40; raise",
    ),
    ({"train__en": b"\n" * 200}, r"train\.en has no pair of two lines to train on\."),
    ({"train__en": b"he &apos;s here\n" * 200}, r"200 of 200 pairs of .*marks of Moses's tokenizer .*tokenized=true"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=range(len(REFUSED)))
def test_refused_in_one_sentence_with_nothing_left(raw_pairs, tmp_path, change, said):
    with pytest.raises(DataError, match=said):
        ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs(**change)))
    assert not (tmp_path / "data").exists()


def test_missing_sides_splits_and_languages(raw_pairs, tmp_path):
    data, folder = tmp_path / "data", raw_pairs()
    (folder / "train.de").unlink()
    with pytest.raises(DataError, match=r"raw has train\.en but not train\.de \(or \.gz\), its other side"):
        ensure_pairs(MULTI30K, SETTINGS, data, str(folder))
    (folder / "train.en").unlink()
    with pytest.raises(DataError, match=r"raw has nothing for the train split; add train\.en and train\.de"):
        ensure_pairs(MULTI30K, SETTINGS, data, str(folder))
    for languages, said in (
        (("en", "fr"), "has the languages en and de, not 'fr'"),
        (("de", "de"), "not from de into it"),
    ):
        with pytest.raises(DataError, match=said):
            ensure_pairs(MULTI30K, PairSettings(languages, 300, "bpe", 40, None, False), data, str(folder))
    with pytest.raises(DataError, match=r"nowhere is not a folder; name the folder that holds train\.en, train\.de"):
        ensure_pairs(MULTI30K, SETTINGS, data, "nowhere")
    with pytest.raises(DataError, match=r"holds no file of WMT14 English-French; it should hold train\.en, train\.fr"):
        (tmp_path / "empty").mkdir()
        settings = PairSettings(("en", "fr"), 300, "bpe", 40, None, False)
        ensure_pairs(WMT14_FRENCH, settings, data, str(tmp_path / "empty"))
    with pytest.raises(DataError, match="Multi30k is not at hand and cannot be fetched, because it is on no hub; put"):
        ensure_pairs(MULTI30K, SETTINGS, data, None)


@pytest.mark.parametrize(("size", "said"), [(50, "at least 2"), (100_000, "at most ")])
def test_a_vocabulary_that_cannot_be(raw_pairs, tmp_path, size, said):
    settings = PairSettings(("en", "de"), size, "bpe", 40, None, False)
    with pytest.raises(DataError, match=rf"{size:,} bpe pieces cannot be learnt .* task\.vocabulary_size {said}\d+\."):
        ensure_pairs(MULTI30K, settings, tmp_path / "data", str(raw_pairs()))
    assert not (tmp_path / "data").exists()


def test_settings_have_folders_of_their_own_and_a_set_is_opened_without_the_text(raw_pairs, tmp_path):
    folder, data = raw_pairs(), tmp_path / "data"
    other = PairSettings(("de", "en"), 290, "unigram", 40, None, False)
    first, second = (ensure_pairs(MULTI30K, one, data, str(folder)) for one in (SETTINGS, other))
    assert first.path != second.path
    assert second.text("valid", "source") == first.text("valid", "target")
    shutil.rmtree(folder)
    assert ensure_pairs(MULTI30K, SETTINGS, data, None).sha256 == first.sha256


@pytest.mark.parametrize("stem", ["train", "val", "test_2016_flickr"])
def test_a_set_is_not_taken_for_that_of_another_text(raw_pairs, pair_text, tmp_path, stem):
    data, folder = tmp_path / "data", str(raw_pairs())
    first = ensure_pairs(MULTI30K, SETTINGS, data, folder)
    assert ensure_pairs(MULTI30K, SETTINGS, data, folder).sha256 == first.sha256
    german = "".join(f"{row[1]}\n" for row in [*pair_text[stem][:-1], ("", "Hund")]).encode()
    split = {"val": "valid", "test_2016_flickr": "test"}.get(stem, stem)
    with pytest.raises(DataError, match=f"was prepared from another {split} text than that of source="):
        ensure_pairs(MULTI30K, SETTINGS, data, str(raw_pairs(**{f"{stem}__de": german})))


def test_other_pairs_than_the_published_ones_are_told_apart(raw_pairs, tmp_path):
    pairs = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs()))
    assert pairs.published({"train": 200, "test": 15}) and not pairs.published(MULTI30K.n_pairs)


@pytest.mark.parametrize("side", [0, 1])
def test_no_piece_is_learnt_from_a_pair_that_is_dropped(raw_pairs, pair_text, tmp_path, side):
    odd = [("a dog", "ein Hund"), ("a dog", "ein Hund")]
    odd[0] = (*odd[0][:side], "ŵŵ " * 300, *odd[0][side + 1 :])
    odd[1] = (*odd[1][:side], "žž" + " " * 700 + "žž", *odd[1][side + 1 :])  # blanks make no pieces
    rows = [*pair_text["train"], *odd * 40]
    english, german = ("".join(f"{row[i]}\n" for row in rows).encode() for i in (0, 1))
    pairs = ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs(train__en=english, train__de=german)))
    assert pairs.manifest["splits"]["train"]["skipped"]["long"] == 40
    dropped, kept = pairs.subwords.encode(["ŵŵ", "žž"])
    assert len(dropped) == 1 + 4 and len(kept) <= 1 + 2  # a blank, and two bytes a letter that was not learnt


def test_subwords_are_learnt_from_every_kth_pair(raw_pairs, pair_text, tmp_path, monkeypatch):
    given, learn = [], pair_build.learn

    def listening(lines, *settings):
        given.extend(lines)
        return learn(given, *settings)

    monkeypatch.setattr(pair_build, "learn", listening)
    monkeypatch.setattr(pair_build, "_SAMPLE", 60)
    ensure_pairs(MULTI30K, SETTINGS, tmp_path / "data", str(raw_pairs()))
    assert given == [line for pair in pair_text["train"][::4] for line in pair]


def test_the_manifest_states_how_it_was_made(raw_pairs, tmp_path):
    manifest = json.loads(
        (ensure_pairs(MULTI30K, SETTINGS, tmp_path / "d", str(raw_pairs())).path / "manifest.json").read_text()
    )
    assert manifest["settings"]["subword"] == "bpe" and manifest["normalisation"] == "nmt_nfkc"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subword": "words"}, "task.subword is one of bpe, unigram, not 'words'"),
        ({"max_pieces": 0}, "task.max_pieces and task.vocabulary_size are at least 1"),
        ({"max_ratio": 0.5}, "task.max_ratio is at least 1, or null, not 0.5"),
    ],
)
def test_settings_that_cannot_be(wrong, said):
    plain = {"languages": ("en", "de"), "vocabulary_size": 300, "subword": "bpe", "max_pieces": 9, "max_ratio": None}
    with pytest.raises(ValueError, match=said):
        PairSettings(**{**plain, "tokenized": False, **wrong})
