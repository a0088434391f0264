"""What a text corpus is: where its files are looked for and which content they must have.

Two copies of a corpus differ in packing (text, parquet, JSON lines) and in the blanks around lines, which no number
depends on. So what is pinned is the content: the SHA-256 of the UTF-8 text of all lines, each stripped and followed by
one newline. A corpus that is one file cut into splits has the bytes of each cut for its content. Where nobody has
published the content to take a checksum of, the numbers of lines, tokens and types are the check, and the checksum
of the text that was read stands in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seqbench.data.text.tokenizer import Tokenizer

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """One split: the names that its file may have (without suffix), its files on the hub, and its content.

    None: not known, so not checked.
    """

    stems: tuple[str, ...]
    hub_files: tuple[str, ...]
    sha256: str | None  # of the content, as the module says
    n_lines: int | None
    n_tokens: int | None


@dataclass(frozen=True)
class Hub:
    """A dataset repository on the Hugging Face hub; the revision is written as URLs have it."""

    repository: str
    revision: str


@dataclass(frozen=True)
class Corpus:
    """A text corpus under one tokenizer. `name` is also the task's name on the command line.

    `version` goes up when the token ids change, so that sets prepared before are prepared anew. `folders` are names
    of folders that a copy may lie in. `hub` is None where no place is known to fetch it from. `notice` is shown when
    the text is fetched. `suffix` is that of the published files. `vocabulary_size` is None where it is not known.

    `file` names the one file that holds all splits one after another, each `n_tokens` bytes long; such a corpus counts
    the types of the whole file, others those of the train split.
    """

    name: str
    title: str
    version: int
    tokenizer: Tokenizer
    vocabulary_size: int | None
    splits: Mapping[str, Split]
    folders: tuple[str, ...]
    hub: Hub | None
    notice: str
    suffix: str = ".txt"
    file: str | None = None
