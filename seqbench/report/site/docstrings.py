"""What the source of a class says of it: its module's docstring and its own, cut into blocks for a page."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from seqbench.config.plugins import plugin_of
from seqbench.config.targets import current_target

PACKAGE = Path(__file__).parents[2]
ARXIV = re.compile(r"(?<![\w./])(\d{4}\.\d{4,5})(?![\w.]*\d)")
_CITATION = re.compile(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*)\)")
_FORMULA = re.compile(r"\d \(?[A-Z]\w*\b")  # as in 4 (H D + H^2), 4 F P^2


@dataclass(frozen=True)
class Block:
    """`kind` is "text", "display" (equations and drawings, to be shown as they are set) or "list"; `lines` are the
    display's lines, the list's items, or the one text."""

    kind: str
    lines: list[str]


@dataclass(frozen=True)
class Described:
    """The docstrings of a class's module and of the class; "" for one that is not there."""

    module: str
    own: str

    @property
    def summary(self) -> str:
        return self.module.partition("\n")[0].rstrip(".")

    @property
    def blocks(self) -> list[Block]:
        return blocks(self.module.partition("\n")[2])

    @property
    def citations(self) -> list[str]:
        """What the module cites: the authors and years in parentheses, and the other numbers at arXiv, in order."""
        parts = [part.strip() for found in _CITATION.findall(self.module) for part in found.split(";")]
        cited = [
            " ".join(part.split()) for part in parts if re.search(r"[A-Z][a-z]+.*\b(19|20)\d\d\b", part, re.DOTALL)
        ]
        others = [number for number in ARXIV.findall(self.module) if not any(number in text for text in cited)]
        return list(dict.fromkeys([*cited, *(f"arXiv {number}" for number in others)]))

    @property
    def parameter_formula(self) -> str | None:
        """The sentence that counts parameters by the shapes' letters, where the module has one."""
        text = " ".join(" ".join(block.lines) for block in blocks(self.module) if block.kind == "text")
        sentences = re.split(r"(?<=[.;]) ", text)
        counting = (one for one in sentences if re.search(r"\b(parameters|numbers|reals)\b", one))
        return next((one.rstrip(";. ") for one in counting if _FORMULA.search(one)), None)


def described(target: str) -> Described:
    """Read, not imported. A class whose source is not here has empty docstrings."""
    source = source_of(target)
    if source is None:
        return Described("", "")
    module = ast.parse(source.read_text(encoding="utf-8"))
    name = target.rpartition(".")[2]
    own = next((node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    return Described(ast.get_docstring(module) or "", (ast.get_docstring(own) or "") if own else "")


def source_of(target: str) -> Path | None:
    """The file of a class of this package or of a plugin, by its name of now or of the first edition."""
    target = current_target(target)
    plugin = plugin_of(target)
    if plugin is not None:
        return plugin.source_of(target.rpartition(".")[0])
    package, *path = target.split(".")
    if package != "seqbench" or len(path) < 2:
        return None
    file = PACKAGE.joinpath(*path[:-1]).with_suffix(".py")
    return file if file.is_file() else None


def blocks(docstring: str) -> list[Block]:
    """Paragraphs, lists of `- ` items, and displays: what is indented, joined across blank lines."""
    found: list[Block] = []
    for part in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = [line.rstrip() for line in part.splitlines()]
        if not any(lines):
            continue
        if all(line.startswith("    ") for line in lines if line):
            if found and found[-1].kind == "display":
                found[-1].lines.extend(["", *lines])
            else:
                found.append(Block("display", lines))
        elif lines[0].startswith("- "):
            items = re.split(r"\n- ", "\n".join(lines).removeprefix("- "))
            found.append(Block("list", [" ".join(item.split()) for item in items]))
        else:
            found.append(Block("text", [" ".join(" ".join(lines).split())]))
    return [Block(block.kind, _dedented(block.lines) if block.kind == "display" else block.lines) for block in found]


def _dedented(lines: list[str]) -> list[str]:
    return inspect.cleandoc("\n" + "\n".join(lines)).splitlines()
