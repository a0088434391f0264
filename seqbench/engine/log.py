"""What a run says: rows in metrics.jsonl, lines or a progress bar on the console, mirrors elsewhere.

metrics.jsonl comes first and holds results alone, no times, so that an interrupted and resumed run leaves the same
bytes as one that was not. Everything else is a mirror.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seqbench.contracts.metrics import finite, in_one_line
from seqbench.engine.mirror import Mirror

Row = dict[str, Any]


class MetricsFile:
    """Append-only JSON lines, each with a `step`."""

    def __init__(self, path: Path):
        self.path = path

    def truncate(self, step: int) -> None:
        """Drop the rows after `step`, and a last line that was cut off."""
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        temporary = self.path.with_suffix(".partial")
        temporary.write_text("".join(kept))
        os.replace(temporary, self.path)

    def append(self, row: Row) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(finite(row), allow_nan=False) + "\n")

    def sync(self) -> None:
        """On disk, before the checkpoint that relies on it."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())


class Log:
    """One process's log; only the leading one says or writes anything."""

    def __init__(self, file: MetricsFile, leads: bool):
        self.file, self.leads = file, leads
        self.mirrors: list[Mirror] = []
        self.console = Console(soft_wrap=True, highlight=False)
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
        if self.leads:
            self.console.print(line, markup=False)

    def close(self) -> None:
        if self._progress is not None:
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
