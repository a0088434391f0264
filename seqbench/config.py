"""The config: typed engine settings, the check of a whole config, and the run's identity.

Engine settings are a closed set, so they are dataclasses in Hydra's ConfigStore and a typo dies when the config is
composed. Pluggable nodes are an open set, and targets.py holds them against their constructors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqbench.errors import ConfigError, did_you_mean
from seqbench.targets import PLUGGABLE, check_node, check_value

SECTIONS = ("network", "train", "log", "checkpoint")  # of the engine's own settings
SEEDS = 2**20  # a step's own seed has room for so many, besides the step and the process
MOST_PROCESSORS = 4096  # no machine has more
NOT_IN_HASH = {"nproc", "device", "threads", "backend"}  # of the machine: they must not change results
CHOICES = {
    "network.embedding": ("auto", "learned", "adaptive", "one_hot"),
    "train.select": ("best", "last"),
    "train.precision": ("fp32", "bf16", "fp16"),
    "train.device": ("auto", "cpu", "cuda"),
    "log.mirror": ("none", "wandb", "tensorboard"),
    "split": ("train", "valid", "test"),
}


@dataclass
class NetworkConfig:
    """What stands around the model; conf/config.yaml says what each setting is, here and below."""

    embedding: str = "auto"
    d_embed: int = 200
    cutoffs: list[int] = field(default_factory=list)
    div_value: float = 4.0
    tied: bool = False
    shared_embedding: bool = False
    dropout_words: float = 0.0
    dropout_input: float = 0.0
    dropout_output: float = 0.0
    init_range: float | None = None


@dataclass
class TrainConfig:
    """How long, how exactly and on what a run trains."""

    max_steps: int | None = None
    max_epochs: float | None = None
    eval_every: int | None = None
    stop_below: float | None = None
    select: str = "best"
    average_last: int = 1
    accumulate: int = 1
    grad_clip: float | None = None
    precision: str = "fp32"
    deterministic: bool = True
    nproc: int = 1
    device: str = "auto"
    threads: int | None = None


@dataclass
class LogConfig:
    """What is said, and where else (conf/log/)."""

    every: int = 100
    mirror: str = "none"
    project: str = "seqbench"


@dataclass
class CheckpointConfig:
    """When a run is saved."""

    every: int | None = 1000


@dataclass
class Config:
    """The whole of a run."""

    model: Any = MISSING
    task: Any = MISSING
    head: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    evaluation: Any = MISSING
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    log: LogConfig = field(default_factory=LogConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    seed: int = 0
    force: bool = False
    output_dir: str = "outputs"
    results_dir: str = "results"
    data_dir: str | None = None
    source: str | None = None
    run: str | None = None
    split: str = "test"
    experiment: str | None = None  # informational: the experiment file chosen


def register() -> None:
    """Put the schema where Hydra finds it."""
    ConfigStore.instance().store(name="schema", node=Config)


def folder() -> Path:
    """conf/: inside the package when installed, beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


def typed(node: Any) -> Config:
    """A resolved DictConfig, or the content of a saved config.yaml, as a `Config`. Raises `ConfigError` for an engine
    setting that does not exist, which `+` and a user's own YAML can add."""
    config: Config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), node))  # type: ignore[assignment]
    for prefix, section in [("", config), *((f"{name}.", getattr(config, name)) for name in SECTIONS)]:
        valid = [one.name for one in fields(section)]
        for name in vars(section):
            if name not in valid:
                raise ConfigError(f"{prefix}{name} is not a setting{did_you_mean(name, valid, prefix)}.")
    return config


def save(config: Config, path: Path) -> None:
    """Whole or not at all: a run's folder is read by others while it trains."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(yaml.safe_dump(asdict(config), sort_keys=False))
    partial.replace(path)


def load(path: Path) -> Config:
    try:
        return typed(OmegaConf.create(yaml.safe_load(path.read_text())))
    except (OSError, yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a run's config: {str(error).splitlines()[0]}") from error


def hashed(config: Config) -> dict[str, Any]:
    """What determines a run's results: every hyperparameter and the seed; no path, device count, kernel or log sink."""
    everything = asdict(config)
    kept = {name: everything[name] for name in (*PLUGGABLE[:-1], "network", "train", "seed")}
    return kept | {name: _without_machine(kept[name]) for name in ("train", "model", "optimizer")}


def _without_machine(node: dict[str, Any]) -> dict[str, Any]:
    """A node's settings, and those of the nodes within it, that may change results."""
    return {
        key: _without_machine(value) if isinstance(value, dict) else value
        for key, value in node.items()
        if key not in NOT_IN_HASH
    }


def run_id(config: Config) -> str:
    text = json.dumps(hashed(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check(config: Config) -> None:
    """Raise `ConfigError` for whatever cannot be a run: unknown or missing arguments, wrong types, foreign targets."""
    for name in PLUGGABLE:
        check_node(name, getattr(config, name))
    for key, value in vars(config.network).items():
        check_value(f"network.{key}", value)
    for path, allowed in CHOICES.items():
        value: Any = config
        for part in path.split("."):
            value = getattr(value, part)
        if value not in allowed:
            raise ConfigError(
                f"{path} is one of {', '.join(allowed)}, not {value!r}{did_you_mean(str(value), allowed)}."
            )
    if not 0 <= config.seed < SEEDS:
        raise ConfigError(f"seed is at least 0 and below {SEEDS:,}, not {config.seed}.")
    train = config.train
    if train.max_steps is None and train.max_epochs is None:
        raise ConfigError("Give one of train.max_steps and train.max_epochs.")
    if train.max_steps is not None and train.max_epochs is not None:
        raise ConfigError(
            f"train.max_steps={train.max_steps} and train.max_epochs={train.max_epochs:g} are both given: set one of "
            "them to null."
        )
    if train.average_last > 1 and train.select != "last":
        raise ConfigError(f"train.average_last={train.average_last} needs train.select=last, not {train.select}.")
    for path, value in [
        ("train.max_steps", train.max_steps),
        ("train.max_epochs", train.max_epochs),
        ("train.eval_every", train.eval_every),
        ("train.accumulate", train.accumulate),
        ("train.average_last", train.average_last),
        ("train.nproc", train.nproc),
        ("train.threads", train.threads),
        ("train.grad_clip", train.grad_clip),
        ("log.every", config.log.every),
        ("checkpoint.every", config.checkpoint.every),
    ]:
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{path} must be positive, not {value}.")
    if train.stop_below is not None and not math.isfinite(train.stop_below):
        raise ConfigError(f"train.stop_below must be finite, not {train.stop_below}.")
    for path, value in [("train.nproc", train.nproc), ("train.threads", train.threads)]:
        if value is not None and value > MOST_PROCESSORS:
            raise ConfigError(f"{path} is at most {MOST_PROCESSORS:,}, not {value}.")
