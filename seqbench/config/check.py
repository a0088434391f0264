"""The check of a whole config, before anything is built."""

from __future__ import annotations

import math
import re
from typing import Any, get_type_hints

from seqbench.config.schema import PATHS, Config, NetworkConfig
from seqbench.config.targets import PLUGGABLE, check_node, check_value
from seqbench.errors import ConfigError, did_you_mean

MOST_PROCESSORS = 4096  # no machine has more
MOST = 2**40  # of an integer: no list, width or count is longer
MOST_FLOAT = 3.4e38  # single precision holds no larger one
IDLE_IN_OPTIMIZERS = ("differentiable", "capturable")  # of torch.optim: steps within a graph
SEEDS = 2**20  # a step's own seed has room for so many, besides the step and the process
CHOICES = {
    "network.pool": ("none", "last", "mean"),
    "train.select": ("best", "last"),
    "train.precision": ("fp32", "bf16", "fp16"),
    "train.device": ("auto", "cpu", "cuda"),
    "checkpoint.keep": ("last", "all"),
    "log.mirror": ("none", "wandb", "tensorboard"),
    "split": ("train", "valid", "test"),
}


def check(config: Config) -> None:
    """Raise `ConfigError` for whatever cannot be a run: unknown or missing arguments, wrong types, foreign targets."""
    if config.run is not None:
        raise ConfigError("A config file sets run, which is a setting of the command line alone: run=<id>.")
    for name in PLUGGABLE:
        check_node(name, getattr(config, name))
        _check_size(name, getattr(config, name))
    if config.init is not None and not re.fullmatch(r"[0-9a-f]{12}", str(config.init)):
        raise ConfigError(f"init is a run's id of twelve hexadecimal digits, not {config.init!r}.")
    if config.analysis is not None:
        check_node("analysis", config.analysis)
    _check_size("network", vars(config.network))
    for name in IDLE_IN_OPTIMIZERS:
        if config.optimizer.get(name):
            raise ConfigError(f"optimizer.{name}=true is for loops other than this one; here it is false.")
    if config.optimizer.get("fused") and config.optimizer.get("foreach"):
        raise ConfigError("optimizer.fused and optimizer.foreach are two ways of one step; set one of them to null.")
    for name in PATHS:
        path = getattr(config, name)
        if path is not None and (not path or any(ord(sign) < 32 for sign in path)):
            raise ConfigError(f"{name} names a folder, not {path!r}.")
    hints = get_type_hints(NetworkConfig, include_extras=True)
    for key, value in vars(config.network).items():
        check_value(f"network.{key}", value, hints[key])
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
        ("train.patience", train.patience),
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


def _check_size(path: str, value: Any) -> None:
    """Raise `ConfigError` for a number beyond what tensors hold, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_size(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            _check_size(path, inner)
    elif type(value) is int and abs(value) > MOST and not path.endswith("seed"):
        raise ConfigError(f"{path} is at most {MOST:,}, not {value}.")
    elif type(value) is float and math.isfinite(value) and abs(value) > MOST_FLOAT:
        raise ConfigError(f"{path} is at most {MOST_FLOAT:g}, not {value:g}.")
