"""What a run needs room for before it starts: its folders on disk, and tensors in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqbench.config.schema import Config
from seqbench.errors import UserError

# what torch and numpy say where a tensor has no room, on a CPU and on a GPU
_NO_ROOM = re.compile(
    r"can't allocate memory|not enough memory|out of memory|Storage size calculation overflowed|Unable to allocate|"
    r"Maximum allowed (?:dimension|size) exceeded|array is too big|invalid (?:buffer|storage) size|"
    r"numel: integer multiplication overflow|Array dimensions too large"
)


@contextmanager
def made(*folders: Path) -> Iterator[None]:
    """Make all of them or, where one cannot be made or written, none."""
    for path in (path for folder in folders for path in (folder, *folder.parents)):
        if path.is_symlink() and not path.exists():
            raise UserError(f"Cannot write {path}: it is a link to {path.readlink()}, which does not exist.")
    new: list[Path] = []
    try:
        for folder in folders:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            for path in reversed(missing):
                path.mkdir(exist_ok=True)
                new.append(path)
            folder.mkdir(exist_ok=True)  # says so if it is no folder
        yield
    except OSError:
        for path in reversed(new):
            path.rmdir()
        raise


@contextmanager
def within_memory(config: Config) -> Iterator[None]:
    """Raises `UserError` for an error of memory in the block, with the settings that are large enough to be its
    reason."""
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        refusal = _too_large(error, config)
        if refusal is not None:
            raise refusal from error
        raise


def _too_large(error: BaseException, config: Config) -> UserError | None:
    if not isinstance(error, MemoryError) and not _NO_ROOM.search(str(error)):
        return None
    numbers = dict(_integers("model", config.model)) | dict(_integers("task", config.task))
    numbers |= dict(_integers("network", vars(config.network))) | dict(_integers("head", config.head))
    largest = max(numbers.values(), default=0)
    names = [f"{path}={number}" for path, number in numbers.items() if number * 100 >= largest and number > 1]
    which = "setting is" if len(names) == 1 else "settings are"
    return UserError(f"This run does not fit in memory; its largest {which} {', '.join(sorted(names)[:4])}.")


def _integers(path: str, value: Any):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _integers(f"{path}.{key}", inner)
    elif isinstance(value, list):
        yield path, max((number for item in value for _, number in _integers(path, item)), default=0)
    elif type(value) is int and not path.endswith("seed"):
        yield path, value
