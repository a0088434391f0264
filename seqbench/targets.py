"""Pluggable nodes of a config: `_target_` and every argument, held against the constructor's signature.

Nothing in this file imports torch; the checks import the classes that they check.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, get_origin, get_type_hints

from seqbench.errors import ConfigError, did_you_mean
from seqbench.values import fault

PLUGGABLE = ("model", "task", "head", "optimizer", "schedule", "evaluation")
DERIVED = {  # constructor arguments that never stand in a YAML: the task, the network or the engine hands them over
    "model": {"d_input"},
    "task": {"data_dir", "source"},
    "head": {"d_input", "n_outputs", "embedding"},
    "optimizer": {"params"},
    "schedule": {"max_steps", "steps_per_epoch"},
    "evaluation": set(),
}
ALLOWED_TARGETS = ("seqbench.", "torch.optim.")


def check_node(name: str, node: Any) -> None:
    """Hold one pluggable node against its constructor."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{name} needs a _target_ and its arguments; choose a file of conf/{name}/.")
    _check_arguments(name, name, node)


def _check_arguments(name: str, path: str, node: dict[str, Any]) -> None:
    """Hold the arguments of a node at `path`, which lies in the pluggable `name`, against its constructor's."""
    signature, hints = signature_of(path, node["_target_"])
    settings = {key: value for key, value in node.items() if key != "_target_"}
    if name == "optimizer":
        _check_groups(node["_target_"], settings.pop("groups", {}))
    expected = [key for key in signature if key not in DERIVED[name]]
    for key, value in settings.items():
        if key not in expected:
            hint = did_you_mean(key, expected, f"{path}.")
            raise ConfigError(f"{path}.{key} is not an argument of {node['_target_']}{hint}.")
        if get_origin(hints.get(key)) is Callable:
            if not isinstance(value, dict) or "_target_" not in value:
                raise ConfigError(f"{path}.{key} needs a _target_ and its arguments: {name}@{path}.{key}=<a {name}>.")
            _check_arguments(name, f"{path}.{key}", value)
        check_value(f"{path}.{key}", value, hints.get(key))
    missing = [f"{path}.{key}" for key in expected if key not in settings]
    if missing:
        verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise ConfigError(f"{', '.join(missing)} {verb} missing: {node['_target_']} needs {them} in its YAML.")


def signature_of(name: str, target: str) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """Parameters and type hints of a target's constructor."""
    if not isinstance(target, str) or not target.startswith(ALLOWED_TARGETS):
        raise ConfigError(f"{name}._target_ must lie in {' or '.join(ALLOWED_TARGETS)}, not {target!r}.")
    constructor = locate(name, target)
    parameters = dict(inspect.signature(constructor).parameters)
    return parameters, get_type_hints(constructor.__init__)


def class_of(node: dict[str, Any]) -> str:
    """The name of a node's class in lower case, as the files of conf/evaluation/ are called."""
    return node["_target_"].rpartition(".")[2].lower()


def locate(name: str, target: str) -> Any:
    module, _, attribute = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}._target_ names {target}, which cannot be imported: {error}.") from error


def _check_groups(target: str, groups: Any) -> None:
    if not isinstance(groups or {}, dict):
        raise ConfigError(
            f"optimizer.groups holds settings by a group's name, as +optimizer.groups.recurrent.lr=, not {groups!r}."
        )
    for group, settings in (groups or {}).items():
        if not isinstance(settings, dict):
            path = f"optimizer.groups.{group}"
            raise ConfigError(f"{path} holds settings, as +{path}.lr=, not {settings!r}.")
        own_target = settings.get("_target_", target)
        signature, hints = signature_of(f"optimizer.groups.{group}", own_target)
        for key, value in settings.items():
            if key == "_target_":
                continue
            expected = [argument for argument in signature if argument not in DERIVED["optimizer"]]
            if key not in expected:
                hint = did_you_mean(key, expected, f"optimizer.groups.{group}.")
                raise ConfigError(f"optimizer.groups.{group}.{key} is not an argument of {own_target}{hint}.")
            check_value(f"optimizer.groups.{group}.{key}", value, hints.get(key))


def check_value(path: str, value: Any, hint: Any = None) -> None:
    """Hold one setting against its type hint, and against what its name allows."""
    wrong = fault(path.rpartition(".")[2], value, hint)
    if wrong:
        raise ConfigError(f"{path} {wrong}.")
