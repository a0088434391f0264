"""WikiText: the real text gives the published counts, from each packing; the definitions agree with what is known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import real_data

from seqbench.data.errors import DataError
from seqbench.data.text.build import prepare
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import SPLITS


@pytest.fixture(scope="module")
def real_wikitext2() -> Path:
    """The folder with WikiText-2's {train,valid,test}.txt."""
    return real_data.folder("wikitext-2", "train.txt")


@pytest.fixture(scope="module")
def words(real_wikitext2, tmp_path_factory):
    return prepare(CORPORA["wikitext2"], tmp_path_factory.mktemp("data"), str(real_wikitext2))


def test_published_counts(words):
    assert [words.n_tokens(split) for split in SPLITS] == [2_088_628, 217_646, 245_569]
    assert [words.manifest["splits"][split]["n_words"] for split in SPLITS] == [2_051_910, 213_886, 241_211]
    assert len(set(words.vocabulary)) == 33_278
    assert words.vocabulary[:5] == ["the", ",", ".", "of", "<unk>"]
    assert len(words.manifest["splits"]["train"]["source_sha256"]) == 64


def test_the_text_comes_back(words, real_wikitext2):
    lines = [" ".join(line.split()) for line in (real_wikitext2 / "valid.txt").read_text().split("\n")[:-1]]
    assert lines[0] == "" and lines[1].startswith("= Homarus gammarus")
    tokens = [words.vocabulary[number] for number in words.ids("valid")]
    assert " ".join(tokens) == " ".join(f"{line} <eos>".strip() for line in lines)


def as_zip_members(source: Path, folder: Path) -> None:
    for split in SPLITS:
        shutil.copy(source / f"{split}.txt", folder / f"wiki.{split}.tokens")


def as_a_clone_of_the_hub(source: Path, folder: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (folder / "wikitext-2-v1").mkdir()
    for split in SPLITS:
        lines = (source / f"{split}.txt").read_text().split("\n")[:-1]
        rows = [f"{line}\n" if line.strip() else "" for line in lines]  # as the hub has them
        parquet.write_table(arrow.table({"text": rows}), folder / CORPORA["wikitext2"].splits[split].hub_files[0])


@pytest.mark.parametrize("pack", [as_zip_members, as_a_clone_of_the_hub])
def test_every_packing_gives_the_same_set(pack, words, real_wikitext2, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    pack(real_wikitext2, folder)
    assert prepare(CORPORA["wikitext2"], tmp_path / "data", str(folder)).sha256 == words.sha256


def test_another_valid_split_is_refused(real_wikitext2, tmp_path):
    other = real_data.folder("wikitext-103", "valid.txt")  # as many lines and tokens, other <unk>
    for split in SPLITS:
        shutil.copy((other if split == "valid" else real_wikitext2) / f"{split}.txt", tmp_path)
    with pytest.raises(DataError, match=r"valid.txt is not the valid split of WikiText-2: its 3,760 lines differ"):
        prepare(CORPORA["wikitext2"], tmp_path / "data", str(tmp_path))
    assert not (tmp_path / "data").exists()


def test_wikitext103_small_splits(real_wikitext2, tmp_path):
    shutil.copytree(real_data.folder("wikitext-103", "valid.txt"), tmp_path / "raw")
    shutil.copy(tmp_path / "raw" / "valid.txt", tmp_path / "raw" / "train.txt")
    # its train split is not at hand: valid in its place, and the vocabulary of that
    splits = {
        **CORPORA["wikitext103"].splits,
        "train": replace(CORPORA["wikitext103"].splits["train"], n_lines=3_760, n_tokens=217_646),
    }
    corpus = replace(CORPORA["wikitext103"], splits=splits, vocabulary_size=18_891)
    prepared = prepare(corpus, tmp_path / "data", str(tmp_path / "raw"))
    assert [prepared.n_tokens(split) for split in SPLITS] == [217_646, 217_646, 245_569]


def test_files_on_the_hub_are_named_as_there():
    assert CORPORA["wikitext2"].splits["train"].hub_files == ("wikitext-2-v1/train-00000-of-00001.parquet",)
    assert CORPORA["wikitext103"].splits["train"].hub_files == (
        "wikitext-103-v1/train-00000-of-00002.parquet",
        "wikitext-103-v1/train-00001-of-00002.parquet",
    )
    assert CORPORA["wikitext103"].splits["valid"].hub_files == ("wikitext-103-v1/validation-00000-of-00001.parquet",)
