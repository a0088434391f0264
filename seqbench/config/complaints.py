"""Hydra's and OmegaConf's complaints in one sentence each, with the nearest valid name.

The patterns are of the words of Hydra 1.3.8 and OmegaConf 2.3; a complaint in other words is passed on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqbench.config.nodes import groups, node_of, options
from seqbench.config.targets import PLUGGABLE, class_at
from seqbench.errors import ConfigError, did_you_mean

ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError, OSError)
# what Hydra and OmegaConf raise, besides, of a file that is not as they expect
BY_ACCIDENT = (ValueError, TypeError, AttributeError, AssertionError, LookupError, RecursionError)
MOST_NAMED = 40  # options of a group, in one sentence


def explained(error: BaseException, overrides: Sequence[str], sweeps: bool = False) -> ConfigError:
    """Hydra's or OmegaConf's complaint about some overrides as one sentence. `sweeps`: where -m may be used."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, (*ERRORS, HydraException)):
        if isinstance(error.__cause__, OmegaConfBaseException) or not str(error).startswith("Could not override"):
            error = error.__cause__
        else:
            break
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return ConfigError(f"{mark.name}, line {mark.line + 1}, is not valid YAML: {error.problem}.")
    text = str(error)
    if isinstance(error, (yaml.YAMLError, UnicodeDecodeError)):
        return ConfigError(f"A config file is not valid YAML: {_one_line(text)}.")
    if isinstance(error, OSError) and error.filename:
        return ConfigError(f"{error.filename}: {error.strerror}.")
    if ambiguous := re.search(r"Ambiguous value for argument '(\S+)'", text):
        other = "-m runs each of them" if sweeps else "this command takes one"
        return ConfigError(f"{ambiguous.group(1)} gives several values; {other}.")
    return _of_a_name(text, overrides) or _of_a_value(text, overrides) or ConfigError(_one_line(text) + ".")


def by_accident(error: BaseException, overrides: Sequence[str]) -> ConfigError:
    """An error that Hydra or OmegaConf did not foresee, of a file or a value that is not as they expect."""
    if isinstance(error, RecursionError):
        return ConfigError("The configs name one another without end, or a value is nested too deeply.")
    if str(error).startswith("Config group override must be"):  # model=5
        for key, equals, value in (one.partition("=") for one in overrides):
            group = key.lstrip("+").partition("@")[0]
            if equals and group in groups() and re.fullmatch(r"null|true|false|nan|[-+.\d]\S*", value, re.IGNORECASE):
                return _missing_option(f"{group}/{value}")
    return ConfigError(f"Hydra cannot compose these settings: {_one_line(str(error)) or type(error).__name__}.")


def _of_a_name(text: str, overrides: Sequence[str]) -> ConfigError | None:
    """The sentence where a file or a setting does not exist."""
    if plugin := re.search(r"(?:Could not find|Could not load) '(hydra/launcher/(?:joblib|submitit_\w+))'", text):
        return ConfigError(f'{plugin.group(1)} is a plugin: pip install "seqbench[sweep]".')
    if missing := re.search(r"Could not (?:find|load) '(.+?)'", text):
        return _missing_option(missing.group(1))
    if missing := re.search(r"(?:In '(.+?)': )?Could not override '([\w./@-]+)'", text):
        return _no_setting(missing.group(2), overrides)
    if missing := re.search(r"Key '([\w./@-]+)' (?:is )?not in (?:struct|'(\w+)')", text):
        full = re.search(r"full_key: ([\w./@-]+)", text)
        return _no_setting(full.group(1) if full else missing.group(1), overrides)
    if missing := re.search(r"Could not delete from config\. '?([\w./@-]+)'? does not exist", text):
        return _no_setting(missing.group(1), overrides)
    if missing := re.search(r"Interpolation key '([^']+)' not found", text):
        return ConfigError(f"A config refers to {missing.group(1)}, which does not exist.")
    return None


def _of_a_value(text: str, overrides: Sequence[str]) -> ConfigError | None:
    """The sentence where a setting cannot have its value."""
    full = re.search(r"full_key: ([\w./@-]+)", text)
    path = full.group(1) if full else "A setting"
    if "Cannot convert 'DictConfig' to string" in text and path == "experiment":
        return ConfigError("An experiment's file begins with the line `# @package _global_`, and this one does not.")
    if "does not support deletion" in text:
        return ConfigError(f"{path} cannot be dropped: it is the engine's own; {path}=<value> sets it.")
    if present := re.search(r"Could not append to config\. An item is already at '(\S+)'", text):
        return ConfigError(f"{present.group(1)} exists already: {present.group(1)}=<value> sets it, without a plus.")
    if re.search(r"Invalid type assigned: .*full_key: ", text, re.DOTALL) and "is not a subclass of" in text:
        return ConfigError(f"{path} holds settings: {path}.<setting>=<value>.")
    if "is not Optional" in text or "Incompatible value 'None'" in text:
        return ConfigError(f"{path} must have a value, not null.")
    if re.search(r"(?:Invalid value assigned: \w+ is not a (?:ListConfig|list)|is not a ListConfig)", text):
        return ConfigError(f"{path} must be a list, as {path}=[1,2].")
    if wrong := re.search(r"Value '?(.*?)'? of type '\w+' (?:could not|is not|cannot).*?(\w+)'?\n", text):
        return ConfigError(f"{path} must be {_kind(wrong.group(2))}, not {wrong.group(1)!r}.")
    if wrong := re.search(r"Cannot convert '(\w+)' to string", text):
        return ConfigError(f"{path} must be a string, not {_CONTAINERS.get(wrong.group(1), wrong.group(1))}.")
    if wrong := re.match(r"LexerNoViableAltException: (\S+)", text):
        return unreadable(next((one for one in overrides if one.startswith(wrong.group(1))), wrong.group(1)))
    if wrong := re.search(r"Error parsing override '(.*?)'", text):
        return unreadable(wrong.group(1))
    return None


