"""Configs of other versions. What has been added since is at its default, which keeps old results, and what has been
given another shape is translated, so that a run keeps its id and an old config can be loaded.

The first edition's shape is the one that ids are hashed in, records are written in and rows are compared in. What it
had no word for (another norm, solvers with unlike measures) stays in today's shape, whose keys are none of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from seqbench.config.network_shape import SETTINGS, first_network
from seqbench.config.schema import Config, NetworkConfig, TrainConfig
from seqbench.config.targets import KINDS, PLUGGABLE, current_target, kind_at, nested, signature_of, stable_target
from seqbench.config.values import same

_EQUILIBRIUM = "seqbench.models.implicit.Equilibrium"
_SOLVERS = {
    "plain": "seqbench.models.plain.Plain",
    "anderson": "seqbench.models.anderson.Anderson",
    "broyden": "seqbench.models.broyden.Broyden",
}
_KEPT = (  # settings of the equilibrium that were the model's, by the same names
    *("gradient", "phantom_steps", "damping", "jacobian_weight", "jacobian_probability", "jacobian_growth_steps"),
    *("pretrain_steps", "pretrain_layers", "on_failure"),
)
_FLAT = {  # the settings of an equilibrium model in the first edition, with their defaults
    "forward_solver": "anderson",
    "forward_steps": 30,
    "forward_tolerance": 1e-3,
    "backward_solver": "anderson",
    "backward_steps": 30,
    "backward_tolerance": 1e-3,
    "relative_tolerance": True,
    "solver_memory": 6,
    "backward_memory": None,
    "gradient": "implicit",
    "phantom_steps": 5,
    "damping": 0.8,
    "jacobian_weight": 0.0,
    "jacobian_probability": 1.0,
    "jacobian_growth_steps": None,
    "pretrain_steps": 0,
    "pretrain_layers": 2,
    "on_failure": "continue",
}
_DEQ = ("seqbench.models.deq_transformer.DEQTransformer", "seqbench.models.deq_trellisnet.DEQTrellisNet")
_PLACED_NORM = (  # models whose norm was "pre" or "post", a placement
    "seqbench.models.transformer.Transformer",
    "seqbench.models.translation_transformer.TranslationTransformer",
)
_D_FF = _PLACED_NORM[1:]  # models whose d_inner was d_ff
_FIRST_DEFAULTS = {target: _FLAT if target in _DEQ else {"norm": "post"} for target in (*_DEQ, *_PLACED_NORM)}


def first_edition(sections: dict[str, Any]) -> dict[str, Any]:
    """Canonical sections of a config (identity.py) in the shape that they had in the first edition."""
    return first_network({**sections, "model": _first_shape(sections["model"])})


def _first_shape(node: dict[str, Any]) -> dict[str, Any]:
    node = {key: _first_shape(value) if _is_node(value) else value for key, value in node.items()}
    target = node["_target_"]
    if target in _DEQ:
        flat = _flat(node["equilibrium"])
        return node if flat is None else {**_without(node, "equilibrium"), **flat}
    if target in _PLACED_NORM and same(node["norm"], _default_argument("model", target, "norm")):
        node["norm"] = "pre" if node.pop("pre_norm") else "post"
        if target in _D_FF:
            node["d_ff"] = node.pop("d_inner")
    return node


def _flat(equilibrium: dict[str, Any]) -> dict[str, Any] | None:
    """An equilibrium as settings of the model that holds it; None: they cannot say it."""
    names = {target: name for name, target in _SOLVERS.items()}
    if equilibrium["_target_"] != _EQUILIBRIUM:
        return None
    forward, backward = equilibrium["forward"], equilibrium["backward"]
    if {forward["_target_"], backward["_target_"]} - names.keys() or forward["relative"] != backward["relative"]:
        return None
    memory = forward.get("memory", backward.get("memory", _FLAT["solver_memory"]))
    backward_memory = backward.get("memory", memory)
    return {
        "forward_solver": names[forward["_target_"]],
        "forward_steps": forward["max_steps"],
        "forward_tolerance": forward["tolerance"],
        "backward_solver": names[backward["_target_"]],
        "backward_steps": backward["max_steps"],
        "backward_tolerance": backward["tolerance"],
        "relative_tolerance": forward["relative"],
        "solver_memory": memory,
        "backward_memory": None if backward_memory == memory else backward_memory,
        **{key: equilibrium[key] for key in _KEPT},
    }


def fill_defaults(config: Config) -> Config:
    """A saved config as this version writes it: targets where they lie now, settings in today's shape, and the defaults
    of arguments that constructors have since."""
    for name in PLUGGABLE:
        _fill(name, getattr(config, name))
    return config


def _fill(kind: str, node: dict[str, Any]) -> None:
    target = stable_target(node["_target_"]) if isinstance(node["_target_"], str) else node["_target_"]
    signature, _ = signature_of(kind, target)
    node["_target_"] = current_target(target)
    if target in _DEQ and "equilibrium" not in node:
        node["equilibrium"] = _nest({key: node.pop(key, default) for key, default in _FLAT.items()})
    if target in _PLACED_NORM and isinstance(node.get("norm"), str):
        node["pre_norm"] = node.pop("norm") == "pre"
    if target in _D_FF and "d_ff" in node:
        node["d_inner"] = node.pop("d_ff")
    inner = nested(kind, target)
    for key, parameter in signature.items():
        if key not in node and key not in KINDS[kind].derived and parameter.default is not parameter.empty:
            node[key] = _node_of(parameter.default) if key in inner else parameter.default
    for key in inner:
        if _is_node(node.get(key)):
            _fill(inner[key], node[key])


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """The equilibrium that the first edition's settings of a model say."""
    memory = {"forward": flat["solver_memory"], "backward": flat["backward_memory"] or flat["solver_memory"]}

    def solver(way: str) -> dict[str, Any]:
        name = flat[f"{way}_solver"]
        node = {
            "_target_": current_target(_SOLVERS.get(name, name)),
            "max_steps": flat[f"{way}_steps"],
            "tolerance": flat[f"{way}_tolerance"],
            "relative": flat["relative_tolerance"],
        }
        return node if name == "plain" else {**node, "memory": memory[way]}

    kept = {key: flat[key] for key in _KEPT}
    ways = {way: solver(way) for way in ("forward", "backward")}
    return {"_target_": current_target(_EQUILIBRIUM), **ways, **kept}


