"""What tests of damage share: a run that has several checkpoints, and a file that was cut."""

from pathlib import Path

import small_run

SMALL = [*small_run.SMALL, "train.max_steps=4", "train.eval_every=2", "checkpoint.every=1", "log.every=1"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