_CONTAINERS = {"DictConfig": "settings", "ListConfig": "a list", "dict": "settings", "list": "a list"}


def unreadable(argument: str) -> ConfigError:
    """The sentence for an argument that Hydra's grammar does not take, with what was probably meant."""
    key, equals, value = argument.partition("=")
    if equals and re.fullmatch(r"[\w./@:+~-]+", key) and value:
        if several := re.findall(r"[\s,]+([A-Za-z][\w.]*=\S*)", value):
            return ConfigError(f"'{argument}' is one argument; give {several[0]} as another, after a space.")
        if not re.fullmatch(r"[\w./@:+%-]+", value, re.ASCII) and "'" not in value:
            return ConfigError(f"'{argument}' cannot be read as a setting; quote its value: \"{key}='{value}'\".")
    return ConfigError(f"'{argument}' cannot be read as a setting; settings are written key=value.")


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _no_setting(path: str, overrides: Sequence[str]) -> ConfigError:
    known = _settings(overrides)
    if path.startswith("optimizer.groups."):
        group = ".".join(path.split(".")[:3])
        wanted = f"{path}=<value>" if group in known else f"{group}.<setting>=<value>"
        hint = "" if group in known else did_you_mean(group, [one for one in known if one.count(".") == 2])
        return ConfigError(f"{path} is not there yet; a plus adds it: +{wanted}{hint}.")
    section = path.partition(".")[0]
    if section in PLUGGABLE:
        _check_target(section, overrides)
    if path in known or path in _settings(()):  # known: of a sweep's first choice
        return ConfigError(f"{path} is not a setting of what is chosen here.")
    hint = did_you_mean(path, [*known, *groups()]) or "; seqbench show lists them"
    return ConfigError(f"{path} is not a setting{hint}.")


def _missing_option(path: str) -> ConfigError:
    group, _, name = path.rpartition("/")
    first = path.split("/")[0]
    if first in groups() and ".." not in path:  # experiments, whose names have a folder
        group, name = first, path.removeprefix(f"{first}/")
    if group not in groups():
        known = did_you_mean(group, groups()) or f"; the groups are {', '.join(groups())}"
        return ConfigError(f"{path} does not exist: {group or path} is no group of settings{known}.")
    valid = options(group)
    close = get_close_matches(name, valid, n=1, cutoff=0.4)
    known = f"; there are {', '.join(valid)}." if len(valid) <= MOST_NAMED else "; seqbench list shows those there are."
    if close:
        known = f"; did you mean {close[0]}?"
    return ConfigError(f"{group}={name} does not exist{known}")


def _settings(overrides: Sequence[str]) -> list[str]:
    """Every setting there is under those of the overrides that choose a file (of a sweep's, the first), but for an
    experiment that is itself a mistake; none where they cannot be composed."""
    chosen = _choosing(overrides)
    for some in (chosen, [one for one in chosen if not one.startswith("experiment=")]):
        try:
            node = OmegaConf.to_container(node_of(some), resolve=False)
        except (*ERRORS, *BY_ACCIDENT):
            continue
        return [path for path in _paths(node) if not path.endswith("_target_")]
    return []


def _choosing(overrides: Sequence[str]) -> list[str]:
    """Those of the overrides that choose a file, of a sweep's the first, and say where files are."""
    chosen = []
    for one in overrides:
        key, _, value = one.partition("=")
        if key == "hydra.searchpath":
            chosen.append(one)
        elif key.partition("@")[0] in groups():
            chosen.append(f"{key}={value.split(',')[0]}")
    return chosen


def _paths(node: Any, prefix: str = ""):
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _kind(name: str) -> str:
    kinds = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false", "String": "a string"}
    return kinds.get(name, f"of type {name}")


def _check_target(section: str, overrides: Sequence[str]) -> None:
    """Raise `ConfigError` where a user's own file names no class of its kind: then none of its settings exists."""
    try:
        node = node_of(_choosing(overrides))[section]
    except (*ERRORS, *BY_ACCIDENT):
        return
    if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{section} needs a _target_ and its arguments; choose a file of conf/{section}/.")
    class_at(section, node["_target_"])
