"""Pluggable nodes of a config: `_target_` and every argument, compared with the constructor's signature.

A target is a class of its kind's base, in its kind's package or in a plugin. Where it lies is checked before anything
is imported, so a config that comes from someone else executes nothing. Nothing in this file imports torch; the checks
import the classes that they check.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from seqbench.config.compat_tasks import LANGUAGE_MODELING, former_corpus
from seqbench.config.plugin_class import NoSuchTarget, load_class
from seqbench.config.plugins import Plugin, how_to_allow, plugin_of
from seqbench.config.values import fault
from seqbench.contracts.ranges import AtLeast
from seqbench.errors import ConfigError, did_you_mean

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Kind:
    """What a node of one kind may be. `packages` are where its classes lie, `bases` what they inherit from, and
    `derived` the constructor's arguments that stand in no YAML: the task, the network or the engine passes them."""

    packages: tuple[str, ...]
    bases: tuple[str, ...]
    derived: frozenset[str] = frozenset()


KINDS = {
    "model": Kind(
        ("seqbench.models",),
        (
            "seqbench.contracts.backbone.Backbone",
            "seqbench.contracts.encoder_decoder.EncoderDecoder",
            "seqbench.contracts.learner.Learner",
        ),
        frozenset({"d_input", "inputs", "outputs", "peers", "public"}),
    ),
    "task": Kind(("seqbench.tasks",), ("seqbench.contracts.task.Task",), frozenset({"data_dir", "source"})),
    "embedding": Kind(
        ("seqbench.embeddings",),
        ("seqbench.contracts.embedding.Embedding",),
        frozenset({"n_tokens", "n_features"}),
    ),
    "head": Kind(
        ("seqbench.heads",),
        ("seqbench.contracts.head.Head",),
        frozenset({"d_input", "n_outputs", "embedding", "peers"}),
    ),
    "optimizer": Kind(
        ("seqbench.optim", "torch.optim"),
        ("torch.optim.Optimizer",),
        frozenset({"params", "network", "peers", "sampling"}),
    ),
    "schedule": Kind(
        ("seqbench.optim",),
        ("seqbench.contracts.schedule.Schedule",),
        frozenset({"max_steps", "steps_per_epoch"}),
    ),
    "evaluation": Kind(("seqbench.evaluation",), ("seqbench.contracts.evaluation.Evaluation",)),
    "analysis": Kind(("seqbench.analysis",), ("seqbench.contracts.analysis.Analysis",)),
    "norm": Kind(("seqbench.models.cells.norm",), ("seqbench.contracts.norm.Norm",), frozenset({"d_input"})),
    "equilibrium": Kind(("seqbench.models.cells.equilibrium",), ("seqbench.contracts.fixed_point.FixedPoint",)),
    "solver": Kind(("seqbench.models.cells.equilibrium",), ("seqbench.contracts.solver.Solver",)),
    "quantizer": Kind(("seqbench.models.cells.quantizer",), ("seqbench.contracts.quantizer.Quantizer",)),
}
UNUSABLE = {  # of torch.optim
    "SparseAdam": "which needs sparse gradients, and no network here has them",
    "LBFGS": "which computes the loss several times a step, and the loop here does once",
}
RENAMED = {  # a class's name in the first edition -> its name now
    "seqbench.models.bn_lstm.BNLSTM": "seqbench.models.recurrent.norm_lstm.NormLSTM",
    "seqbench.models.composed.Composed": "seqbench.models.translation.rnn_attention.RNNAttention",
}
_FIRST_NAMES = {now: first for first, now in RENAMED.items()}
PLUGGABLE = ("model", "task", "embedding", "head", "optimizer", "schedule", "evaluation")  # sections of a config
NAMED = (*PLUGGABLE, "analysis")  # those that a command line may give a class, of which a run's config has no analysis


