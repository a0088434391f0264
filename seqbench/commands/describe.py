"""One line on each file of conf/: the first line of its class's docstring, or of the file's own comment."""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from seqbench.config.nodes import files
from seqbench.config.plugins import plugin_of

PACKAGE = Path(__file__).parents[1]
WIDTH = 110  # of a comment's sentence; docstrings' first lines are no longer


@dataclass(frozen=True)
class Option:
    """A file of conf/<group>/, with the folder that its class or, for an experiment, the file lies in; "" for none."""

    name: str
    family: str
    line: str


def described(group: str) -> list[Option]:
    """The options of a group, by family and name. The sources are read and not imported, since torch takes seconds."""
    named = files(group)
    targets = {name: _target(file) for name, file in named.items()}
    n_files = Counter(targets.values())
    entries = []
    for name, file in named.items():
        target = targets[name]
        source = _source(target)
        if source is None:
            entries.append(Option(name, name.rpartition("/")[0], _comment(file)))
            continue
        plugin = plugin_of(target)
        family = "/".join(source.relative_to(PACKAGE).parts[1:-1]) if plugin is None else plugin.name
        preset = n_files[target] > 1 and name != source.stem  # a class's own file is named as its module
        entries.append(Option(name, family, _comment(file) if preset else _docstring(source, target)))
    if len({option.family for option in entries}) == 1:  # a family that all share tells nothing
        entries = [replace(option, family="") for option in entries]
    return sorted(entries, key=lambda option: (option.family, option.name))


def _target(file: Path) -> str:
    """The class that a file names, or that the file names which it is based on; "" for none."""
    node = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(node, dict):
        return ""
    bases = [file.parent / f"{base}.yaml" for base in node.get("defaults", []) if isinstance(base, str)]
    inherited = [_target(base) for base in bases if base.is_file()]
    return str(node.get("_target_", next(filter(None, inherited), "")))


def _source(target: str) -> Path | None:
    """The file that a class of this package or of a plugin is named in; None for another's, or for no class."""
    package, *path = target.split(".")
    plugin = plugin_of(target)
    if plugin is not None:
        return plugin.source_of(target.rpartition(".")[0])
    file = PACKAGE.joinpath(*path[:-1]).with_suffix(".py") if package == "seqbench" and len(path) > 1 else None
    return file if file is not None and file.is_file() else None


def _docstring(source: Path, target: str) -> str:
    """The first line of the module's docstring where the module is named as the class; otherwise of the class's."""
    module = ast.parse(source.read_text(encoding="utf-8"))
    name = target.rpartition(".")[2]
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    named_alike = source.stem.replace("_", "") == name.lower()
    documented = module if named_alike or name not in classes else classes[name]
    return (ast.get_docstring(documented) or "").partition("\n")[0].rstrip(".")


def _comment(file: Path) -> str:
    """The comment at the top of a YAML file if it is one line; otherwise its first sentence."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.lstrip("# "))
    text = " ".join(lines)
    if len(lines) > 1:
        text = re.split(r"(?<!\bal)\. (?=[A-Z])", text)[0]
        text = textwrap.shorten(text, WIDTH, placeholder=" ...")
    return text.rstrip(".")
