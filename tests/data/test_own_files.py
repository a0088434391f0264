"""Which files are a text of one's own, what is read of them, and where it is cut."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from own_text import made, splits

from seqbench.data.errors import DataError
from seqbench.data.text.own.files import checksum, find_files, split_texts

CONTENT = made()


def read(source: Path, shares=(0.1, 0.1)) -> dict[str, str]:
    texts = split_texts(find_files(str(source)), shares)
    return {split: b"".join(text.blocks()).decode() for split, text in texts.items()}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("shares", [(0.1, 0.1), (0.05, 0.3), (0.5, 0.25)])
def test_a_file_is_cut_at_the_ends_of_lines(file, shares):
    parts = read(file, shares)
    assert parts == splits(CONTENT, *shares)
    assert all(part.endswith("\n") and "\r" not in part for part in parts.values())
    assert "\ufeff" not in parts["train"] and "   indented,  with\ttabs \n" in parts["train"]


def test_the_checksum_is_of_the_text(file, tmp_path):
    before = checksum(find_files(str(file)))
    packed = tmp_path / "elsewhere" / "other.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(CONTENT.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n") + b"\n"))
    assert checksum(find_files(str(packed))) == before
    assert read(packed) == read(file)
    file.write_bytes(CONTENT.replace(b"zebra", b"zebrA"))
    assert checksum(find_files(str(file))) != before


def test_a_folder_of_files_is_one_text_in_the_order_of_their_names(tmp_path):
    for name, text in {
        "b.txt": "b1\nb2",
        "a.txt": "a1\n",
        "c.txt.gz": "",
        ".hidden.txt": "no\n",
        "notes.md": "no",
    }.items():
        pack = gzip.compress if name.endswith(".gz") else bytes
        (tmp_path / name).write_bytes(pack(text.encode()))
    whole = tmp_path / "whole"
    whole.write_text("a1\nb1\nb2\n")
    assert checksum(find_files(str(tmp_path))) == checksum(find_files(str(whole)))
    assert "".join(read(tmp_path, (0.3, 0.3)).values()) == "a1\nb1\nb2\n"


@pytest.mark.parametrize("valid", ["valid.txt", "val.txt.gz", "dev.txt", "validation.txt"])
def test_a_folder_of_three_files_is_not_cut(valid, tmp_path):
    for name, text in (("train.txt", "a\n"), (valid, "b\r\nc"), ("test.txt", "d")):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert read(tmp_path) == {"train": "a\n", "valid": "b\nc\n", "test": "d\n"}
    other = tmp_path / "other.txt"
    other.write_text("a\nb\nc\nd\n")
    assert checksum(find_files(str(tmp_path))) != checksum(find_files(str(other)))


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "has no file that ends in .txt or .txt.gz"),
        (["train.txt", "test.txt"], "has no valid.txt (or .gz) for the valid split, and train.txt"),
        (["train.txt", "valid.txt", "val.txt", "test.txt"], "has valid.txt and val.txt for the valid split"),
    ],
)
def test_a_folder_without_a_text_is_one_sentence(names, complaint, tmp_path):
    for name in names:
        (tmp_path / name).write_text("a\n")
    with pytest.raises(DataError) as error:
        find_files(str(tmp_path))
    assert complaint in str(error.value)


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\r\n\r\ncaf\xe9\r\n")
    with pytest.raises(DataError, match=r"^.*latin\.txt is not UTF-8 text \(line 3\); save it as UTF-8\.$"):
        checksum(find_files(str(path)))


def test_a_torn_gzip_is_one_sentence(tmp_path):
    path = tmp_path / "mine.txt.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-30])
    with pytest.raises(DataError, match=r"mine\.txt\.gz cannot be read"):
        checksum(find_files(str(path)))
