"""Checkpoints: atomic, checksummed, the last two and the best kept.

A file is `<kind>-<step>-<sha256, 12 digits>.pt`: the checksum is part of the name, so a file and its checksum appear in
one rename and cannot disagree by accident of timing. Loading unpickles tensors and plain containers only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
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
        name = self._place(payload, "step", step)
        if best:
            self._link_best(name)
        _sync_folder(self.folder)
        for old in self._steps()[:-KEPT]:
            old.unlink()

    def save_best(self, payload: dict[str, Any], step: int) -> None:
        """Write `payload` as the best alone. Raises `OSError` with nothing lost."""
        self._drop_best_but(self._place(payload, "best", step))
        _sync_folder(self.folder)

    def _place(self, payload: dict[str, Any], kind: str, step: int) -> str:
        """Write a file and give it its name, the part after the kind of which is returned."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "partial"
        try:
            with open(partial, "wb") as file:
                _write(payload, file)
                file.flush()
                os.fsync(file.fileno())
            name = f"{step:010d}-{_digest(partial)}.pt"
            os.replace(partial, self.folder / f"{kind}-{name}")
        finally:
            partial.unlink(missing_ok=True)
        return name

    def _link_best(self, name: str) -> None:
        target = self.folder / f"best-{name}"
        if not target.exists():
            try:
                os.link(self.folder / f"step-{name}", target)
            except OSError:  # a file system without hard links
                shutil.copyfile(self.folder / f"step-{name}", target)
        self._drop_best_but(name)

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
