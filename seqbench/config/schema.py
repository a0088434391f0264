"""The config: typed engine settings, and how one is saved and loaded.

Engine settings are a closed set, so they are dataclasses in Hydra's ConfigStore and a typo dies when the config is
composed. Pluggable nodes are an open set, and targets.py holds them against their constructors.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqbench.config import bounds
from seqbench.config.network_shape import network_of_today
from seqbench.config.targets import NAMED, PLUGGABLE
from seqbench.contracts.ranges import Dropout
from seqbench.data.files.atomic import write_whole
from seqbench.errors import ConfigError, did_you_mean

BY_CLASS = "class"  # model=class model._target_=my_package.Mine: what a class is given without a file of settings
SECTIONS = ("network", "train", "log", "checkpoint")  # of the engine's own settings
PATHS = ("output_dir", "results_dir", "data_dir", "source")


@dataclass
class NetworkConfig:
    """What the network adds to embedding, model and head; conf/config.yaml explains each setting, here and below."""

    tied: bool = False
    shared_embedding: bool = False
    dropout_words: Dropout = 0.0
    dropout_input: Dropout = 0.0
    dropout_output: Dropout = 0.0
    pool: str = "none"


@dataclass
class TrainConfig:
    """How long, how exactly and on what a run trains."""

    max_steps: int | None = None
    max_epochs: float | None = None
    eval_every: int | None = None
    stop_below: float | None = None
    patience: int | None = None
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
    """When a run is saved, and what is kept of that."""

    every: int | None = 1000
    keep: str = "last"


@dataclass
class Config:
    """The whole of a run."""

    model: Any = MISSING
    task: Any = MISSING
    embedding: Any = MISSING
    head: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    evaluation: Any = MISSING
    analysis: Any = None  # of a finished run, for analyze
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    log: LogConfig = field(default_factory=LogConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    seed: int = 0
    init: str | None = None
    force: bool = False
    output_dir: str = "outputs"
    results_dir: str = "results"
    data_dir: str | None = None
    source: str | None = None
    run: str | None = None
    split: str = "test"
    experiment: str | None = None  # informational: the experiment file chosen
    plugins: dict[str, str] = field(default_factory=dict)  # those that targets lie in, with their checksums


def register() -> None:
    """Put the schema where Hydra finds it, and for each section the option without a setting."""
    ConfigStore.instance().store(name="schema", node=Config)
    for section in NAMED:
        ConfigStore.instance().store(group=section, name=BY_CLASS, node={})


def folder() -> Path:
    """conf/: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


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
    settings = asdict(config)
    for name in PATHS:  # absolute: the run may be taken up from another folder
        if settings[name] is not None and (name, settings[name]) != ("source", "hub"):
            settings[name] = str(Path(settings[name]).absolute())
    write_whole(path, yaml.safe_dump(settings, sort_keys=False))


def load(path: Path) -> Config:
    """The config of a run's folder, which may be damaged or someone else's. Raises `ConfigError`."""
    try:
        text = bounds.read(path)
        bounds.check_text(text, str(path))
        config = typed(_resolved(yaml.safe_load(text)))
    except ConfigError as error:
        raise ConfigError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a run's config: {error.strerror}.") from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise ConfigError(f"{path} cannot be read as a run's config: {reason}.") from error
    for name in PLUGGABLE:
        node = getattr(config, name)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise ConfigError(f"{path} cannot be read as a run's config: {name} names no class.")
    return config


def _resolved(content: Any) -> DictConfig:
    """A saved config's content. It was resolved before it was saved, so nothing in it may be looked up now."""
    if not isinstance(content, dict):
        raise ConfigError("it holds no settings.")
    if any("${" in str(value) for value in content.values()):
        raise ConfigError("it refers to something outside it by ${...}.")
    settings: dict[str, Any] = network_of_today(content)
    return OmegaConf.create(settings)
