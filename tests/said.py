"""What a refused command says and leaves."""

from pathlib import Path


def one_sentence(said: str) -> str:
    assert said.startswith("seqbench: ") and said.endswith("\n") and said.count("\n") == 1, said
    return said.removeprefix("seqbench: ").strip()


def left(folder: Path) -> list[Path]:
    """The files there; locks and Hydra's note of a sweep do not count."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if path.suffix != ".lock" and path.name != "multirun.yaml"]


def run_id(seqbench, *settings: str) -> str:
    return seqbench("show", *settings)[1].splitlines()[0].removeprefix("run_id: ").strip("'")
