"""Bounds on YAML that comes from a user: what is larger than any config is refused before it is resolved.

A few lines of anchors, each a list of the one before, stand for more values than a machine can hold.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from seqbench.errors import ConfigError

MOST_BYTES = 2**16
MOST_VALUES = 3000
MOST_LEVELS = 30
MOST_REFERENCES = 16  # ${...}, which can double like anchors
MOST_FILES = 2000


def check_folder(place: Path) -> None:
    """Hold each YAML file below a user's folder of configs against the bounds."""
    n_seen = 0
    for root, folders, files in os.walk(place):
        n_seen += len(files) + len(folders)
        if n_seen > MOST_FILES:
            raise ConfigError(f"{place} holds over {MOST_FILES:,} files; name a folder of configs alone.")
        for name in files:
            if name.endswith((".yaml", ".yml")):
                path = Path(root, name)
                if path.exists() and not path.is_file():
                    raise ConfigError(f"{path} is not a file.")
                check_text(read(path), str(path))


def read(path: Path) -> str:
    """The text of a config file; one that is too long is not read to its end."""
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path} is longer than any config: over {MOST_BYTES:,} bytes.")
    return content.decode(errors="replace")


def check_text(text: str, name: str) -> None:
    """Raise `ConfigError` for YAML with too many values, too many levels or an anchor within itself. What is not valid
    YAML is left to whoever reads it, who says where."""
    if text.count("${") > MOST_REFERENCES:
        raise ConfigError(f"{name} has over {MOST_REFERENCES} references ${{...}}.")
    open_nodes: list[_Node] = [_Node(None)]
    sizes: dict[str, _Node] = {}
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                open_nodes.append(_Node(event.anchor))
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                node = open_nodes.pop()
                open_nodes[-1].add(node)
                if node.anchor is not None:
                    sizes[node.anchor] = node
            elif isinstance(event, yaml.AliasEvent):
                if any(node.anchor == event.anchor for node in open_nodes):
                    raise ConfigError(f"{name}: *{event.anchor} stands within itself.")
                open_nodes[-1].add(sizes.get(event.anchor, _Node(None)))
            elif isinstance(event, yaml.ScalarEvent):
                open_nodes[-1].add(_Node(None))
            total = sum(node.n_values for node in open_nodes)
            depth = max(len(open_nodes) + node.n_levels for node in open_nodes[-1:])
            if total > MOST_VALUES:
                raise ConfigError(f"{name} holds over {MOST_VALUES:,} values, more than any config.")
            if depth > MOST_LEVELS:
                raise ConfigError(f"{name} is nested over {MOST_LEVELS} levels deep.")
    except (yaml.YAMLError, ValueError):  # ValueError: a number of a directive
        return


class _Node:
    """A list or mapping on the way: how many values it stands for, and how many levels are below it."""

    def __init__(self, anchor: str | None):
        self.anchor = anchor
        self.n_values = 1
        self.n_levels = 0

    def add(self, inner: _Node) -> None:
        self.n_values += inner.n_values
        self.n_levels = max(self.n_levels, inner.n_levels + 1)
