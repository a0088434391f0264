"""What a text corpus is: where its files are looked for and which content they must have.

Two copies of a corpus differ in packing (text, parquet, JSON lines) and in the blanks around lines, which no number
depends on. So what is pinned is the content: the SHA-256 of the UTF-8 text of all lines, each stripped and followed by
one newline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seqbench.data.tokenizer import Tokenizer

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """One split: the names a file of it may have (without suffix), its files on the hub, and its content."""

    stems: tuple[str, ...]
    hub_files: tuple[str, ...]
    sha256: str  # of the content, as the module says
    n_lines: int
    n_tokens: int


@dataclass(frozen=True)
class Hub:
    """A dataset repository on the Hugging Face hub; the revision is written as URLs have it."""

    repository: str
    revision: str


@dataclass(frozen=True)
class Corpus:
    """A text corpus under one tokenizer. `name` is also the task's name on the command line.

    `version` goes up when the token ids change, so that sets prepared before are prepared anew. `folders` are names
    of folders that a copy may lie in. `notice` is shown when the text is fetched.
    """

    name: str
    title: str
    version: int
    tokenizer: Tokenizer
    vocabulary_size: int
    splits: Mapping[str, Split]
    folders: tuple[str, ...]
    hub: Hub
    notice: str
