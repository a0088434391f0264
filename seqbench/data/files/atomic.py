"""Files of a prepared set, written to the disk before anything refers to them.

A rename may reach the disk before what was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO


def save(path: Path, content: str | bytes) -> None:
    """Write a file that is on the disk when this returns."""
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        flush(file)


def flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def publish(building: Path, path: Path, names: Iterable[str], manifest: str) -> None:
    """Move the files of a set from where it was built into its folder, the manifest last. Others there are left."""
    path.mkdir(exist_ok=True)
    (path / manifest).unlink(missing_ok=True)
    for name in (*names, manifest):
        (building / name).replace(path / name)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
