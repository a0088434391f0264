"""Small corpora with checksums of their own, the real Penn Treebank where it lies, and a user without root's rights."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import real_data
from made_pairs import made

import seqbench
from seqbench.data.text.corpus import Corpus, Hub, Split
from seqbench.data.text.tokenizer import WORD, Tokenizer

REPOSITORY = Path(seqbench.__file__).parents[1]

TEXT = {
    "train": ["the cat sat", "the dog sat on the <unk>", "a cat and a dog", "", "the end"],
    "valid": ["a dog sat", "the cat"],
    "test": ["the dog and the cat sat", "on a <unk>", "end"],
}


@pytest.fixture
def text() -> dict[str, list[str]]:
    return {split: list(lines) for split, lines in TEXT.items()}


@pytest.fixture
def corpus_of() -> Callable[..., Corpus]:
    """A corpus named "tiny" with the given lines; its counts are made here, apart from the code under test."""

    def make(text: dict[str, list[str]], tokenizer: Tokenizer = WORD) -> Corpus:
        splits, tokens = {}, {}
        for split, lines in text.items():
            pieces = [line.split() if tokenizer is WORD else list(line) for line in lines]
            tokens[split] = [piece for line in pieces for piece in [*line, "<eos>"]]
            content = "".join(f"{line}\n" for line in lines).encode()
            stems = (f"tiny.{split}", split, "validation") if split == "valid" else (f"tiny.{split}", split)
            splits[split] = Split(
                stems, (f"rows/{split}.parquet",), hashlib.sha256(content).hexdigest(), len(lines), len(tokens[split])
            )
        return Corpus(
            name="tiny",
            title="the tiny corpus",
            version=1,
            tokenizer=tokenizer,
            vocabulary_size=len(set(tokens["train"])),
            splits=splits,
            folders=("tinytext",),
            hub=Hub("owner/tiny", "refs%2Fconvert%2Fparquet"),
            notice="made by a test",
        )

    return make


@pytest.fixture
def corpus(corpus_of, text) -> Corpus:
    return corpus_of(text)


@pytest.fixture
def raw(tmp_path: Path, text) -> Path:
    """A folder with the tiny corpus as text."""
    folder = tmp_path / "raw_text"
    folder.mkdir()
    for split, lines in text.items():
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture
def pair_text() -> dict[str, list[tuple[str, str]]]:
    """The pairs of each of Multi30k's files."""
    return {"train": made(200), "val": made(20, 1), "test_2016_flickr": made(15, 2)}


@pytest.fixture
def raw_pairs(tmp_path, pair_text):
    """Writes them to a folder, but for what is changed: `raw_pairs(train__en=b"...")`."""

    def write(**changed: bytes) -> Path:
        folder = tmp_path / "raw"
        folder.mkdir(exist_ok=True)
        for stem, rows in pair_text.items():
            for side, language in enumerate(("en", "de")):
                (folder / f"{stem}.{language}").write_text("".join(f"{row[side]}\n" for row in rows))
        for name, content in changed.items():
            (folder / name.replace("__", ".")).write_bytes(content)
        return folder

    return write


@pytest.fixture
def client(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Starts a process that prepares a corpus and prints progress, then the set's checksum or "ERROR: ..."."""
    code = """
import pickle, sys
from pathlib import Path
from seqbench.data.text.build import ensure_prepared
from seqbench.data.errors import DataError
corpus = pickle.loads(Path(sys.argv[1]).read_bytes())
try:
    data_dir, source = Path(sys.argv[2]), sys.argv[3] or None
    result = ensure_prepared(corpus, data_dir, source, lambda line: print(line, flush=True)).sha256
except DataError as error:
    result = f"ERROR: {error}"
print(result)
"""

    def start(corpus: Corpus, data_dir: Path, source: Path | str | None, **environment: str) -> subprocess.Popen:
        pickled = tmp_path / "corpus.pickle"
        pickled.write_bytes(pickle.dumps(corpus))
        unset = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.Popen(
            [sys.executable, "-c", code, str(pickled), str(data_dir), str(source or "")],
            env=inherited | {"PYTHONPATH": str(REPOSITORY), "HF_HOME": str(tmp_path / "hf")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def plain_user() -> Iterator[Path]:
    """An empty folder, and for the length of the test no right to pass over permissions (root has it)."""
    folder = Path(tempfile.mkdtemp(prefix="seqbench-"))
    folder.chmod(0o777)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o777)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def real_ptb() -> Path:
    """The folder with ptb.{train,valid,test}.txt."""
    return real_data.folder("ptb", "ptb.train.txt")
