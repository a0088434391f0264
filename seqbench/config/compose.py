"""Composing a config of what stands on a command line, without executing anything.

Hydra's compose API neither runs callbacks nor configures logging. What it composes of Hydra's own settings is held
against conf/config.yaml before anything is handed to Hydra, so a file of someone else's cannot set them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from seqbench.config import arguments as command_lines
from seqbench.config import bounds
from seqbench.config.arguments import CommandLine
from seqbench.config.complaints import BY_ACCIDENT, ERRORS, by_accident, explained
from seqbench.config.identity import run_id
from seqbench.config.nodes import files, groups, node_of, plugin_folders
from seqbench.config.own_data import name_own_data
from seqbench.config.plugin_use import with_plugins
from seqbench.config.plugins import EXAMPLE
from seqbench.config.schema import Config, folder, typed
from seqbench.config.targets import PLUGGABLE
from seqbench.errors import ConfigError

# not held against conf/: they are checked by themselves, or say what was composed
_OF_THE_MOMENT = ("defaults", "launcher", "overrides", "runtime", "searchpath", "hydra_help")
_JOB = ("name", "chdir", "env_set", "env_copy", "config")
_NO_LOGGING = {"version": 1, "root": None, "disable_existing_loggers": False}


@dataclass
class Composition:
    """A run's config and the files that were chosen for it."""

    config: Config
    choices: Mapping[str, Any]


def composed(arguments: Sequence[str], command: str = "show") -> Config:
    """The config of a command line. Raises `ConfigError`."""
    return compose_run(command_lines.read(command, arguments)).config


def compose_run(line: CommandLine, sweeps: bool = False) -> Composition:
    """The one run of a command line. `sweeps`: of a command that takes -m. Raises `ConfigError`."""
    check_place(line)
    return compose_settings([*line.of_hydra, *line.of_run], sweeps)


def check_place(line: CommandLine) -> None:
    """Hold the folders of configs besides ours against the bounds of a config, and their files' names against ours."""
    for place in line.places:
        bounds.check_folder(place)
    if plugin_folders():
        for group in groups():
            files(group)


def compose_settings(overrides: Sequence[str], sweeps: bool = False, line: Sequence[str] = ()) -> Composition:
    """The config of overrides as Hydra takes them, its own settings checked. `line`: all those of the sweep that they
    are a job of, for what a refusal says."""
    try:
        node = node_of(overrides, with_hydra=True)
        _check_hydras(node, overrides)
        choices = dict(node.hydra.runtime.choices)
        del node["hydra"]
        refuse_lists(choices)
        config = to_config(node)
        config.init = _initial_run(config.init, config.seed)
        return Composition(config, choices)
    except ERRORS as error:
        raise explained(error, line or overrides, sweeps) from error
    except BY_ACCIDENT as error:
        raise by_accident(error, line or overrides) from error


def _initial_run(name: str | None, seed: int) -> str | None:
    """The id of the run that another begins from: of an experiment, the one of the same seed."""
    if name is None or re.fullmatch(r"[0-9a-f]{12}", name):
        return name
    if "/" not in name:
        raise ConfigError(f"init is a run's id, all twelve digits of it, or the name of an experiment, not {name!r}.")
    return run_id(compose_settings([*CommandLine().of_hydra, f"experiment={name}", f"seed={seed}"]).config)


def to_config(node: DictConfig) -> Config:
    """A composed DictConfig as a typed `Config`, interpolations resolved, its plugins named, and data of one's own by
    their checksum."""
    OmegaConf.resolve(node)
    config = typed(node)
    if config.plugins:
        raise ConfigError(f"A config file sets plugins, which the command line alone may: {EXAMPLE}.")
    config = with_plugins(config)
    name_own_data(config)
    return config


def _check_hydras(node: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse settings of Hydra's that come from a file other than ours, or that run code."""
    OmegaConf.set_struct(node, False)
    settings: Any = OmegaConf.to_container(node.hydra, resolve=False)
    if not isinstance(settings, dict) or not isinstance(settings.get("job"), dict):
        raise _of_hydra("hydra")
    ours = _ours()
    for name in sorted({*settings, *ours} - {*_OF_THE_MOMENT, "job"}):
        if name not in settings or name not in ours or settings[name] != ours[name]:
            raise _of_hydra(f"hydra.{name}")
    for name in _JOB:
        if settings["job"].get(name) != ours["job"][name]:
            raise _of_hydra(f"hydra.job.{name}")
    ours_alone = [one for one in overrides if command_lines.key_of(one).startswith(("hydra/", "hydra.launcher"))]
    launcher = OmegaConf.to_container(node_of(ours_alone, with_hydra=True).hydra.launcher) if ours_alone else _LOCAL
    if settings.get("launcher") != launcher:
        raise _of_hydra("hydra.launcher")


_LOCAL = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}


def _of_hydra(name: str) -> ConfigError:
    return ConfigError(f"{name} is a setting of Hydra's, which no config file of one's own may set.")


@functools.cache
def _ours() -> dict[str, Any]:
    """Hydra's settings in conf/config.yaml, over those that Hydra has by itself."""
    written = yaml.safe_load((folder() / "config.yaml").read_text())["hydra"]
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    more = {"sweeper": {**sweeper, "max_batch_size": None, "params": None}}
    more |= {"job_logging": _NO_LOGGING, "hydra_logging": _NO_LOGGING}
    settings: Any = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.structured(HydraConf), more, written), resolve=False
    )
    return {**settings, "env": {}}


def kept_of_experiment(config: Config, overrides: Sequence[str]) -> list[str]:
    """The settings, each as key=value, that an experiment gave its own model, optimizer ... and that stay although
    `overrides` choose another one."""
    keys = {key: value for key, _, value in (one.lstrip("+").partition("=") for one in overrides)}
    swapped = [group for group in PLUGGABLE if group in keys]
    if "experiment" not in keys or not swapped:
        return []
    place = [one for one in overrides if one.startswith("hydra.searchpath=")]
    experiment = to_config(node_of([*place, f"experiment={keys['experiment']}"]))
    plain = to_config(node_of([*place, *(f"{group}={keys[group]}" for group in swapped)]))
    kept = []
    for group in swapped:
        ours, theirs, default = (getattr(one, group) for one in (config, experiment, plain))
        if ours["_target_"] != theirs["_target_"]:
            named = {key: f"{group}.{key}" for key in ours if f"{group}.{key}" not in keys}
            kept += [f"{full}={ours[key]}" for key, full in named.items() if ours[key] != default.get(key)]
    return kept


def refuse_lists(choices: Mapping[str, Any]) -> None:
    """Hydra lays the files of `model=[gru,lstm]` over one another, and then names no choice; nobody means that."""
    for group in PLUGGABLE:
        if group not in choices:
            raise ConfigError(f"{group} takes one file at a time; {group}=<one>,<two> after -m runs each of them.")