def check_node(name: str, node: Any) -> None:
    """Compare one pluggable node with its constructor."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{name} needs a _target_ and its arguments; choose a file of conf/{name}/.")
    _check_arguments(name, name, node)


def _check_arguments(kind: str, path: str, node: dict[str, Any]) -> None:
    """Compare the arguments of a node of some kind at `path` with its constructor's."""
    cls = class_at(kind, node["_target_"], path)
    signature, hints = signature_of(kind, node["_target_"], path)
    settings = {key: value for key, value in node.items() if key != "_target_"}
    if kind == "optimizer":
        _check_groups(node["_target_"], settings.pop("groups", {}))
    expected = [key for key in signature if key not in KINDS[kind].derived]
    for key, value in settings.items():
        if key not in expected:
            raise ConfigError(
                f"{path}.{key} is not an argument of {cls.__name__}{did_you_mean(key, expected, f'{path}.')}."
            )
        if get_origin(hints.get(key)) is Callable:
            inner = kind_of(hints[key])
            if not isinstance(value, dict) or "_target_" not in value:
                raise ConfigError(f"{path}.{key} needs a _target_ and its arguments: {inner}@{path}.{key}=<a {inner}>.")
            _check_arguments(inner, f"{path}.{key}", value)
        check_value(f"{path}.{key}", value, hints.get(key))
    missing = [f"{path}.{key}" for key in expected if key not in settings]
    if missing:
        verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise ConfigError(f"{', '.join(missing)} {verb} missing: {cls.__name__} needs {them} in its YAML.")


def kind_of(hint: Any) -> str:
    """The kind of node that a constructor's hint `Callable[..., Base]` marks: the one of that base."""
    base = (get_args(hint) or (None,))[-1]
    path = f"{base.__module__}.{base.__qualname__}" if inspect.isclass(base) else str(base)
    for name, kind in KINDS.items():
        if path in kind.bases:
            return name
    raise ConfigError(f"The hint {hint} marks an argument as a node, and {path} is the base class of no kind.")


def nested(kind: str, target: str, path: str = "") -> dict[str, str]:
    """The arguments of a target that are nodes themselves, each with its kind."""
    _, hints = signature_of(kind, target, path or kind)
    return {key: kind_of(hint) for key, hint in hints.items() if get_origin(hint) is Callable}


def signature_of(kind: str, target: str, path: str = "") -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """Parameters and type hints of a target's constructor."""
    cls = class_at(kind, target, path)
    try:
        parameters, hints = map(dict, _constructor(cls))
    except (NameError, TypeError) as error:  # of what is imported for a type checker alone
        raise ConfigError(f"{path or kind}: the type hints of {cls.__name__} cannot be read: {error}.") from error
    if kind == "optimizer" and cls.__module__.startswith("torch."):  # whose hints say no ranges
        rate = hints.get("lr")
        hints |= {"lr": Annotated[rate, AtLeast(0)]} if rate else {}
    return parameters, hints


@functools.cache  # asked for thousands of times by tables, whose rows are held against every record
def _constructor(cls: type) -> tuple[Mapping[str, inspect.Parameter], dict[str, Any]]:
    return inspect.signature(cls).parameters, get_type_hints(cls.__init__, include_extras=True)


def class_at(kind: str, target: Any, path: str = "") -> type:
    """The class that a target of some kind names; `path` is the node's place in the config. Raises `ConfigError`,
    before anything is imported, for one that lies neither in the kind's packages nor in a plugin."""
    path = path or kind
    try:
        _check_name(target)
        plugin = plugin_of(target)
        return _class_at(kind, target) if plugin is None else _class_of_plugin(plugin, kind, target)
    except NoSuchTarget as error:
        raise ConfigError(f"{path}._target_ {error}.") from None


@functools.cache
def _class_at(kind: str, target: str) -> type:
    packages = KINDS[kind].packages
    module, _, name = current_target(target).rpartition(".")
    if not any(module == package or module.startswith(f"{package}.") for package in packages):
        raise NoSuchTarget(f"must lie in {' or '.join(packages)}, not {target!r}{how_to_allow(target)}")
    if module.startswith("seqbench."):
        file = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        if not file.is_file():
            raise NoSuchTarget(f"names {target}, and there is no module {module}")
    elif module not in packages:  # of torch.optim, what it exports itself
        raise NoSuchTarget(f"names {target}, which {' or '.join(packages)} does not export")
    value = getattr(importlib.import_module(module), name, None)
    if not inspect.isclass(value) or not value.__module__.startswith(module):
        raise NoSuchTarget(f"names {target}, and {module} has no class {name}")
    if name in UNUSABLE:
        raise NoSuchTarget(f"names {target}, {UNUSABLE[name]}")
    _check_base(kind, target, value)
    return value


