"""The models and tasks that have a page: those of conf/, and those of plugins that the ledger has runs of."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seqbench.config.compat_tasks import current_task
from seqbench.config.nodes import files
from seqbench.config.targets import current_target, stable_target
from seqbench.config.values import same


@dataclass(frozen=True)
class Option:
    """`name` is what a user types, the file's in conf/ or, where there is none, the class's; `settings` are the
    file's, without Hydra's defaults; `text` is the file's own."""

    name: str
    target: str
    settings: dict[str, Any]
    text: str = ""

    @property
    def location(self) -> str:
        """Where the class lies now."""
        return current_target(self.target)

    @property
    def family(self) -> str:
        """The folder of the class below its kind's; "" for a class of a plugin or of none."""
        package, *path = self.location.split(".")
        return "/".join(path[1:-2]) if package == "seqbench" else ""

    @property
    def comment(self) -> str:
        """What the file says of itself above its settings."""
        lines = itertools.takewhile(lambda line: line.startswith("#"), self.text.splitlines())
        return " ".join(line.lstrip("# ") for line in lines).rstrip(".")


def options_of(group: str) -> list[Option]:
    """The files of conf/<group>/ that name a class, by name."""
    found = []
    for name, path in sorted(files(group).items()):
        settings = _settings(path)
        if "_target_" in settings:
            target = settings.pop("_target_")
            found.append(Option(name, stable_target(target), settings, path.read_text(encoding="utf-8")))
    return found


def with_those_of(options: list[Option], targets: list[str]) -> list[Option]:
    """`options`, and one more for each target that none of them has."""
    known = {option.target for option in options}
    return [*options, *(Option(target, target, {}) for target in sorted({*targets} - known))]


def nearest(options: list[Option], node: dict[str, Any]) -> Option:
    """The option that a node of a config was made from: of its class, with the most settings as the node has them."""
    target = stable_target(node["_target_"])
    of_class = [option for option in options if option.target == target]
    return max(of_class, key=lambda option: _n_same(option, node))


def task_node(config: dict[str, Any]) -> dict[str, Any]:
    """The task of a resolved config as this version names it."""
    task = current_task(config["task"])
    return {**task, "_target_": stable_target(task["_target_"])}


def models_within(node: Any) -> Iterator[str]:
    """The targets of a model of this package and of the models within it, such as an encoder, in order."""
    if isinstance(node, dict):
        if "_target_" in node and _is_model(node["_target_"]):
            yield stable_target(node["_target_"])
        for value in node.values():
            yield from models_within(value)


@functools.cache
def _is_model(target: str) -> bool:
    """Whether a class of this package is a model, not one of what models are made of."""
    return target.startswith("seqbench.models.") and ".cells." not in current_target(target)


def _settings(path: Path) -> dict[str, Any]:
    """A file's settings over those of the files beside it that it is based on."""
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(node, dict):
        return {}
    settings: dict[str, Any] = {}
    for base in node.pop("defaults", []):
        file = path.parent / f"{base}.yaml"
        if isinstance(base, str) and file.is_file():
            settings |= _settings(file)
    return settings | node


def _n_same(option: Option, node: dict[str, Any]) -> int:
    return sum(key in node and same(value, node[key]) for key, value in option.settings.items())
