"""Composing configs with Hydra, and saying Hydra's complaints in one sentence each."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqbench.config.schema import Config, folder, register, typed
from seqbench.config.targets import PLUGGABLE
from seqbench.errors import ConfigError, did_you_mean

ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError, OSError)


def composed(overrides: Sequence[str]) -> Config:
    """The config of some overrides, outside a Hydra job. Raises `ConfigError`."""
    try:
        return to_config(_composed([_quoted(one) for one in _searching(overrides)]))
    except ERRORS as error:
        raise explained(error, overrides) from error
    except ValueError as error:
        raise_if_no_name(error, overrides)
        raise


def _composed(overrides: Sequence[str]) -> DictConfig:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder()), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def _searching(overrides: Sequence[str]) -> list[str]:
    """A user's own folder of configs, which Hydra's command line takes as --config-dir, as the setting that says so."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", "-cd")
    try:
        known, rest = parser.parse_known_args(list(overrides))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}.") from error
    if known.config_dir is None:
        return rest
    if not Path(known.config_dir).is_dir():
        raise ConfigError(f"--config-dir {known.config_dir} is not a folder.")
    return [f"hydra.searchpath=[file://{Path(known.config_dir).absolute()}]", *rest]


def _quoted(override: str) -> str:
    """A run's id may look like a number, 721e8 like 72100000000."""
    name, equals, value = override.partition("=")
    return f"{name}='{value}'" if name == "run" and equals and value.isalnum() else override


def to_config(node: DictConfig) -> Config:
    """A composed DictConfig as a typed `Config`, interpolations resolved."""
    OmegaConf.resolve(node)
    return typed(node)


def kept_of_experiment(config: Config, overrides: Sequence[str]) -> list[str]:
    """The settings, each as key=value, that an experiment gave its own model, optimizer ... and that stay although
    `overrides` choose another one."""
    keys = {key: value for key, _, value in (one.lstrip("+").partition("=") for one in overrides)}
    swapped = [group for group in PLUGGABLE if group in keys]
    if "experiment" not in keys or not swapped:
        return []
    place = [one for one in _searching(overrides) if one.startswith("hydra.searchpath=")]
    own = to_config(_composed([*place, f"experiment={keys['experiment']}"]))
    plain = to_config(_composed([*place, *(f"{group}={keys[group]}" for group in swapped)]))
    kept = []
    for group in swapped:
        ours, theirs, default = (getattr(one, group) for one in (config, own, plain))
        if ours["_target_"] != theirs["_target_"]:
            named = {key: f"{group}.{key}" for key in ours if f"{group}.{key}" not in keys}
            kept += [f"{full}={ours[key]}" for key, full in named.items() if ours[key] != default.get(key)]
    return kept


def refuse_lists(choices: Mapping[str, Any]) -> None:
    """Hydra lays the files of `model=[gru,lstm]` over one another, and then names no choice; nobody means that."""
    for group in PLUGGABLE:
        if group not in choices:
            raise ConfigError(f"{group} takes one file at a time; {group}=<one>,<two> after -m runs each of them.")