def _class_of_plugin(plugin: Plugin, kind: str, target: str) -> type:
    value = load_class(plugin, target)
    _check_base(kind, target, value)
    return value


def _check_name(target: Any) -> None:
    if not isinstance(target, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", target):
        raise NoSuchTarget(f"names a class, not {target!r}")


def _check_base(kind: str, target: str, value: type) -> None:
    bases = tuple(_load(base) for base in KINDS[kind].bases)
    if not issubclass(value, bases) or value in bases:
        article = "an" if kind[0] in "aeiou" else "a"
        raise NoSuchTarget(f"names {target}, which is not {article} {kind}")


def _load(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def kind_at(target: str, kind: str) -> str:
    """The kind of a class within a section of some kind: the section's own, or that of a node within it."""
    module, _, name = current_target(target).rpartition(".")
    for other, place in KINDS.items():
        within = any(module.startswith(f"{package}.") for package in place.packages if "cells" in package)
        if within and issubclass(getattr(importlib.import_module(module), name), tuple(map(_load, place.bases))):
            return other
    return kind


def stable_target(target: str) -> str:
    """A target by its first name and without the folder of its family: `seqbench.models.recurrent.lstm.LSTM` is
    `seqbench.models.lstm.LSTM`. Module names are unique within a kind, which a test holds."""
    return _without_family(_FIRST_NAMES.get(target, target))


def _without_family(target: str) -> str:
    package, *path = target.split(".")
    return ".".join((package, path[0], *path[-2:])) if package == "seqbench" and len(path) > 3 else target


def current_target(target: str) -> str:
    """Where a class of this package lies now: configs and records of earlier versions name it without its family's
    folder, or by a former name."""
    if former_corpus(target) is not None:
        return LANGUAGE_MODELING
    target = RENAMED.get(_without_family(target), target)
    package, *path = target.split(".")
    if package != "seqbench" or len(path) != 3:
        return target
    kind, module, name = path
    files = list((PACKAGE / kind).rglob(f"{module}.py"))
    files = [file for file in files if "cells" not in file.parts] or files  # a cell only where no model is called so
    if len(files) != 1 or (PACKAGE / kind / f"{module}.py").exists():
        return target
    return ".".join((package, *files[0].relative_to(PACKAGE).with_suffix("").parts, name))


def class_of(node: dict[str, Any]) -> str:
    """The name of a node's class in lower case, as the files of conf/evaluation/ are called."""
    return node["_target_"].rpartition(".")[2].lower()


def _check_groups(target: str, groups: Any) -> None:
    if not isinstance(groups or {}, dict):
        raise ConfigError(
            f"optimizer.groups holds settings by a group's name, as +optimizer.groups.recurrent.lr=, not {groups!r}."
        )
    for group, settings in (groups or {}).items():
        path = f"optimizer.groups.{group}"
        if not isinstance(settings, dict):
            raise ConfigError(f"{path} holds settings, as +{path}.lr=, not {settings!r}.")
        cls = class_at("optimizer", settings.get("_target_", target), path)
        signature, hints = signature_of("optimizer", settings.get("_target_", target), path)
        expected = [argument for argument in signature if argument not in KINDS["optimizer"].derived]
        for key, value in settings.items():
            if key == "_target_":
                continue
            if key not in expected:
                raise ConfigError(
                    f"{path}.{key} is not an argument of {cls.__name__}{did_you_mean(key, expected, f'{path}.')}."
                )
            check_value(f"{path}.{key}", value, hints.get(key))


def check_value(path: str, value: Any, hint: Any = None) -> None:
    """Compare one setting with its type hint and the ranges in it."""
    wrong = fault(value, hint)
    if wrong:
        raise ConfigError(f"{path} {wrong}.")
