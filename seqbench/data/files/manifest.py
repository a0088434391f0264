"""A prepared set's manifest: that it is there says that the set is whole, and its checksums what the files must be.

<set>/manifest.json    {"format": 1, "version": 1, ..., "files": {"train.bin": {"n_bytes": 1859178, "sha256": "..."}}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from seqbench.data.errors import DataError

MANIFEST = "manifest.json"


def read_manifest(path: Path, edition: tuple[int, int], names: Iterable[str], mend: str) -> dict[str, Any] | None:
    """The manifest of the set in a folder, the files `names` held against it; None if there is none of this edition.

    `edition` is the format and the version. Raises `DataError` for a set that is damaged or cannot be read; `mend` ends
    the sentence.
    """
    try:
        text = (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path / MANIFEST, error) from error
    try:
        manifest = json.loads(text)
        if (manifest["format"], manifest["version"]) != edition:
            return None
        expected = {name: _expected(manifest["files"][name]) for name in names}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path / MANIFEST, mend) from error
    for name, (n_bytes, sha256) in expected.items():
        _verify(path / name, n_bytes, sha256, mend)
    return manifest


def files_entry(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a manifest says of its files."""
    return {name: {"n_bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)} for name in names}


def set_sha256(manifest: dict[str, Any], names: Iterable[str]) -> str:
    """One checksum of all files."""
    listing = "".join(f"{name} {manifest['files'][name]['sha256']}\n" for name in sorted(names))
    return hashlib.sha256(listing.encode()).hexdigest()


def damaged(path: Path, mend: str) -> DataError:
    """The error that a file of a set, or the set, is not what it must be."""
    return DataError(f"{path} is damaged; {mend}.")


def _expected(entry: dict[str, Any]) -> tuple[int, str]:
    n_bytes, sha256 = entry["n_bytes"], entry["sha256"]
    if type(n_bytes) is not int or type(sha256) is not str:
        raise TypeError(f"{n_bytes!r} bytes, checksum {sha256!r}")
    return n_bytes, sha256


def _verify(path: Path, n_bytes: int, sha256: str, mend: str) -> None:
    try:
        status = path.stat()
        if status.st_size != n_bytes:
            raise DataError(f"{path} has {status.st_size:,} bytes where its manifest says {n_bytes:,}; {mend}.")
        actual = _sha256_of_state(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing from its prepared set; {mend}.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if actual != sha256:
        raise DataError(f"{path} is damaged (its checksum is not its manifest's); {mend}.")


@lru_cache(maxsize=64)
def _sha256_of_state(path: Path, inode: int, size: int, mtime_ns: int) -> str:
    # the file's state is part of the key, so a file is hashed once a process and again when it was written
    return _sha256(path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")
