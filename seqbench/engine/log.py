"""What a run says: rows in metrics.jsonl, lines or a progress bar on the console, mirrors elsewhere.

metrics.jsonl comes first and holds results alone, no times, so that an interrupted and resumed run leaves the same
bytes as one that was not. Everything else is a mirror.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seqbench.contracts.metrics import finite, in_one_line
from seqbench.data.files.atomic import write_whole
from seqbench.engine.mirror import Mirror
from seqbench.errors import UserError

Row = dict[str, Any]
Saved = dict[str, Any]  # n_rows, n_bytes and sha256 of them


CLOSED = "Standard output was closed"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich would end the process here


class MetricsFile:
    """Append-only JSON lines, each with a `step`. A checkpoint holds how many there were as it was saved and their
    checksum, so that a resumed run goes on from the rows that it had."""

    def __init__(self, path: Path):
        self.path = path
        self._hash, self._n_rows, self._n_bytes = hashlib.sha256(), 0, 0

    def begins_with(self, saved: Saved | None) -> bool:
        """Whether the file begins with the rows that a checkpoint was saved with (None: by an earlier version, which
        did not say)."""
        if saved is None:
            return True
        return hashlib.sha256(self._content()[: saved["n_bytes"]]).hexdigest() == saved["sha256"]

    def rewind(self, saved: Saved | None, step: int) -> None:
        """Drop what came after a checkpoint: all where there is none, whose step is 0. Raises `UserError` where rows of
        an earlier version cannot be read."""
        content = self._content()
        rows = content[: saved["n_bytes"]] if saved else b"".join(self._rows_until(step, content) if step else [])
        write_whole(self.path, rows)
        self._hash, self._n_rows, self._n_bytes = hashlib.sha256(rows), rows.count(b"\n"), len(rows)

    def _rows_until(self, step: int, content: bytes) -> list[bytes]:
        try:
            whole = [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
            return [line for line in whole if json.loads(line)["step"] <= step]
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{self.path} is damaged; force=true starts over.") from None

    def _content(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""

    def append(self, row: Row) -> None:
        line = (json.dumps(finite(row), allow_nan=False) + "\n").encode()
        with open(self.path, "ab") as file:
            file.write(line)
        self._hash.update(line)
        self._n_rows += 1
        self._n_bytes += len(line)

    def last(self, key: str) -> Any:
        """Of the latest row that has it."""
        rows = (json.loads(line) for line in reversed(self._content().splitlines()))
        return next((row[key] for row in rows if key in row), None)

    def sync(self) -> Saved:
        """On disk, before the checkpoint that relies on it and is to hold what this returns."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
        return {"n_rows": self._n_rows, "n_bytes": self._n_bytes, "sha256": self._hash.hexdigest()}


class Log:
    """One of `n_processes` logs; only the leading one says or writes anything."""

    def __init__(self, file: MetricsFile, leads: bool, n_processes: int = 1):
        self.file, self.leads, self.n_processes = file, leads, n_processes
        self._is_closed = False  # standard output
        self.mirrors: list[Mirror] = []
        self.console = _Console(soft_wrap=True, highlight=False)
        self._progress: Progress | None = None
        self._mark = (time.perf_counter(), 0)
        self._rate = 0.0

    def start(self, step: int, max_steps: int, n_tokens: int) -> None:
        self._max_steps, self._first = max_steps, (time.perf_counter(), step)
        self._mark = (time.perf_counter(), n_tokens)
        if self.leads and self.console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._progress = Progress(*columns, console=self.console)
            self._bar = self._progress.add_task("", total=max_steps, completed=step)
            self._progress.start()

    def advance(self, step: int) -> None:
        if self._progress is not None:
            self._progress.update(self._bar, completed=step)

    def train(self, row: Row, n_tokens: int) -> None:
        """One training row, after `n_tokens` of training in all."""
        now, (then, before) = time.perf_counter(), self._mark
        if n_tokens > before:
            self._rate = (n_tokens - before) / max(now - then, 1e-9)
        self._mark = (now, n_tokens)
        self._write(row)
        if not self.leads:
            return
        text = f"loss {row['loss']:.5g}  {self._rate:,.0f} tokens/s"
        if self._progress is not None:
            self._progress.update(self._bar, completed=row["step"], description=text)
        else:
            self.say(f"step {row['step']:>7}/{self._max_steps}  {text}  {self._left(row['step'])} left")

    def evaluation(self, row: Row, n_tokens: int) -> None:
        self._mark = (time.perf_counter(), n_tokens)  # the rate is that of training alone
        self._write(row)
        self.say(
            f"step {row['step']:>7}/{self._max_steps}  train loss {row['train']:.5g}  valid {in_one_line(row['valid'])}"
        )

    def say(self, line: str) -> None:
        if not self.leads:
            return
        try:
            self.console.print(line, markup=False)
        except OSError:  # a pipe that has ended, a terminal that is gone
            self._close_output()

    def why_stop(self) -> str:
        """The reason, if nobody hears this log any more."""
        return CLOSED if self._is_closed else ""

    def _close_output(self) -> None:
        """A run alone goes on to the end of its step, which is saved; several processes would have to agree on one."""
        self._is_closed = self.console.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if self.n_processes > 1:
            raise KeyboardInterrupt(f"{CLOSED}; the last checkpoint is kept, and the same command resumes.")

    def close(self) -> None:
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.stop()
            self._progress = None
        for mirror in self.mirrors:
            mirror.close()

    def _write(self, row: Row) -> None:
        if self.leads:
            self.file.append(row)
            for mirror in self.mirrors:
                mirror.log(row)

    def _left(self, step: int) -> str:
        then, first = self._first
        seconds = (time.perf_counter() - then) / max(step - first, 1) * (self._max_steps - step)
        return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"
