"""Speed and memory beside peers: what `seqbench bench` wrote, and of which models it is."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

SUITES = Path(__file__).parents[2] / "bench" / "suites"


@dataclass(frozen=True)
class Measured:
    """One shape of a suite: its heading and its table in plain text."""

    heading: str
    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Suite:
    """A file of results/bench. `name` is the file's; `modules` are what its suite imports of seqbench.models."""

    name: str
    title: str
    notes: list[str]
    shapes: list[Measured]
    modules: frozenset[str]


def read_suites(folder: Path) -> list[Suite]:
    """The Markdown files of results/bench, by name; none where there is no such folder."""
    return [_suite(path) for path in sorted(folder.glob("*.md"))]


def _suite(path: Path) -> Suite:
    title, notes, shapes = path.stem, [], []
    for part in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        part = part.strip()
        if part.startswith("# "):
            title = part.removeprefix("# ")
        elif part.startswith("## "):
            shapes.append(Measured(part.removeprefix("## "), [], []))
        elif part.startswith("|") and shapes:
            lines = [_cells(line) for line in part.splitlines()]
            shapes[-1] = Measured(shapes[-1].heading, lines[0], lines[2:])  # the second line is the rule
        elif part and not part.startswith("<!--"):
            notes.append(part)
    return Suite(path.stem, title, notes, shapes, _modules(path.stem.partition(".")[0]))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def is_of(suite: Suite, source: Path | None) -> bool:
    """Whether a suite measures the model of this source: it imports it or, where it imports no model, two of the cells
    that the model is made of."""
    if source is None:
        return False
    models = {module for module in suite.modules if ".cells." not in module}
    module = ".".join(source.relative_to(SUITES.parents[2]).with_suffix("").parts) if _is_ours(source) else ""
    return module in models if models else len(suite.modules & _imports(source)) >= 2


def _is_ours(source: Path) -> bool:
    return source.is_relative_to(SUITES.parents[1])


def _modules(suite: str) -> frozenset[str]:
    """What a suite's source imports of `seqbench.models`."""
    return frozenset(module for source in SUITES.rglob(f"{suite}.py") for module in _imports(source))


def _imports(source: Path) -> set[str]:
    """Read and not imported: torch takes seconds."""
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {module for module in modules if module.startswith("seqbench.models.")}
