"""A run's identity: what of a config determines its results, in a form that outlives the tree, and the hash of it.

The form is that of the first edition. A class is named by its kind and module, without the family's folder, so a file
that moves makes no new run; a number has the type of its argument, so 20 and 20.0 are one learning rate; and settings
of the machine, which do not change results, are left out: those of `train` that are named here, and those that a class
lists as its `machine_settings`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from seqbench.config.compat import first_edition
from seqbench.config.schema import Config
from seqbench.config.targets import class_at, nested, signature_of, stable_target
from seqbench.config.values import with_type

IN_HASH = ("model", "task", "embedding", "head", "optimizer", "schedule", "network", "train", "seed")
MACHINE_SETTINGS = ("nproc", "device", "threads")  # of train


def hashed(config: Config, as_written: bool = False) -> dict[str, Any]:
    """What determines a run's results: every hyperparameter, the seed, and the checksums of the plugins that its
    classes lie in; no path, device count, kernel or log sink.
    `as_written` leaves numbers as the config has them, which is how the first edition hashed them."""
    everything = asdict(config)
    sections = {name: everything[name] for name in IN_HASH}
    sections["train"] = _without(sections["train"], MACHINE_SETTINGS)
    canonical_sections = {
        name: canonical(name, section, as_written) if "_target_" in _keys(section) else section
        for name, section in sections.items()
    }
    if config.init is not None:
        canonical_sections["init"] = config.init
    identity = first_edition(canonical_sections)
    return {**identity, "plugins": dict(config.plugins)} if config.plugins else identity


def canonical(kind: str, node: Mapping[str, Any], as_written: bool = False) -> dict[str, Any]:
    """A node of some kind, and the nodes within it, in today's shape: classes named as `stable_target` has them,
    numbers typed, settings of the machine left out."""
    target = node["_target_"]
    settings = _settings(kind, target, _without(node, ("_target_", "groups")), as_written)
    if kind == "optimizer":
        settings["groups"] = {
            group: _group(kind, node, own, as_written) for group, own in (node.get("groups") or {}).items()
        }
    return {"_target_": stable_target(target), **settings}


def run_id(config: Config) -> str:
    """Twelve hexadecimal digits of the identity's SHA-256."""
    return digest(hashed(config))


def former_run_id(config: Config) -> str:
    """The id that the first edition gave this config, where its numbers are written in another type."""
    return digest(hashed(config, as_written=True))


def digest(identity: dict[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _settings(kind: str, target: str, settings: Mapping[str, Any], as_written: bool) -> dict[str, Any]:
    signature, hints = signature_of(kind, target)
    inner = nested(kind, target)
    machine = getattr(class_at(kind, target), "machine_settings", ())
    result = {}
    for key, value in _without(settings, machine).items():
        if "_target_" in _keys(value):
            result[key] = canonical(inner.get(key, kind), value, as_written)
        elif as_written or key not in signature:
            result[key] = value
        else:
            result[key] = with_type(value, hints.get(key), signature[key].default)
    return result


def _group(kind: str, optimizer: Mapping[str, Any], settings: Mapping[str, Any], as_written: bool) -> dict[str, Any]:
    """The settings that a group of parameters has for itself, which may name another optimizer."""
    target = settings.get("_target_", optimizer["_target_"])
    result = _settings(kind, target, _without(settings, ("_target_",)), as_written)
    return {"_target_": stable_target(target), **result} if "_target_" in settings else result


def _without(settings: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in names}


def _keys(value: Any) -> Any:
    return value if isinstance(value, Mapping) else ()
