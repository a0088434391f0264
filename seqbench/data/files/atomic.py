"""Files that are written whole or not at all.

They are on the disk before anything refers to them: a rename may reach it before what was written.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
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


def write_whole(path: Path, content: str | bytes) -> None:
    """Write or replace a file, whole or not at all. Raises `OSError` with the file's name, and leaves no draft."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        _remove_stale_drafts(path)
        save(draft, content)
        draft.replace(path)
    except OSError as error:
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        draft.unlink(missing_ok=True)


def _remove_stale_drafts(path: Path) -> None:
    """What processes that were killed have left. One that is a minute old may be another machine's."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.draft"):
        pid = draft.name.split(".")[-2]
        with contextlib.suppress(FileNotFoundError):  # another process removes it, too
            if pid.isdigit() and not is_alive(int(pid)) and time.time() - draft.stat().st_mtime > 60:
                draft.unlink()


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        return True
    return True