def options(group: str) -> list[str]:
    """The names that `group=` takes, nested ones with their folder."""
    root = folder() / group
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def groups() -> list[str]:
    return sorted(path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra")


def explained(error: BaseException, overrides: Sequence[str], sweeps: bool = False) -> ConfigError:
    """Hydra's or OmegaConf's complaint about some overrides as one sentence with the nearest valid name. `sweeps`:
    where -m may be used."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, (*ERRORS, HydraException)):
        if isinstance(error.__cause__, OmegaConfBaseException) or not str(error).startswith("Could not override"):
            error = error.__cause__
        else:
            break
    text = str(error)
    if found := re.search(r"(?:Could not find|Could not load) '(hydra/launcher/(?:joblib|submitit_\w+))'", text):
        return ConfigError(f'{found.group(1)} is a plugin: pip install "seqbench[sweep]".')
    if found := re.search(r"Could not find '([\w/.-]+)'", text):
        return _missing_option(found.group(1))
    if found := re.search(r"Could not override '([\w./@-]+)'", text):
        return _no_setting(found.group(1), overrides)
    if found := re.search(r"Key '([\w-]+)' (?:is )?not in (?:struct|'(\w+)')", text):
        full = re.search(r"full_key: ([\w.-]+)", text)
        return _no_setting(full.group(1) if full else found.group(1), overrides)
    if found := re.search(r"Invalid type assigned: .*full_key: ([\w.-]+)", text, re.DOTALL):
        return ConfigError(f"{found.group(1)} holds settings: {found.group(1)}.<setting>=<value>.")
    if found := re.match(r"LexerNoViableAltException: (\S+)", text):
        return _unreadable(next((one for one in overrides if one.startswith(found.group(1))), found.group(1)))
    if found := re.search(r"Value '?(.*?)'? of type '\w+' (?:could not|is not|cannot).*?(\w+)'?\n", text):
        path = re.search(r"full_key: ([\w.-]+)", text)
        return ConfigError(
            f"{path.group(1) if path else 'A setting'} must be {_kind(found.group(2))}, not {found.group(1)!r}."
        )
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return ConfigError(f"A config refers to {found.group(1)}, which does not exist.")
    if found := re.search(r"Ambiguous value for argument '(\S+)'", text):
        other = "-m runs each of them" if sweeps else "this command takes one"
        return ConfigError(f"{found.group(1)} gives several values; {other}.")
    if found := re.search(r"Error parsing override '(.*?)'", text):
        return _unreadable(found.group(1))
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return ConfigError(f"{mark.name}, line {mark.line + 1}, is not valid YAML: {error.problem}.")
    if isinstance(error, (yaml.YAMLError, UnicodeDecodeError)):
        return ConfigError(f"A config file is not valid YAML: {' '.join(text.split())}.")
    return ConfigError(" ".join(text.split()))


def _unreadable(argument: str) -> ConfigError:
    return ConfigError(f"'{argument}' cannot be read as a setting; settings are written key=value.")


def _no_setting(path: str, overrides: Sequence[str]) -> ConfigError:
    known = _settings(overrides)
    if path.startswith("optimizer.groups."):
        group = ".".join(path.split(".")[:3])
        wanted = f"{path}=<value>" if group in known else f"{group}.<setting>=<value>"
        hint = "" if group in known else did_you_mean(group, [one for one in known if one.count(".") == 2])
        return ConfigError(f"{path} is not there yet; a plus adds it: +{wanted}{hint}.")
    if path in known or path in _settings(()):  # known: of a sweep's first choice
        return ConfigError(f"{path} is not a setting of what is chosen here.")
    hint = did_you_mean(path, [*known, *groups()]) or "; seqbench show lists them"
    return ConfigError(f"{path} is not a setting{hint}.")


def raise_if_no_name(error: ValueError, overrides: Sequence[str]) -> None:
    """Raise `ConfigError` where Hydra minds that a group was given a number or null, as model=5."""
    if not str(error).startswith("Config group override must be"):
        return
    for key, equals, value in (one.partition("=") for one in overrides):
        if equals and not key:
            raise _unreadable(f"={value}") from error
        group = key.lstrip("+").partition("@")[0]
        if group in groups() and not isinstance(yaml.safe_load(value), (str, list)):
            raise _missing_option(f"{group}/{value}") from error


def _missing_option(path: str) -> ConfigError:
    group, _, name = path.rpartition("/")
    if group.split("/")[0] == "experiment":
        group, name = "experiment", path.removeprefix("experiment/")
    valid = options(group) if (folder() / group).is_dir() else []
    close = get_close_matches(name, valid, n=1, cutoff=0.4)
    known = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(valid)}."
    return ConfigError(f"{group}={name} does not exist{known}")


def _settings(overrides: Sequence[str]) -> list[str]:
    """Every setting there is under those of the overrides that choose a file (of a sweep's, the first), but for an
    experiment that is itself a mistake; none where they cannot be composed."""
    chosen = []
    for one in _searching(overrides):
        key, _, value = one.partition("=")
        if key == "hydra.searchpath":
            chosen.append(one)
        elif key.partition("@")[0] in groups():
            chosen.append(f"{key}={value.split(',')[0]}")
    for some in (chosen, [one for one in chosen if not one.startswith("experiment=")]):
        try:
            node = OmegaConf.to_container(_composed(some), resolve=False)
        except ERRORS:
            continue
        return [path for path in _paths(node) if not path.endswith("_target_")]
    return []


def _paths(node: Any, prefix: str = ""):
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _kind(name: str) -> str:
    kinds = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false", "String": "a string"}
    return kinds.get(name, f"of type {name}")
