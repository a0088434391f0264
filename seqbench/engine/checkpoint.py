"""Checkpoints: atomic, checksummed, the last two and the best kept, and those of the last evaluations if their weights
will be averaged.

A file is `<kind>-<step>-<sha256, 12 digits>.pt`: the checksum is part of the name, so a file and its checksum appear in
one rename and cannot disagree by accident of timing. Loading unpickles tensors and plain containers only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import shutil
import warnings
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from seqbench.engine.log import MetricsFile
from seqbench.errors import UserError

KEPT = 2
NAME = re.compile(r"(step|best|evaluated)-(\d{10})-([0-9a-f]{12})\.pt")
Fault = Callable[[Any, int], str | None]  # of a payload, for a step


# what torch.load raises on a file that torch.save has not written
UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


class Unusable(Exception):
    """A checkpoint that is not to be used; why, as the end of a sentence."""


class Checkpoints:
    """The checkpoints of one run, in `folder`.

    - say: prints a line.
    - n_averaged: so many evaluations are kept.
    - parameters: names of the tensors that are averaged; None: all that hold real numbers. What a model keeps beside
      its parameters may be true of one set of them only.
    - fault: what is wrong with a payload that has been read whole, as the end of a sentence.
    - keep_all: every step that is saved is kept.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable = print,
        n_averaged: int = 1,
        fault: Fault = lambda payload, step: None,
        keep_all: bool = False,
        parameters: Container[str] | None = None,
    ):
        self.folder, self.say, self.n_averaged, self.fault = folder, say, n_averaged, fault
        self.keep_all, self.parameters = keep_all, parameters

    def save(self, payload: dict[str, Any], step: int, best: bool, evaluated: bool = False) -> None:
        """Write `payload`, as the best too if `best`, then drop what is no longer kept. Raises `OSError` with nothing
        lost."""
        with self._written(payload, step) as (file, name):
            # these first, so that a run killed in between has them, or makes them again from the step before
            kinds = self._linked(file, name, best, evaluated)
            os.replace(file, self.folder / f"step-{name}")
        self._drop_others(kinds, name)
        for old in self._steps()[:-KEPT]:
            if not self.keep_all or (old.name.startswith(f"step-{step:010d}") and old.name != f"step-{name}"):
                old.unlink()

    def save_evaluated(self, payload: dict[str, Any], step: int, best: bool) -> None:
        """Write `payload`, whose weights were evaluated but are not those that train, as the best if `best` and as one
        of those to be averaged, if any are. Raises `OSError` with nothing lost."""
        if best or self.n_averaged > 1:
            with self._written(payload, step) as (file, name):
                kinds = self._linked(file, name, best, evaluated=True)
            self._drop_others(kinds, name)

    def _linked(self, file: Path, name: str, best: bool, evaluated: bool) -> list[str]:
        """The kinds that a file has been linked as, beside the step's."""
        kinds = ["best"] * best + ["evaluated"] * (evaluated and self.n_averaged > 1)
        for kind in kinds:
            _link(file, self.folder / f"{kind}-{name}")
        return kinds

    def _drop_others(self, kinds: list[str], name: str) -> None:
        if "best" in kinds:
            self._drop_best_but(name)
        if "evaluated" in kinds:
            self._drop_evaluated(name)
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

    def _drop_evaluated(self, name: str) -> None:
        """All but this one and the `n_averaged` - 1 before it."""
        for path in self.folder.glob(f"evaluated-{name.partition('-')[0]}-*.pt"):
            if path.name != f"evaluated-{name}":
                path.unlink()  # of the same step, before the run was resumed
        for path in sorted(self.folder.glob("evaluated-*.pt"))[: -self.n_averaged]:
            path.unlink()

    def load_last(self, rows: MetricsFile | None = None) -> dict[str, Any] | None:
        """The newest sound checkpoint, which, if `rows` is given, it still begins with as it was saved; None where
        there is no checkpoint at all."""
        paths = self._steps()
        refused = f"Every checkpoint in {self.folder} is damaged"
        for index, path in reversed(list(enumerate(paths))):
            try:
                payload = self._read(path)
            except Unusable as fault:
                sentence = f"Checkpoint {path} {fault}"
                refused = sentence if "damaged" not in sentence else refused
            else:
                if rows is None or rows.begins_with(payload.get("metrics")):
                    return payload
                sentence = refused = f"{rows.path} is not as checkpoint {path} left it"
            if index:
                self.say(f"{sentence}; going back to the one before.")
        if paths:
            raise UserError(f"{refused}; force=true starts over.")
        return None

    def load_step(self, step: int) -> dict[str, Any]:
        """The checkpoint of a step, which another process has chosen."""
        (path,) = self.folder.glob(f"step-{step:010d}-*.pt")
        try:
            return self._read(path)
        except Unusable as fault:
            raise UserError(f"Checkpoint {path} {fault} as this process reads it, but not as another does.") from None

    def load_best(self) -> dict[str, Any]:
        """The checkpoint with the best selection metric on valid."""
        paths = sorted(self.folder.glob("best-*.pt"))
        if not paths:
            raise UserError(f"There is no best checkpoint in {self.folder}; {self.remedy()}.")
        return self._read_one("The best checkpoint", paths[-1])

    def load_selected(self, select: str) -> dict[str, Any] | None:
        """The best checkpoint, or, with `n_averaged`, the last one with the mean of the weights at so many evaluations,
        or at all if there are fewer. None: a run's last weights are tested as they are."""
        if select == "best":
            return self.load_best()
        paths = sorted(self.folder.glob("evaluated-*.pt"))
        last = self.load_last()
        if self.n_averaged == 1 or last is None or not paths:
            return None
        total: dict[str, torch.Tensor] = {}
        for path in paths:
            payload = self._read_one("A checkpoint to be averaged", path)
            for name, tensor in payload["network"].items():
                if tensor.is_floating_point() and (self.parameters is None or name in self.parameters):
                    total[name] = total[name] + tensor.double() if name in total else tensor.double()
        network = last["network"]
        mean = {name: (tensor / len(paths)).to(network[name].dtype) for name, tensor in total.items()}
        return {**last, "network": {**network, **mean}}

    def trajectory(self) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """(step, weights) of every checkpoint, in order."""
        for path in self._steps():
            yield int(NAME.fullmatch(path.name)[2]), self._read_one("A checkpoint", path)["network"]  # type: ignore[index]

    def remedy(self) -> str:
        """How to come by a checkpoint that is missing: a finished run is not trained again unless it is forced."""
        if self._steps() or (self.folder.parent / "record.json").exists():
            return "force=true trains the run again"
        return f"seqbench train run={self.folder.parent.name} makes one"

    def _steps(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*.pt") if NAME.fullmatch(path.name))

    def _read_one(self, what: str, path: Path) -> dict[str, Any]:
        try:
            return self._read(path)
        except Unusable as fault:
            raise UserError(f"{what}, {path}, {fault}; force=true trains the run again.") from None

    def _read(self, path: Path) -> dict[str, Any]:
        """A checkpoint's content. Raises `Unusable`."""
        match = NAME.fullmatch(path.name)
        if match is None or _digest(path) != match[3]:
            raise Unusable("is damaged")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a pickle that torch has not written
                payload = torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE:
            raise Unusable("is damaged") from None  # torch's own words are a page on how to unpickle it all the same
        fault = self.fault(payload, int(match[2]))
        if fault:
            raise Unusable(fault)
        return payload


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
