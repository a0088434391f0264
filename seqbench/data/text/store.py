"""A prepared corpus on disk: token ids as plain binary files, memory-mapped.

<data_dir>/<corpus>/train.bin  valid.bin  test.bin     ids, little-endian uint16 or uint32, nothing else
                    vocabulary.txt                     one token a line; the line number from 0 is the id
                    manifest.json                      counts and checksums; written last, so its presence says
                                                       that the set is whole
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.text.corpus import SPLITS, Corpus

FORMAT = 1  # goes up when the files' layout changes; sets of another format are prepared anew
DTYPES = {"uint16": "<u2", "uint32": "<u4"}
MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.txt"


def binary(split: str) -> str:
    """Name of a split's file of ids."""
    return f"{split}.bin"


class Prepared:
    """An opened set. `manifest` is its manifest.json, `vocabulary` the tokens by id, `path` its folder, `sha256` one
    checksum of all ids and the vocabulary."""

    manifest: dict[str, Any]
    vocabulary: list[str]
    path: Path
    sha256: str

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        self.vocabulary = (path / VOCABULARY).read_bytes().decode().split("\n")[:-1]
        listing = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(manifest["files"].items()))
        self.sha256 = hashlib.sha256(listing.encode()).hexdigest()

    def ids(self, split: str) -> np.ndarray:
        """Ids of a split: (n_tokens,) uint16 or uint32, mapped from the file and read-only."""
        return np.memmap(self.path / binary(split), dtype=DTYPES[self.manifest["dtype"]], mode="r")

    def n_tokens(self, split: str) -> int:
        """Tokens of a split, the <eos> of each line included."""
        return self.manifest["splits"][split]["n_tokens"]


def open_prepared(corpus: Corpus, data_dir: Path) -> Prepared | None:
    """The prepared set of a corpus, its files verified (each once a process); None if there is none of this version.

    Raises `DataError` for a set that is damaged, cannot be read or holds another text.
    """
    path = data_dir / corpus.name
    try:
        text = (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path / MANIFEST, error) from error
    try:
        manifest = json.loads(text)
        if (manifest["format"], manifest["version"]) != (FORMAT, corpus.version):
            return None
        contents = {split: manifest["splits"][split]["source_sha256"] for split in SPLITS}
        files = {name: (manifest["files"][name]["n_bytes"], manifest["files"][name]["sha256"]) for name in _names()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path / MANIFEST} is damaged; {_mend(corpus, data_dir)}.") from error
    if any(corpus.splits[split].sha256 not in (None, contents[split]) for split in SPLITS):
        raise DataError(f"{path} was prepared from another text than {corpus.title}; {_mend(corpus, data_dir)}.")
    for name, (n_bytes, sha256) in files.items():
        _verify(corpus, data_dir, path / name, n_bytes, sha256)
    return Prepared(path, manifest)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _names() -> list[str]:
    return [*(binary(split) for split in SPLITS), VOCABULARY]


def _verify(corpus: Corpus, data_dir: Path, path: Path, n_bytes: int, sha256: str) -> None:
    try:
        status = path.stat()
        if status.st_size != n_bytes:
            raise DataError(
                f"{path} has {status.st_size:,} bytes where its manifest says {n_bytes:,}; {_mend(corpus, data_dir)}."
            )
        found = _sha256_of_state(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing from its prepared set; {_mend(corpus, data_dir)}.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != sha256:
        raise DataError(f"{path} is damaged (its checksum is not its manifest's); {_mend(corpus, data_dir)}.")


@lru_cache(maxsize=64)
def _sha256_of_state(path: Path, inode: int, size: int, mtime_ns: int) -> str:
    # the file's state is part of the key, so a file is hashed once a process and again when it was written
    return file_sha256(path)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")


def _mend(corpus: Corpus, data_dir: Path) -> str:
    return f"make it anew with `seqbench prepare task={corpus.name} data_dir={data_dir} force=true`"
