"""What `seqbench eval` found of a run beside its plain metrics: name -> split -> a list, one entry for each settings.

An entry holds "settings" and "metrics", what kind the evaluation is, and what else it tells of itself. Older records
hold one entry in place of a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from seqbench.config.nodes import plugin_folders
from seqbench.config.plugins import plugin_of
from seqbench.config.schema import folder
from seqbench.config.values import same
from seqbench.errors import ConfigError, UserError

PLAIN = "static"  # what training selects by and a record's metrics come from
_OF_NO_INFLUENCE = {"batch_size"}

Found = dict[str, Any]
Evaluations = dict[str, dict[str, list[Found]]]


def name_of(node: Mapping[str, Any]) -> str:
    """The name of a node's evaluation, as its file in conf/evaluation/ is called: the module of its class."""
    return node["_target_"].split(".")[-2]


def known_names() -> list[str]:
    """The evaluations beside the plain one that this version and the plugins have. A record may hold others, which are
    carried."""
    return sorted({*own_names("evaluation"), *plugin_names("evaluation")} - {PLAIN})


def own_names(kind: str) -> list[str]:
    """The evaluations or analyses of this version."""
    return sorted(path.stem for path in (folder() / kind).glob("*.yaml"))


def plugin_names(kind: str) -> list[str]:
    """Those that have a file in the conf/ of a plugin, as `name_of` calls them. Raises `UserError` for a file that is
    no YAML."""
    nodes = [_read(path) for place in plugin_folders() for path in sorted((place / kind).rglob("*.yaml"))]
    targets = [node.get("_target_") for node in nodes if isinstance(node, dict)]
    return sorted({name_of({"_target_": target}) for target in targets if "." in str(target)})


def name_in_record(kind: str, node: Mapping[str, Any]) -> str:
    """What a record calls the findings of a node. Raises `ConfigError` where a plugin's would go by a name of ours, and
    a table could not tell whose numbers they are."""
    name = name_of(node)
    if plugin_of(str(node["_target_"])) and name in own_names(kind):
        raise ConfigError(
            f"What {node['_target_']} finds would be kept as {name}, the name of one of seqbench's own: call its "
            "module something else."
        )
    return name


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error


def listed(evaluations: Mapping[str, Mapping[str, Any]]) -> Evaluations:
    """The lists, of a record of whatever age."""
    return {
        name: {split: [found] if isinstance(found, dict) else list(found) for split, found in splits.items()}
        for name, splits in evaluations.items()
    }


def fits(found: Found, settings: Mapping[str, Any]) -> bool:
    """Whether an entry was made with these settings, whatever its others."""
    mine = found.get("settings", {})
    return all(key in mine and same(mine[key], value) for key, value in settings.items())


def differing(one: Found, other: Found) -> list[str]:
    """The settings that tell two entries apart. One that only one of them tells came to the project later."""
    mine, theirs = one.get("settings", {}), other.get("settings", {})
    both = (mine.keys() & theirs.keys()) - _OF_NO_INFLUENCE
    return sorted(key for key in both if not same(mine[key], theirs[key]))


def merged(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> Evaluations:
    """All entries of both, but for those of `before` that one of `after` repeats."""
    first, second = listed(before), listed(after)
    return {
        name: {
            split: with_others(first.get(name, {}).get(split, []), second.get(name, {}).get(split, []))
            for split in sorted({*first.get(name, {}), *second.get(name, {})})
        }
        for name in sorted({*first, *second})
    }


def with_others(before: list[Found], after: list[Found]) -> list[Found]:
    """`after`, and of `before` what has other settings."""
    return [old for old in before if all(differing(old, new) for new in after)] + after
