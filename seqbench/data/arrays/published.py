"""What a published set of arrays is: where its files are looked for, how they are read, and which content they have.

What is pinned is the content, whatever files it came in: the SHA-256 of each array that is read from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Published:
    """A data set. `name` is also that of its prepared folder.

    `files` says, for each raw file, which names it may have; each may end in .gz, and a name may be a folder's. `read`
    makes the arrays of them, by the same keys; `arrays` holds each array's name and the checksum of its content (None:
    not known, so not checked). `version` goes up when the arrays change. `folders` are names of folders that a copy may
    lie in.
    """

    name: str
    title: str
    version: int
    folders: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[Mapping[str, Path]], Arrays]
    arrays: Mapping[str, str | None]


def content_sha256(array: np.ndarray) -> str:
    """The checksum of an array: of its type, shape and numbers."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
