"""Configs of runs that an earlier version made: what has come since is at its default, which keeps old results."""

from __future__ import annotations

from typing import Any

from seqbench.config import Config, NetworkConfig, TrainConfig
from seqbench.targets import DERIVED, PLUGGABLE, signature_of


def completed(config: Config) -> Config:
    """The config, with the defaults of arguments that constructors have since."""
    for name in PLUGGABLE:
        _complete(name, getattr(config, name))
    return config


def _complete(name: str, node: dict[str, Any]) -> None:
    """Fill in a node of the pluggable `name`, and the nodes within it."""
    for key, parameter in signature_of(name, node["_target_"])[0].items():
        if key not in node and key not in DERIVED[name] and parameter.default is not parameter.empty:
            node[key] = parameter.default
    for value in node.values():
        if isinstance(value, dict) and "_target_" in value:
            _complete(name, value)


def default_of(section: str, settings: dict[str, Any], key: str) -> Any:
    """What a setting of a section was before it had a name: the default of its constructor or dataclass."""
    engine = {"network": NetworkConfig, "train": TrainConfig}
    if section in engine:
        return getattr(engine[section](), key)
    return signature_of(section, settings["_target_"])[0][key].default
