"""A prepared corpus on disk: token ids as plain binary files, memory-mapped.

<data_dir>/<corpus>/train.bin  valid.bin  test.bin     ids, little-endian uint16 or uint32, nothing else
                    vocabulary.txt                     one token a line; the line number from 0 is the id
                    manifest.json                      counts and checksums; written last, so its presence says
                                                       that the set is whole
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.files.atomic import flush, save
from seqbench.data.files.manifest import MANIFEST, damaged, files_entry, read_manifest, set_sha256
from seqbench.data.text.corpus import SPLITS, Corpus

FORMAT = 1  # goes up when the files' layout changes; sets of another format are prepared anew
DTYPES = {"uint16": "<u2", "uint32": "<u4"}
VOCABULARY = "vocabulary.txt"


def binary(split: str) -> str:
    """Name of a split's file of ids."""
    return f"{split}.bin"


def file_names() -> list[str]:
    """All files of a set but its manifest."""
    return [*(binary(split) for split in SPLITS), VOCABULARY]


class Prepared:
    """An opened set.

    `manifest` is its manifest.json, `vocabulary` the tokens by id, `path` its folder, `sha256` one checksum of all ids
    and the vocabulary. Raises `ValueError` and the like for files that do not fit together.
    """

    manifest: dict[str, Any]
    vocabulary: list[str]
    path: Path
    sha256: str

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        self.vocabulary = (path / VOCABULARY).read_bytes().decode().split("\n")[:-1]
        self.sha256 = set_sha256(manifest, file_names())
        size = np.dtype(DTYPES[manifest["dtype"]]).itemsize
        for split in SPLITS:
            if self.n_tokens(split) * size != manifest["files"][binary(split)]["n_bytes"]:
                raise ValueError(f"{split} has another number of tokens than its manifest says")
        if len(self.vocabulary) != manifest["vocabulary_size"]:
            raise ValueError("the vocabulary has another size than its manifest says")

    def ids(self, split: str) -> np.ndarray:
        """Ids of a split: (n_tokens,) uint16 or uint32, mapped from the file and read-only."""
        dtype = DTYPES[self.manifest["dtype"]]
        if self.n_tokens(split) == 0:  # which cannot be mapped
            return np.zeros(0, dtype)
        return np.memmap(self.path / binary(split), dtype=dtype, mode="r")

    def n_tokens(self, split: str) -> int:
        """Tokens of a split, the <eos> of each line included."""
        return self.manifest["splits"][split]["n_tokens"]


def write_set(
    folder: Path,
    numbers: Mapping[str, Iterable[np.ndarray]],
    id_of_number: np.ndarray,
    vocabulary: Sequence[str],
    stated: Mapping[str, Any],
    names: Iterable[str],
) -> dict[str, Any]:
    """Write a set into a folder, its manifest last, which is returned.

    `numbers` are blocks of each split's tokens, `id_of_number` says what they are written as; `stated` is what the
    manifest says beside the layout, `names` are the set's files, of which others than ids and vocabulary are there.
    """
    dtype = "uint16" if len(vocabulary) <= 1 << 16 else "uint32"
    ids = id_of_number.astype(DTYPES[dtype])
    for split in SPLITS:
        with (folder / binary(split)).open("wb") as file:
            for block in numbers[split]:
                file.write(ids[block].data)
            flush(file)
    save(folder / VOCABULARY, "".join(f"{token}\n" for token in vocabulary))
    manifest = {
        "format": FORMAT,
        **stated,
        "vocabulary_size": len(vocabulary),
        "dtype": dtype,
        "files": files_entry(folder, sorted(names)),
    }
    save(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return manifest


def open_prepared(corpus: Corpus, data_dir: Path) -> Prepared | None:
    """The prepared set of a corpus, its files verified (each once a process); None if there is none of this version.

    Raises `DataError` for a set that is damaged, cannot be read or holds another text.
    """
    path = data_dir / corpus.name
    mend = f"make it anew with `seqbench prepare task={corpus.name} data_dir={data_dir} force=true`"
    manifest = read_manifest(path, (FORMAT, corpus.version), file_names(), mend)
    if manifest is None:
        return None
    try:
        contents = {split: manifest["splits"][split]["source_sha256"] for split in SPLITS}
        if any(corpus.splits[split].sha256 not in (None, contents[split]) for split in SPLITS):
            raise DataError(f"{path} was prepared from another text than {corpus.title}; {mend}.")
        prepared = Prepared(path, manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, mend) from error
    if corpus.tokenizer.start not in prepared.vocabulary:
        raise DataError(f"{path} lacks the token {corpus.tokenizer.start}; {mend}.")
    return prepared
