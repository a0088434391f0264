"""What is prepared on the disk is prepared once: of several processes one does it, and the others wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from seqbench.data.errors import DataError

Prepared = TypeVar("Prepared")
Progress = Callable[[str], None]  # told one line of text at a time


def once(
    name: str,
    path: Path,
    opened: Callable[[], Prepared | None],
    build: Callable[[], None],
    force: bool,
    progress: Progress,
) -> Prepared:
    """What is `opened` at `path`, after `build` where nothing is there, or anew if `force`. `name` is the task's.

    Raises `DataError` for a folder that cannot be written, and what `build` raises; then neither the lock nor a folder
    made for it is left.
    """
    folder = path.parent
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        lock = _acquired(folder, path.name, name, progress)
        try:
            prepared = None if force else opened()
            if prepared is None:
                build()
                prepared = opened()
        except (DataError, OSError):
            with contextlib.suppress(OSError):  # a folder that cannot be written
                Path(lock.lock_file).unlink()  # while it is held: those who wait see that it is gone and make another
            raise
        finally:
            lock.release()
    except (DataError, OSError) as error:
        for place in missing:
            with contextlib.suppress(OSError):  # it never was made, or it holds what another process prepares
                place.rmdir()
        if isinstance(error, DataError):
            raise
        # readers turn their own into DataError, so this one comes from writing
        raise DataError(
            f"{name} cannot be prepared in {folder}: {error.strerror or error}; name a folder that can be "
            "written and has room as data_dir=<folder>, and the folder with the raw files as source=<folder>."
        ) from error
    if prepared is None:
        raise DataError(f"{path} was removed while it was being prepared; prepare it again.")
    return prepared


def _acquired(folder: Path, stem: str, name: str, progress: Progress) -> FileLock:
    """The lock beside `folder`/`stem`, held."""
    waits = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{stem}.lock")
        try:
            lock.acquire(timeout=-1 if waits else 0)
            return lock
        except Timeout:
            progress(f"{name}: waiting for another process that prepares it")
            waits = True
        except FileNotFoundError:
            pass  # the process that was waited for failed, and removed the folder that it had made


def say(line: str) -> None:
    """Progress of a preparation, which may take minutes. On stdout, as training's: stderr is for what went wrong."""
    print(line, flush=True)