def default_of(section: str, settings: dict[str, Any], key: str) -> Any:
    """What a setting of a section was before it had a name: the default of its constructor or dataclass, in the first
    edition's shape. `Parameter.empty`: it has none."""
    engine: dict[str, Callable[[], Any]] = {"network": NetworkConfig, "train": TrainConfig}
    if section == "network" and key in SETTINGS:  # of what is a node today
        return SETTINGS[key]
    if section in engine:
        return getattr(engine[section](), key)
    target = settings["_target_"]
    if key in _FIRST_DEFAULTS.get(target, {}):
        return _FIRST_DEFAULTS[target][key]
    return _default_argument(kind_at(target, section), target, key)


def _default_argument(kind: str, target: str, key: str) -> Any:
    """As it is hashed: a class that stands for a node within is a node of all its defaults."""
    parameter = signature_of(kind, target)[0].get(key)
    if parameter is None or key not in nested(kind, target) or parameter.default is parameter.empty:
        return inspect.Parameter.empty if parameter is None else parameter.default
    inner = nested(kind, target)[key]
    cls = stable_target(_node_of(parameter.default)["_target_"])
    arguments = [name for name in signature_of(inner, cls)[0] if name not in KINDS[inner].derived]
    return {"_target_": cls, **{name: _default_argument(inner, cls, name) for name in arguments}}


def _node_of(cls: type) -> dict[str, Any]:
    return {"_target_": f"{cls.__module__}.{cls.__qualname__}"}


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _without(node: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != key}
