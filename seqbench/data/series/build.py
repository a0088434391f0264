"""Preparing series: a CSV file's columns as float64 in one binary file, in a folder for each file and choice.

<data_dir>/series-<key>/    values.bin       (n_rows, n_columns) little-endian float64, in C order
                            manifest.json    columns, counts and checksums; written last
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.files.atomic import publish, save
from seqbench.data.files.lock import Progress, once
from seqbench.data.files.manifest import MANIFEST, damaged, files_entry, read_manifest, set_sha256
from seqbench.data.series.table import read_table
from seqbench.data.text.own.files import WHOLE, checksum

EDITION = (1, 1)  # of the layout, and of what a file becomes
VALUES = "values.bin"


@dataclass(frozen=True)
class SeriesRecipe:
    """What a set is made from: a file, by its checksum, and the columns that are asked for (None: all)."""

    data_sha256: str
    columns: tuple[str, ...] | None

    def name(self) -> str:
        """Of its set's folder."""
        stated = json.dumps([self.data_sha256, self.columns])
        return f"series-{hashlib.sha256(stated.encode()).hexdigest()[:12]}"


class Series:
    """An opened set: `columns` by name, `values` (n_rows, n_columns) float64, `sha256` its checksum."""

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.columns = path, list(manifest["columns"])
        self.values = np.fromfile(path / VALUES, "<f8").reshape(manifest["n_rows"], len(self.columns))
        self.sha256 = set_sha256(manifest, [VALUES])


def csv_checksum(source: str) -> str:
    """The SHA-256 of the text of the file that `source` names, packed or not. Raises `DataError`."""
    return checksum({WHOLE: (_file(source),)})


def ensure_series(recipe: SeriesRecipe, data_dir: Path, source: str | None, force: bool, progress: Progress) -> Series:
    """The prepared set in `data_dir`: opened if it is there (and not `force`), else prepared from `source`.

    Raises `DataError` where `source` is another file, where there is neither, and for a file that cannot be used.
    """
    if source is not None and csv_checksum(source) != recipe.data_sha256:
        raise DataError(
            f"source={source} holds other series than this run's (SHA-256 {csv_checksum(source)[:12]}, not "
            f"{recipe.data_sha256[:12]}): leave task.data_sha256 out, or name the run's own file."
        )

    def build() -> None:
        if source is None:
            raise DataError(
                f"The series of this run (SHA-256 {recipe.data_sha256[:12]}) are not prepared in {data_dir}; name "
                "their file as source=<file>."
            )
        _build(recipe, data_dir / recipe.name(), _file(source), progress)

    path = data_dir / recipe.name()
    return once("series", path, lambda: open_series(recipe, data_dir), build, force, progress)


def open_series(recipe: SeriesRecipe, data_dir: Path) -> Series | None:
    """The prepared set, verified; None if there is none. Raises `DataError` for one that is damaged."""
    path = data_dir / recipe.name()
    mend = "make it anew with `seqbench prepare`, the same settings and force=true"
    manifest = read_manifest(path, EDITION, [VALUES], mend)
    if manifest is None:
        return None
    try:
        return Series(path, manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, mend) from error


def _build(recipe: SeriesRecipe, path: Path, file: Path, progress: Progress) -> None:
    progress(f"series: reading {file}")
    table = read_table(file, recipe.columns)
    if table.left_out:
        progress(f"series: left out, because they begin with no number: {_listed(table.left_out)}")
    building = path.with_name(f".{path.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # left by a process that was killed; the lock says that it is gone
    try:
        building.mkdir()
        save(building / VALUES, table.values.astype("<f8").tobytes())
        manifest = {
            "format": EDITION[0],
            "version": EDITION[1],
            "text_sha256": recipe.data_sha256,
            "columns": table.columns,
            "n_rows": len(table.values),
            "files": files_entry(building, [VALUES]),
        }
        save(building / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        publish(building, path, [VALUES], MANIFEST)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "the column without a name" for name in names)


def _file(source: str) -> Path:
    file = Path(source).expanduser()
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise DataError(f"source={source} {what}; name a CSV file (or .csv.gz).")
    return file
