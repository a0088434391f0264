"""Configs of other versions. What has been added since is at its default, which keeps old results, and what has been
given another shape is translated, so that a run keeps its id and an old config can be loaded.

The first edition's shape is the one that ids are hashed in, records are written in and rows are compared in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from seqbench.config.compat_models import FIRST_DEFAULTS, current_model, first_model, is_node
from seqbench.config.compat_tasks import current_task, first_task
from seqbench.config.network_shape import SETTINGS, first_network
from seqbench.config.schema import Config, NetworkConfig, TrainConfig
from seqbench.config.targets import KINDS, PLUGGABLE, current_target, kind_at, nested, signature_of, stable_target

_LATER_OF_TRAIN = {"patience": None}  # what the first edition had no word for, left out at its default


def first_edition(sections: dict[str, Any]) -> dict[str, Any]:
    """Canonical sections of a config (identity.py) in the shape that they had in the first edition."""
    model, task = first_model(sections["model"]), first_task(sections["task"])
    train = {key: value for key, value in sections["train"].items() if (key, value) not in _LATER_OF_TRAIN.items()}
    return first_network({**sections, "model": model, "task": task, "train": train})


def fill_defaults(config: Config) -> Config:
    """A saved config as this version writes it: targets where they lie now, settings in today's shape, and the defaults
    of arguments that constructors have since."""
    config.task = current_task(config.task)
    for name in PLUGGABLE:
        setattr(config, name, filled(name, getattr(config, name)))
    return config


def filled(kind: str, node: dict[str, Any]) -> dict[str, Any]:
    """A node of some kind as this version writes it, and the nodes within it."""
    signature, _ = signature_of(kind, node["_target_"])
    node = current_model(node) if kind == "model" else dict(node)
    node["_target_"] = current_target(stable_target(node["_target_"]))
    inner = nested(kind, node["_target_"])
    for key, parameter in signature.items():
        if key not in node and key not in KINDS[kind].derived and parameter.default is not parameter.empty:
            node[key] = _node_of(parameter.default) if key in inner else _as_yaml(parameter.default)
    return {key: filled(inner[key], value) if key in inner and is_node(value) else value for key, value in node.items()}


def default_of(section: str, settings: dict[str, Any], key: str) -> Any:
    """What a setting of a section was before it had a name: the default of its constructor or dataclass, in the first
    edition's shape. `Parameter.empty`: it has none."""
    engine: dict[str, Callable[[], Any]] = {"network": NetworkConfig, "train": TrainConfig}
    if section == "network" and key in SETTINGS:  # of what is a node today
        return SETTINGS[key]
    if section in engine:
        return getattr(engine[section](), key)
    target = settings["_target_"]
    if key in FIRST_DEFAULTS.get(target, {}):
        return FIRST_DEFAULTS[target][key]
    return _default_argument(kind_at(target, section), target, key)


def _default_argument(kind: str, target: str, key: str) -> Any:
    """As it is hashed: a class that stands for a node within is a node of all its defaults."""
    parameter, inner = signature_of(kind, target)[0].get(key), nested(kind, target).get(key)
    if parameter is None:
        return inspect.Parameter.empty
    if inner is None or parameter.default is parameter.empty:
        return parameter.default
    cls = stable_target(_node_of(parameter.default)["_target_"])
    arguments = [name for name in signature_of(inner, cls)[0] if name not in KINDS[inner].derived]
    return {"_target_": cls, **{name: _default_argument(inner, cls, name) for name in arguments}}


def _as_yaml(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def _node_of(cls: type) -> dict[str, Any]:
    return {"_target_": f"{cls.__module__}.{cls.__qualname__}"}
