"""Composing configs with Hydra, and saying Hydra's complaints in one sentence each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqbench.config import PLUGGABLE, Config, ConfigError, folder, register, typed

ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError, OSError)


def composed(overrides: Sequence[str]) -> Config:
    """The config of some overrides, outside a Hydra job. Raises `ConfigError`."""
    register()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(folder()), version_base="1.3"):
            return to_config(compose("config", overrides=[_quoted(one) for one in overrides]))
    except ERRORS as error:
        raise explained(error) from error


def _quoted(override: str) -> str:
    """A run's id may look like a number, 721e8 like 72100000000."""
    name, equals, value = override.partition("=")
    return f"{name}='{value}'" if name == "run" and equals and value.isalnum() else override


def to_config(node: DictConfig) -> Config:
    """A composed DictConfig as a typed `Config`, interpolations resolved."""
    OmegaConf.resolve(node)
    return typed(node)


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


def explained(error: BaseException, sweeps: bool = False) -> ConfigError:
    """Hydra's or OmegaConf's complaint as one sentence with the nearest valid name. `sweeps`: where -m may be used."""
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
        return ConfigError(f"{found.group(1)} is not a setting{nearest(found.group(1))}.")
    if found := re.search(r"Key '([\w-]+)' (?:is )?not in (?:struct|'(\w+)')", text):
        full = re.search(r"full_key: ([\w.-]+)", text)
        path = full.group(1) if full else found.group(1)
        return ConfigError(f"{path} is not a setting{nearest(path)}.")
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
        return ConfigError(f"'{found.group(1)}' cannot be read as a setting; settings are written key=value.")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return ConfigError(f"{mark.name}, line {mark.line + 1}, is not valid YAML: {error.problem}.")
    if isinstance(error, (yaml.YAMLError, UnicodeDecodeError)):
        return ConfigError(f"A config file is not valid YAML: {' '.join(text.split())}.")
    return ConfigError(" ".join(text.split()))


def nearest(path: str, names: Sequence[str] | None = None) -> str:
    """` (did you mean x?)` for the nearest of `names` (None: of all settings and groups), or where to look. `path` may
    itself be a setting, of other choices than those made."""
    known = [*_settings(), *groups()] if names is None else names
    close = get_close_matches(path, [name for name in known if name != path], n=1, cutoff=0.6)
    if path in known:
        return " of what is chosen here"
    return f" (did you mean {close[0]}?)" if close else "; seqbench show lists them" if names is None else ""


def _missing_option(path: str) -> ConfigError:
    group, _, name = path.rpartition("/")
    if group.split("/")[0] == "experiment":
        group, name = "experiment", path.removeprefix("experiment/")
    valid = options(group) if (folder() / group).is_dir() else []
    close = get_close_matches(name, valid, n=1, cutoff=0.4)
    known = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(valid)}."
    return ConfigError(f"{group}={name} does not exist{known}")


def _settings() -> list[str]:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder()), version_base="1.3"):
        node = OmegaConf.to_container(compose("config"), resolve=False)
    return list(_paths(node))


def _paths(node: Any, prefix: str = ""):
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _kind(name: str) -> str:
    kinds = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false", "String": "a string"}
    return kinds.get(name, f"of type {name}")
