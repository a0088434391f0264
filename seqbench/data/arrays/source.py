"""Where the raw files of a published set of arrays lie: in a folder that the user names, or in data_dir."""

from __future__ import annotations

import os
from pathlib import Path

from seqbench.data.arrays.published import Published
from seqbench.data.errors import DataError
from seqbench.data.files.blocks import GZIP
from seqbench.data.text.source import HUB


def find_files(published: Published, data_dir: Path, source: str | None) -> dict[str, Path]:
    """The raw files by their keys, from where `source` says: a folder, or None for a copy in `data_dir`. Raises
    `DataError` that says which files to put where."""
    title, names, place = published.title, _names(published), data_dir / published.folders[0]
    if source not in (None, HUB):
        folder = Path(source).expanduser()
        if not os.path.isdir(folder):
            raise DataError(f"source={folder} is not a folder; name the folder that holds {names}.")
        files = _local(published, [folder, *(folder / name for name in published.folders)])
        if files is None:
            raise DataError(f"{folder} holds no file of {title}; it should hold {names}.")
        return files
    files = find_near(published, data_dir) if source is None else None
    if files is None:
        raise DataError(
            f"{title} {'is not at hand' if source is None else 'cannot be fetched from the hub'}; put {names} into "
            f"{place}, or name their folder as source=<folder>."
        )
    return files


def find_near(published: Published, data_dir: Path) -> dict[str, Path] | None:
    """The raw files in a copy in `data_dir`; None where there is no copy."""
    return _local(published, [root / name for root in (data_dir / "raw", data_dir) for name in published.folders])


def _local(published: Published, folders: list[Path]) -> dict[str, Path] | None:
    """The files in the first folder that has one of them; it must then have all."""
    for folder in folders:
        try:
            present = set(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
        files = {key: _file(names, present) for key, names in published.files.items()}
        if not any(files.values()):
            continue
        for key, name in files.items():
            if name is None:
                raise DataError(f"{folder} lacks {published.files[key][0]} (or .gz), a file of {published.title}.")
        return {key: folder / name for key, name in files.items() if name is not None}
    return None


def _file(names: tuple[str, ...], present: set[str]) -> str | None:
    return next((name for stem in names for name in (stem, f"{stem}{GZIP}") if name in present), None)


def _names(published: Published) -> str:
    *others, last = [names[0] for names in published.files.values()]
    return f"{', '.join(others)} and {last} (or .gz)" if others else f"{last} (or .gz)"
