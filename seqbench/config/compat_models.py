"""Models in the first edition: solvers were settings of the model that held them, a norm was a placement, and one
feed-forward width had a name of its own. What that edition had no word for (another norm, solvers with unlike measures)
stays in today's shape, whose keys are none of its own.
"""

from __future__ import annotations

from typing import Any

from seqbench.config.targets import current_target, stable_target
from seqbench.config.values import same

_EQUILIBRIUM = "seqbench.models.implicit.Equilibrium"
_SOLVERS = {
    "plain": "seqbench.models.plain.Plain",
    "anderson": "seqbench.models.anderson.Anderson",
    "broyden": "seqbench.models.broyden.Broyden",
}
_NORM = {"_target_": "seqbench.models.layer_norm.LayerNorm", "eps": 1e-5, "affine": True}
_KEPT = (  # settings of the equilibrium that were the model's, by the same names
    *("gradient", "phantom_steps", "damping", "jacobian_weight", "jacobian_probability", "jacobian_growth_steps"),
    *("pretrain_steps", "pretrain_layers", "on_failure"),
)
_FLAT = {  # the settings of an equilibrium model, with their defaults
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
_PLACED_NORM = (  # whose norm was "pre" or "post"
    "seqbench.models.transformer.Transformer",
    "seqbench.models.translation_transformer.TranslationTransformer",
)
_D_FF = _PLACED_NORM[1:]  # whose d_inner was d_ff
FIRST_DEFAULTS = {target: _FLAT if target in _DEQ else {"norm": "post"} for target in (*_DEQ, *_PLACED_NORM)}

_LATER = {  # settings added since, left out at their defaults
    "seqbench.models.lstm.LSTM": {"chrono_steps": None},
    "seqbench.models.mlp.MLP": {"norm": {"_target_": "seqbench.models.none.NoNorm"}, "init_std": None},
    "seqbench.models.lenet.LeNet": {"norm": {"_target_": "seqbench.models.none.NoNorm"}},
    "seqbench.models.batch_norm.BatchNorm": {"cyclic": False},
    "seqbench.models.bn_lstm.BNLSTM": {  # of one layer, with three norms
        "norms": ["input", "hidden", "cell"],
        "biases": ["sum", "cell"],
        "n_layers": 1,
        "dropout": 0.0,
        "init_range": None,
        "trained_start": True,
    },
}


def first_model(node: dict[str, Any]) -> dict[str, Any]:
    """A model's canonical node (identity.py), and those within it, as the first edition had them."""
    node = {key: first_model(value) if is_node(value) else value for key, value in node.items()}
    target = node["_target_"]
    later = _LATER.get(target, {})
    node = {key: value for key, value in node.items() if key not in later or value != later[key]}
    if target in _DEQ:
        flat = _flat(node["equilibrium"])
        return node if flat is None else {**{key: node[key] for key in node if key != "equilibrium"}, **flat}
    if target in _PLACED_NORM and same(node["norm"], _NORM):
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


def current_model(node: dict[str, Any]) -> dict[str, Any]:
    """A model's node as this version has it, of a config that may be the first edition's; not the nodes within it."""
    node, target = dict(node), stable_target(node["_target_"])
    if target in _DEQ and "equilibrium" not in node:
        node["equilibrium"] = _nested({key: node.pop(key, default) for key, default in _FLAT.items()})
    if target in _PLACED_NORM and isinstance(node.get("norm"), str):
        node["pre_norm"] = node.pop("norm") == "pre"
    if target in _D_FF and "d_ff" in node:
        node["d_inner"] = node.pop("d_ff")
    return node


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The equilibrium that the settings of a model say."""
    memory = {"forward": flat["solver_memory"], "backward": flat["backward_memory"] or flat["solver_memory"]}

    def solver(way: str) -> dict[str, Any]:
        name: str = flat[f"{way}_solver"]
        node = {
            "_target_": current_target(_SOLVERS.get(name, name)),
            "max_steps": flat[f"{way}_steps"],
            "tolerance": flat[f"{way}_tolerance"],
            "relative": flat["relative_tolerance"],
        }
        return node if name == "plain" else {**node, "memory": memory[way]}

    ways = {way: solver(way) for way in ("forward", "backward")}
    return {"_target_": current_target(_EQUILIBRIUM), **ways, **{key: flat[key] for key in _KEPT}}


def is_node(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value
