"""What a command says and leaves."""

import json
from pathlib import Path
from typing import Any


def one_sentence(said: str) -> str:
    assert said.startswith("seqbench: ") and said.endswith("\n") and said.count("\n") == 1, said
    return said.removeprefix("seqbench: ").strip()


def left(folder: Path) -> list[Path]:
    """The files there; locks and Hydra's note of a sweep do not count."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if path.suffix != ".lock" and path.name != "multirun.yaml"]


def run_id(seqbench, *settings: str) -> str:
    return seqbench("show", *settings)[1].splitlines()[0].removeprefix("run_id: ").strip("'")


def rows(folder: Path) -> list[dict[str, Any]]:
    """Those of the metrics.jsonl of the only run below `folder`."""
    (path,) = folder.rglob("metrics.jsonl")
    return [json.loads(row) for row in path.read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    """Of each step that `rows` tells of."""
    return [row["loss"] for row in rows(folder) if "loss" in row]
