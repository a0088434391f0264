"""Checkpoints: atomic, checksummed, the last two and the best kept.

A file is `<kind>-<step>-<sha256, 12 digits>.pt`: the checksum is part of the name, so a file and its checksum appear in
one rename and cannot disagree by accident of timing. Loading unpickles tensors and plain containers only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from seqbench.errors import UserError

KEPT = 2


class Checkpoints:
    """The checkpoints of one run, in `folder`. `say` prints a line."""

    def __init__(self, folder: Path, say=print):
        self.folder, self.say = folder, say

    def save(self, payload: dict[str, Any], step: int, best: bool) -> None:
        """Write `payload`, as the best too if `best`, then drop what is no longer kept. Raises `OSError` with nothing
        lost."""
        with self._written(payload, step) as (file, name):
            if best:  # first, so that a run killed in between has it, or makes it again from the step before
                _link(file, self.folder / f"best-{name}")
            os.replace(file, self.folder / f"step-{name}")
        if best:
            self._drop_best_but(name)
        _sync_folder(self.folder)
        for old in self._steps()[:-KEPT]:
            old.unlink()

    def save_best(self, payload: dict[str, Any], step: int) -> None:
        """Write `payload` as the best alone. Raises `OSError` with nothing lost."""
        with self._written(payload, step) as (file, name):
            os.replace(file, self.folder / f"best-{name}")
        self._drop_best_but(name)
        _sync_folder(self.folder)

    @contextlib.contextmanager
    def _written(self, payload: dict[str, Any], step: int) -> Iterator[tuple[Path, str]]:
        """A file on disk that is to be moved to its place, and its name there without the kind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "partial"
        try:
            with open(partial, "wb") as file:
                _write(payload, file)
                file.flush()
                os.fsync(file.fileno())
            yield partial, f"{step:010d}-{_digest(partial)}.pt"
        finally:
            partial.unlink(missing_ok=True)

    def _drop_best_but(self, name: str) -> None:
        for path in self.folder.glob("best-*.pt"):
            if path.name != f"best-{name}":
                path.unlink()

    def load_last(self) -> dict[str, Any] | None:
        """The newest sound checkpoint; None where there is no checkpoint at all."""
        paths = self._steps()
        for path in reversed(paths):
            payload = _read(path)
            if payload is not None:
                return payload
            self.say(f"Checkpoint {path} is damaged; going back to the one before.")
        if paths:
            raise UserError(f"Every checkpoint in {self.folder} is damaged; force=true starts over.")
        return None

    def load_best(self) -> dict[str, Any]:
        """The checkpoint with the best selection metric on valid."""
        paths = sorted(self.folder.glob("best-*.pt"))
        if not paths:
            raise UserError(f"There is no best checkpoint in {self.folder}; train the run first.")
        payload = _read(paths[-1])
        if payload is None:
            raise UserError(f"The best checkpoint, {paths[-1]}, is damaged; force=true trains the run again.")
        return payload

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))


def _link(file: Path, target: Path) -> None:
    """The same content under another name, whole or not at all."""
    try:
        target.unlink(missing_ok=True)
        os.link(file, target)
    except OSError:  # a file system without hard links
        copy = target.with_suffix(".partial")
        shutil.copyfile(file, copy)
        os.replace(copy, target)


def _write(payload: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(payload, file)
    except RuntimeError as error:  # how torch's writer ends after the file's own error, such as a full disk
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _read(path: Path) -> dict[str, Any] | None:
    """A checkpoint's content, or None where it is not what was written."""
    if _digest(path) != path.stem.rpartition("-")[2]:
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()[:12]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
