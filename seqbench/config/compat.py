"""Configs of other versions: what has been added since is at its default, which keeps old results, and what has been
given another shape is translated, so that a run keeps its id."""

from __future__ import annotations

from typing import Any

from seqbench.config.compat_tasks import current_task, first_task
from seqbench.config.network_shape import first_network
from seqbench.config.schema import Config, NetworkConfig, TrainConfig
from seqbench.config.targets import KINDS, PLUGGABLE, current_target, nested, signature_of


def first_edition(sections: dict[str, Any]) -> dict[str, Any]:
    """Sections of a config in the shape that they had in the first edition, in which they are hashed."""
    return first_network({**sections, "task": first_task(sections["task"])})


def fill_defaults(config: Config) -> Config:
    """A saved config as this version writes it: targets where they lie now, and the defaults of arguments that
    constructors have since."""
    config.task = current_task(config.task)
    for name in PLUGGABLE:
        _fill(name, getattr(config, name))
    return config


def _fill(kind: str, node: dict[str, Any]) -> None:
    signature, _ = signature_of(kind, node["_target_"])
    node["_target_"] = current_target(node["_target_"])
    for key, parameter in signature.items():
        if key not in node and key not in KINDS[kind].derived and parameter.default is not parameter.empty:
            node[key] = parameter.default
    for key, inner in nested(kind, node["_target_"]).items():
        if isinstance(node.get(key), dict):
            _fill(inner, node[key])


def default_of(section: str, settings: dict[str, Any], key: str) -> Any:
    """What a setting of a section was before it had a name: the default of its constructor or dataclass."""
    engine = {"network": NetworkConfig, "train": TrainConfig}
    if section in engine:
        return getattr(engine[section](), key)
    return signature_of(section, settings["_target_"])[0][key].default
