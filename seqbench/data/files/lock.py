"""What is prepared on the disk is prepared once: of several processes one does it, and the others wait for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from seqbench.data.errors import DataError
from seqbench.data.text.source import Progress

Prepared = TypeVar("Prepared")


def once(
    name: str,
    path: Path,
    opened: Callable[[], Prepared | None],
    build: Callable[[], None],
    force: bool,
    progress: Progress,
) -> Prepared:
    """What is `opened` at `path`, after `build` where nothing is there, or anew if `force`. `name` is the task's.
    Raises `DataError` for a folder that cannot be written."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{path.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"{name}: waiting for another process that prepares it")
            lock.acquire()
        try:
            found = None if force else opened()
            if found is None:
                build()
                found = opened()
        finally:
            lock.release()
    except OSError as error:  # readers turn their own into DataError, so this one comes from writing
        raise DataError(
            f"{name} cannot be prepared in {folder}: {error.strerror or error}; name a folder that can be "
            "written and has room as data_dir=<folder>, and the folder with the raw files as source=<folder>."
        ) from error
    if found is None:
        raise DataError(f"{path} was removed while it was being prepared; prepare it again.")
    return found


def say(line: str) -> None:
    """Progress of a preparation, which may take minutes. On stdout, as training's: stderr is for what went wrong."""
    print(line, flush=True)
