"""Prepared arrays on disk, memory-mapped.

<data_dir>/<name>/   <array>.npy      one for each array, in NumPy's format
                     manifest.json    checksums of files and contents; written last, so its presence says that the set
                                      is whole
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.arrays.published import Published, content_sha256
from seqbench.data.arrays.source import find_files, find_near
from seqbench.data.errors import DataError
from seqbench.data.files.atomic import flush, publish, save
from seqbench.data.files.lock import Progress, once
from seqbench.data.files.manifest import MANIFEST, damaged, files_entry, read_manifest, set_sha256
from seqbench.data.text.source import HUB

FORMAT = 1  # goes up when the files' layout changes; sets of another format are prepared anew


class ArraySet:
    """An opened set, whose arrays are read-only; `sha256` is one checksum of all its files."""

    def __init__(self, path: Path, manifest: dict[str, Any], names: list[str]):
        self.path = path
        self.sha256 = set_sha256(manifest, [_file(name) for name in names])
        self._arrays = {name: np.load(path / _file(name), mmap_mode="r", allow_pickle=False) for name in names}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]


def ensure_arrays(
    published: Published, data_dir: Path, source: str | None, progress: Progress, force: bool = False
) -> ArraySet:
    """The prepared set in `data_dir`: opened if it is there (and not `force`), else prepared from `source`, a folder,
    or None for a copy in `data_dir`. Of several processes one prepares and the others wait for it. Raises `DataError`
    where nothing is found, the content is not the published one, or `data_dir` cannot be written; then nothing new is
    left there.
    """
    opened = None if force else open_arrays(published, data_dir)
    if opened is not None:
        if source not in (None, HUB):
            find_files(published, data_dir, source)  # the content is pinned, so it is not read
        return opened

    def build() -> None:
        _build(published, data_dir, find_files(published, data_dir, source), progress)

    place = data_dir / published.name
    return once(published.name, place, lambda: open_arrays(published, data_dir), build, force, progress)


def are_arrays_at_hand(published: Published, data_dir: Path, source: str | None) -> bool:
    """Whether the set that a run would read is in `data_dir`, or its files on this machine to prepare it from."""
    if source not in (None, HUB):
        return os.path.exists(Path(source).expanduser())
    if os.path.exists(data_dir / published.name / MANIFEST):
        return True
    return source is None and find_near(published, data_dir) is not None


def open_arrays(published: Published, data_dir: Path) -> ArraySet | None:
    """The prepared set, its files verified (each once a process); None if there is none of this version. Raises
    `DataError` for one that is damaged, cannot be read or has another content."""
    path, names = data_dir / published.name, list(published.arrays)
    mend = f"make it anew with `seqbench prepare`, the same task, data_dir={data_dir} and force=true"
    manifest = read_manifest(path, (FORMAT, published.version), [_file(name) for name in names], mend)
    if manifest is None:
        return None
    try:
        if any(published.arrays[name] not in (None, manifest["contents"][name]) for name in names):
            raise DataError(f"{path} was prepared from other data than {published.title}; {mend}.")
        return ArraySet(path, manifest, names)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, mend) from error


def _build(published: Published, data_dir: Path, files: dict[str, Path], progress: Progress) -> None:
    building = data_dir / f".{published.name}.building"
    shutil.rmtree(building, ignore_errors=True)  # left by a process that was killed; the lock says that it is gone
    try:
        building.mkdir()
        for path in files.values():
            progress(f"{published.name}: reading {path}")
        arrays = published.read(files)
        contents = {name: content_sha256(arrays[name]) for name in published.arrays}
        for name, expected in published.arrays.items():
            if expected not in (None, contents[name]):
                raise DataError(
                    f"{next(iter(files.values())).parent} does not hold {published.title} as it is published: {name} "
                    f"differs (SHA-256 {contents[name][:12]}..., expected {expected[:12]}...); name a folder with the "
                    "published files as source=<folder>."
                )
            with (building / _file(name)).open("wb") as file:
                np.save(file, arrays[name], allow_pickle=False)
                flush(file)
        names = [_file(name) for name in published.arrays]
        manifest = {
            "format": FORMAT,
            "name": published.name,
            "version": published.version,
            "contents": contents,
            "files": files_entry(building, names),
        }
        save(building / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        publish(building, data_dir / published.name, names, MANIFEST)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _file(name: str) -> str:
    return f"{name}.npy"
