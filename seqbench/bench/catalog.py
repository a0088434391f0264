"""Which suites there are: a file each below bench/suites/, where a folder is a group of suites."""

from __future__ import annotations

import importlib
from pathlib import Path

from seqbench.bench.suite import Suite
from seqbench.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent / "suites"


def suite_names() -> list[str]:
    return sorted(path.stem for path in _files())


def group_names() -> list[str]:
    return sorted({path.parent.name for path in _files() if path.parent != FOLDER})


def names() -> list[str]:
    """What a user may ask for: suites and groups. A suite that is named as its group stands for the whole group."""
    return sorted({*suite_names(), *group_names()})


def suites_of(name: str) -> list[Suite]:
    """The suites of a group, or the one suite of that name."""
    if name not in names():
        raise UserError(f"There is no suite '{name}'{did_you_mean(name, names())}; there are {', '.join(names())}.")
    members = [path.stem for path in _files() if path.parent.name == name and path.parent != FOLDER]
    return [load(member) for member in members or [name]]


def load(name: str) -> Suite:
    (path,) = (path for path in _files() if path.stem == name)
    module = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    return importlib.import_module(f"seqbench.bench.suites.{module}").SUITE


def _files() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*.py") if path.stem != "__init__")
