"""The network section in the first edition's shape, which held the embedding's settings, and in today's, where the
embedding is a node of its own. A run is hashed in the former; a config that the first edition saved is read in both.
"""

from __future__ import annotations

from typing import Any

_TARGETS = {
    "learned": "seqbench.embeddings.learned.LearnedEmbedding",
    "adaptive": "seqbench.embeddings.adaptive.AdaptiveEmbedding",
    "one_hot": "seqbench.embeddings.one_hot.OneHot",
}
_KINDS = {target: kind for kind, target in _TARGETS.items()}
SETTINGS = {"d_embed": 200, "cutoffs": [], "div_value": 4.0, "init_range": None}  # and their defaults
_OF_KIND = {"learned": ("d_embed", "init_range"), "adaptive": ("d_embed", "cutoffs", "div_value"), "one_hot": ()}
_ONE_HOT_TASKS = ("copy", "adding")  # whose protocols feed tokens one-hot, or numbers: what "auto" stood for
_LATER = {"pool": "none"}  # settings that the first edition had no word for, left out at their defaults


def first_network(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections, `embedding` folded into `network`."""
    embedding, network = dict(sections["embedding"]), dict(sections["network"])
    for name, default in _LATER.items():
        if network.get(name) == default:
            del network[name]
    target = embedding.pop("_target_")
    kind = _KINDS.get(target)
    rest = {name: section for name, section in sections.items() if name != "embedding"}
    if kind is None:  # an embedding of later
        return {**rest, "network": network, "embedding": {"_target_": target, **embedding}}
    network["embedding"] = "auto" if kind == _usual(sections) else kind
    return {**rest, "network": {**network, **{name: embedding.get(name, value) for name, value in SETTINGS.items()}}}


def network_of_today(content: Any) -> Any:
    """The content of a saved config, the embedding a node; one of today is left as it is."""
    if not isinstance(content, dict) or "embedding" in content or not isinstance(content.get("network"), dict):
        return content
    network = dict(content["network"])
    kind = network.pop("embedding", "auto")
    kind = _usual(content) if kind == "auto" else kind
    settings = {name: network.pop(name, default) for name, default in SETTINGS.items()}
    if kind not in _TARGETS:
        return content
    node = {"_target_": _TARGETS[kind], **{name: settings[name] for name in _OF_KIND[kind]}}
    return {**content, "network": network, "embedding": node}


def _usual(sections: dict[str, Any]) -> str:
    """The kind of embedding that the task's protocol has."""
    task = sections.get("task")
    target = str(task.get("_target_")) if isinstance(task, dict) else ""
    return "one_hot" if target.split(".")[-2:-1] in ([name] for name in _ONE_HOT_TASKS) else "learned"
