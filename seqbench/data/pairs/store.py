"""Prepared sentence pairs on disk: memory-mapped ids, and the reference text for scoring.

<data_dir>/<corpus>-<key>/   train.source.bin  train.source.offsets.bin     ids, uint16 or uint32; sequence i is
                             train.target.bin  train.target.offsets.bin     ids[offsets[i]:offsets[i + 1]]
                             valid. and test. the same, and {valid,test}.{source,target}.txt, stripped lines
                             subwords.model                                  SentencePiece's file
                             manifest.json                                   settings, counts, checksums; written last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.files.manifest import damaged, read_manifest, set_sha256
from seqbench.data.pairs.source import ParallelCorpus
from seqbench.data.pairs.subword import Subwords
from seqbench.data.sentencepiece_model import KINDS
from seqbench.data.text.corpus import SPLITS
from seqbench.data.text.store import DTYPES

FORMAT = 1  # goes up when the files' layout or contents change
MODEL = "subwords.model"
SIDES = ("source", "target")
SCORED = ("valid", "test")  # the splits whose text is kept, and from which no pair is ever dropped


@dataclass(frozen=True)
class PairSettings:
    """How pairs become ids.

    Training pairs with more than `max_pieces` pieces on a side, or one side more than `max_ratio` times as long as the
    other (null: any), are dropped. `tokenized`: the text is cut into words already (Moses), and is scored so.
    """

    languages: tuple[str, str]
    vocabulary_size: int
    subword: str
    max_pieces: int
    max_ratio: float | None
    tokenized: bool

    def __post_init__(self):
        if self.subword not in KINDS:
            raise ValueError(f"task.subword is one of {', '.join(KINDS)}, not {self.subword!r}")
        if self.max_pieces < 1 or self.vocabulary_size < 1:
            raise ValueError("task.max_pieces and task.vocabulary_size are at least 1")
        if self.max_ratio is not None and self.max_ratio < 1:
            raise ValueError(f"task.max_ratio is at least 1, or null, not {self.max_ratio}")

    def stated(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))  # as a manifest has it: lists for tuples


class Pairs:
    """An opened set; `sha256` is one checksum of all its files.

    Raises `ValueError` and the like for files that do not fit together.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        self.subwords = Subwords(path / MODEL)
        if len(self.subwords) != manifest["settings"]["vocabulary_size"]:
            raise ValueError("the vocabulary has another size than its manifest says")
        self.sha256 = set_sha256(manifest, file_names())
        self._ids, self._offsets = {}, {}
        for split in SPLITS:
            for side in SIDES:
                ids = np.fromfile if manifest["splits"][split][f"n_{side}"] == 0 else np.memmap
                self._ids[split, side] = np.asarray(ids(path / binary(split, side), dtype=DTYPES[manifest["dtype"]]))
                self._offsets[split, side] = np.fromfile(path / offsets(split, side), dtype="<i8")
                self._require_fit(split, side)

    def _require_fit(self, split: str, side: str) -> None:
        starts, n_pairs = self._offsets[split, side], self.manifest["splits"][split]["n_pairs"]
        if len(starts) != n_pairs + 1 or n_pairs < 1:
            raise ValueError(f"{split} has another number of pairs than its manifest says")
        if starts[0] != 0 or starts[-1] != len(self._ids[split, side]) or (np.diff(starts) < 0).any():
            raise ValueError(f"the offsets of {split}.{side} are not those of its ids")
        if split in SCORED and len(self.text(split, side)) != n_pairs:
            raise ValueError(f"{split}.{side} has another number of lines than pairs")

    def published(self, n_pairs: Mapping[str, int]) -> bool:
        """Whether the text had as many pairs as the published one."""
        return all(self.manifest["splits"][split]["n_read"] == count for split, count in n_pairs.items())

    def lengths(self, split: str, side: str) -> np.ndarray:
        """(N,) pieces of each sequence."""
        return np.diff(self._offsets[split, side])

    def sequence(self, split: str, side: str, index: int) -> np.ndarray:
        first, end = self._offsets[split, side][index : index + 2]
        return self._ids[split, side][first:end]

    def text(self, split: str, side: str) -> list[str]:
        """The lines of valid or test, as they were but for blanks around them."""
        return (self.path / text(split, side)).read_bytes().decode().split("\n")[:-1]


def binary(split: str, side: str) -> str:
    return f"{split}.{side}.bin"


def offsets(split: str, side: str) -> str:
    return f"{split}.{side}.offsets.bin"


def text(split: str, side: str) -> str:
    return f"{split}.{side}.txt"


def file_names() -> list[str]:
    """All files of a set but its manifest."""
    ids = [name(split, side) for split in SPLITS for side in SIDES for name in (binary, offsets)]
    return sorted([*ids, *(text(split, side) for split in SCORED for side in SIDES), MODEL])


def place(corpus: ParallelCorpus, settings: PairSettings, data_dir: Path) -> Path:
    """The folder of a set: one for each way of preparing, so that two runs do not overwrite each other's."""
    key = hashlib.sha256(json.dumps(settings.stated(), sort_keys=True).encode()).hexdigest()[:8]
    return data_dir / "-".join(filter(None, (corpus.name, corpus.text, key)))


def open_pairs(corpus: ParallelCorpus, settings: PairSettings, data_dir: Path) -> Pairs | None:
    """The prepared set, its files verified (each once a process); None if there is none of this version.

    Raises `DataError` for one that is damaged or cannot be read.
    """
    path = place(corpus, settings, data_dir)
    command = f"seqbench prepare task={corpus.name} data_dir={data_dir} force=true"
    mend = f"make it anew with `{command}` and the same task settings"
    manifest = read_manifest(path, (FORMAT, corpus.version), file_names(), mend)
    if manifest is None:
        return None
    try:
        return Pairs(path, manifest)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:  # RuntimeError: SentencePiece's
        raise damaged(path, mend) from error
