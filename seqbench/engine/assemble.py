"""From a config's nodes to what is trained: the only place that instantiates."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from seqbench.config.schema import Config
from seqbench.config.targets import class_at, nested
from seqbench.contracts.analysis import Analysis
from seqbench.contracts.backbone import Backbone, Model
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.evaluation import Evaluation
from seqbench.contracts.learner import Learner
from seqbench.contracts.norm import Norm
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.schedule import Schedule
from seqbench.contracts.task import Task
from seqbench.errors import ConfigError
from seqbench.learners.network import build_network
from seqbench.learners.seq2seq import PairInputs, build_seq2seq
from seqbench.optim.groups import GroupedOptimizer, build_optimizer


def data_folder(config: Config) -> Path:
    """Where prepared data live: `data_dir`, else $SEQBENCH_DATA, else the user's cache."""
    place = config.data_dir or os.environ.get("SEQBENCH_DATA")
    if place:
        return Path(place)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqbench"
    except RuntimeError as error:  # the user of a container may have none
        raise ConfigError("There is no home folder to keep data in; name a folder as data_dir=<folder>.") from error


def assemble_task(config: Config) -> Task:
    """The task, its data prepared."""
    reads_data = "data_dir" in inspect.signature(class_at("task", config.task["_target_"])).parameters
    place: dict[str, Any] = {"data_dir": data_folder(config)} if reads_data else {}
    return instantiate("task", config.task, source=config.source, **place)


def assemble_learner(config: Config, task: Task, peers: Peers | None = None) -> Learner:
    """The learner of the task: the model itself, or the one that is built around it, by the model's class."""
    cls = class_at("model", config.model["_target_"])
    peers = peers or Alone()
    build = next(build for base, build in _BUILDERS if issubclass(cls, base))
    try:
        learner = build(config, task, peers)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    norms = {type(module).__name__ for module in learner.modules() if isinstance(module, Norm) and module.couples_rows}
    if norms and not learner.couples_rows:
        raise ConfigError(f"{cls.__name__} cannot take {' or '.join(sorted(norms))}, which mixes the rows of a batch.")
    _check_norms_of_time(cls, learner)
    if learner.couples_rows and config.train.accumulate > 1:
        raise ConfigError(
            f"train.accumulate={config.train.accumulate} would not equal a larger batch: in {cls.__name__} the rows of "
            "a batch influence each other."
        )
    return learner


def _check_norms_of_time(cls: type, learner: Learner) -> None:
    """Raise `ConfigError` for a norm that reads other steps, in a model that calls it position by position, and for one
    that reads public data, in a model that sends none through its layers."""
    norms = [module for module in learner.modules() if isinstance(module, Norm) and module.reads != "step"]
    public = [norm for norm in norms if norm.reads == "public"]
    if public:
        raise ConfigError(
            f"{cls.__name__} cannot take {type(public[0]).__name__}: it sends no public data through its layers, as "
            "mlp and lenet do."
        )
    carries = any(isinstance(module, Model) and module.carries_norms for module in learner.modules())
    if norms and not carries:
        raise ConfigError(
            f"{cls.__name__} cannot take {type(norms[0]).__name__}, which reads other steps than the one that it "
            "normalises."
        )


def _around_backbone(config: Config, task: Task, peers: Peers) -> Learner:
    cls = class_at("model", config.model["_target_"])
    if isinstance(task.inputs, PairInputs):
        raise ValueError(
            f"{cls.__name__} has no decoder: this task is a translation, so choose a model of both, such as "
            "model=rnn_attention"
        )
    if task.continuous and not (cls.causal and cls.streams):
        raise ValueError(
            f"the batches of this task go on from each other, and {cls.__name__} cannot: it is not causal, or carries "
            "no state"
        )
    if task.autoregressive and not cls.causal:
        raise ValueError(f"{cls.__name__} is not causal: it would read what this task asks it to predict")
    make = _makers(config, peers, task.public)
    return build_network(task.inputs, task.outputs, *make, **asdict(config.network))


def _around_encoder_decoder(config: Config, task: Task, peers: Peers) -> Learner:
    cls = class_at("model", config.model["_target_"])
    if not isinstance(task.inputs, PairInputs):
        raise ValueError(f"{cls.__name__} is an encoder and a decoder: a model for translation alone")
    settings = asdict(config.network)
    if settings.pop("pool") != "none":
        raise ValueError("network.pool has no effect here: a translation has an output at each step")
    return build_seq2seq(task.inputs, task.outputs, *_makers(config, peers), **settings)


def _itself(config: Config, task: Task, peers: Peers) -> Learner:
    return instantiate("model", config.model, inputs=task.inputs, outputs=task.outputs, peers=peers)


_BUILDERS: tuple[tuple[type, Callable[[Config, Task, Peers], Learner]], ...] = (
    (Learner, _itself),
    (EncoderDecoder, _around_encoder_decoder),
    (Backbone, _around_backbone),
)


def _makers(
    config: Config, peers: Peers, public: Tensor | None = None
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """What makes the embedding, the model and the head, given what the network derives."""

    def make_head(d_input: int, n_outputs: int, embedding: Any) -> Any:
        cls = class_at("head", config.head["_target_"])
        if embedding is not None and "embedding" not in inspect.signature(cls).parameters:
            raise ConfigError(f"network.tied=true: {cls.__name__} cannot share an embedding's weights.")
        return instantiate("head", config.head, d_input=d_input, n_outputs=n_outputs, embedding=embedding, peers=peers)

    return (
        functools.partial(instantiate, "embedding", config.embedding),
        functools.partial(instantiate, "model", config.model, peers=peers, public=public),
        make_head,
    )


def assemble_optimizer(config: Config, learner: Learner, task: Task, peers: Peers | None = None) -> GroupedOptimizer:
    """The optimizer of the learner's parameters, by group."""
    sampling = task.sampling if config.train.accumulate == 1 else None  # what several draws make up is not one draw

    derived = {"network": learner, "peers": peers or Alone(), "sampling": sampling}

    def make(target: str | None, parameters: list[dict[str, Any]], settings: Any) -> Any:
        node = {"_target_": target or config.optimizer["_target_"], **settings}
        return instantiate("optimizer", node, params=parameters, **derived)

    settings = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        return build_optimizer(learner, learner.parameter_groups(), make, settings)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


def assemble_schedule(config: Config, max_steps: int, steps_per_epoch: float) -> Schedule:
    return instantiate("schedule", config.schedule, max_steps=max_steps, steps_per_epoch=steps_per_epoch)


def assemble_evaluation(config: Config) -> Evaluation:
    return instantiate("evaluation", config.evaluation)


def assemble_analysis(config: Config) -> Analysis:
    return instantiate("analysis", config.analysis)


def instantiate(kind: str, node: dict[str, Any], path: str = "", **derived: Any) -> Any:
    """The node's target with its arguments and those derived ones that its constructor takes. A node within it becomes
    a function that makes it, to which its parent passes what it derives by keyword. `path` is the node's place in the
    config. A `ValueError` of the constructor is the user's mistake."""
    name = path or kind
    target = class_at(kind, node["_target_"], name)
    settings = {key: value for key, value in node.items() if key != "_target_"}
    for key, inner in nested(kind, node["_target_"]).items():
        settings[key] = functools.partial(instantiate, inner, settings[key], f"{name}.{key}")
    accepted = inspect.signature(target).parameters
    try:
        return target(**settings, **{key: value for key, value in derived.items() if key in accepted})
    except ValueError as error:
        raise ConfigError(f"{name}: {error}.") from error
