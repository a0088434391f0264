"""A command line before Hydra reads it: options apart from settings, and only those of Hydra's that are ours.

Hydra's own settings can run code (callbacks, logging factories, a launcher's or sweeper's `_target_`, environment
variables, search paths that are packages), and one of its options unpickles a file. So both are taken by a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from seqbench.config.complaints import unreadable
from seqbench.config.nodes import plugin_folders
from seqbench.config.plugins import EXAMPLE, plugin_of
from seqbench.config.schema import BY_CLASS, PATHS
from seqbench.config.targets import NAMED
from seqbench.errors import ConfigError, did_you_mean

LAUNCHERS = ("basic", "local", "joblib", "slurm", "submitit_local", "submitit_slurm")
BOOLEANS = ("force", "train.deterministic", "network.tied", "network.shared_embedding")
MOST_JOBS = 10_000
OPTIONS = {  # name -> whether a word follows
    "--config-dir": True,
    "--multirun": False,
    "--cfg": True,
    "--package": True,
    "--resolve": False,
    "--help": False,
}
_SHORT = {"-cd": "--config-dir", "-m": "--multirun", "-c": "--cfg", "-p": "--package", "-h": "--help"}
_OF_HYDRA = ("config-path", "config-name", "experimental-rerun", "info", "hydra-help", "run", "shell-completion")
_SETTING = re.compile(r"(\+\+|\+|~)?([\w$][\w./@:$-]*)(?:=(.*))?", re.DOTALL)


@dataclass
class CommandLine:
    """The options of a command line by their long names, and its settings as Hydra's grammar takes them."""

    settings: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> list[Path]:
        """The folders of configs besides ours: the user's own, then the plugins'."""
        place = self.options.get("--config-dir")
        return [*([] if place is None else [Path(place)]), *plugin_folders()]

    @property
    def of_hydra(self) -> list[str]:
        """The settings that say how a sweep runs, and the folders of configs besides ours as Hydra's setting."""
        places = [quote(f"file://{place.absolute()}") for place in self.places]
        where = [f"hydra.searchpath=[{','.join(places)}]"] if places else []
        return [*where, *(one for one in self.settings if key_of(one).startswith("hydra"))]

    @property
    def of_run(self) -> list[str]:
        return [one for one in self.settings if not key_of(one).startswith("hydra")]


def read(command: str, arguments: Sequence[str], accepted: Iterable[str] = ("--config-dir",)) -> CommandLine:
    """The command line of `seqbench <command>`, which takes the options `accepted`. Raises `ConfigError`."""
    line, words = CommandLine(), list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            line.settings.append(_setting(word))
            continue
        name, equals, value = word.partition("=")
        option = _SHORT.get(name, name)
        if option not in accepted:
            raise _no_option(command, word, accepted)
        if not OPTIONS[option]:
            if equals:
                raise ConfigError(f"{name} takes no value.")
            value = ""
        elif not equals:
            if not words:
                raise ConfigError(f"{name} needs a {'folder' if option == '--config-dir' else 'word'} after it.")
            value = words.pop(0)
        line.options[option] = value
    _check_options(line.options)
    line.settings = _with_classes(line.settings)
    return line


def _with_classes(settings: list[str]) -> list[str]:
    """`model._target_=<a plugin's class>` without `model=<file>` begins with no settings, not with those of the default
    model; the class's own may be given with a plus or without."""
    keys = [key_of(one) for one in settings]
    for section in NAMED:
        targets = [one.partition("=")[2] for one in settings if key_of(one) == f"{section}._target_"]
        if section in keys or not targets or not all(plugin_of(target) for target in targets[-1].split(",")):
            continue
        settings = [
            f"++{one}" if one.startswith(f"{section}.") else one for one in [f"{section}={BY_CLASS}", *settings]
        ]
    return settings


def _check_options(options: dict[str, str]) -> None:
    place = options.get("--config-dir")
    if place is not None:
        options["--config-dir"] = place = str(_home(place))
        if not Path(place).is_dir():
            raise ConfigError(f"--config-dir {place} is not a folder.")
    if "--cfg" in options and options["--cfg"] not in ("job", "hydra", "all"):
        raise ConfigError(f"--cfg is one of job, hydra, all, not '{options['--cfg']}'.")
    for option in ("--package", "--resolve"):
        if option in options and "--cfg" not in options:
            raise ConfigError(f"{option} goes with --cfg.")
    if "--cfg" in options and "--multirun" in options:
        raise ConfigError("--cfg shows one run's config; it does not go with -m.")


def _no_option(command: str, word: str, accepted: Iterable[str]) -> ConfigError:
    setting = word.lstrip("-")
    if "=" in setting and setting.partition("=")[0] not in _OF_HYDRA and word.partition("=")[0] not in OPTIONS:
        return ConfigError(f"Settings have no dashes: {setting}.")
    short = {long: name for name, long in _SHORT.items()}
    names = [f"{short[one]}/{one}" if one in short else one for one in accepted]
    return ConfigError(f"{word} is not an option of seqbench {command}; it takes {', '.join(names)}.")


def key_of(setting: str) -> str:
    return setting.partition("=")[0].lstrip("+~")


def _setting(word: str) -> str:
    """A setting that Hydra's grammar takes: a path may be written as it is, and a run's id may look like a number."""
    parts = _SETTING.fullmatch(word)
    if parts is None or (parts[3] is None and parts[1] != "~"):
        raise unreadable(word)
    prefix, key, value = parts[1] or "", parts[2], parts[3]
    if key == "plugins":  # what the command line itself has is taken from it before (plugins.py)
        raise ConfigError(f"plugins is a setting of the command line alone, written as {EXAMPLE}.")
    if key.partition(".")[0].partition("/")[0].partition("@")[0] == "hydra":
        _check_hydras(prefix, key, value or "")
    if value is None:
        return word
    if key in PATHS and value and value != "null":
        return f"{prefix}{key}={quote(str(_home(unquoted(value))))}"
    if key in ("run", "init") and value and value != "null":
        return f"{prefix}{key}={quote(unquoted(value))}"
    if ".." in re.split(r"[/,]", value) and "." not in key:
        raise ConfigError(f"{key}={value} does not exist: a name has no '..' in it.")
    _check_grammar(word, key)
    return word


def _check_grammar(word: str, key: str) -> None:
    try:
        override = OverridesParser.create().parse_override(word)
    except (HydraException, RecursionError, ValueError) as error:
        raise unreadable(word) from error
    if key in BOOLEANS and not override.is_delete():
        values = list(_values(override)) if override.is_discrete_sweep() else [override.value()]
        for value in values:
            if type(value) is not bool:
                raise ConfigError(f"{key} must be true or false, not {value!r}.")
    if override.is_discrete_sweep() and not list(_values(override, 1)):
        raise ConfigError(f"{word} names no value.")


def _values(override: Override, most: int = MOST_JOBS + 1) -> list:
    """The values of a sweep, of which `most` are read: range(0,1e9) names a billion."""
    choices = override.value()
    if isinstance(choices, RangeSweep):
        iterator = iter(choices.range())
    else:
        iterator = iter(choices.list)  # type: ignore[union-attr]
    return [value for _, value in zip(range(most), iterator, strict=False)]


def n_jobs(settings: Iterable[str]) -> int:
    """How many jobs a sweep over these settings has, or a number above `MOST_JOBS`."""
    count = 1
    for override in OverridesParser.create().parse_overrides(list(settings)):
        if override.is_discrete_sweep() and count <= MOST_JOBS:
            count *= len(_values(override))
    return count


def node_of(settings: Sequence[str]) -> dict[str, Any]:
    """The node that settings such as `channels=[8,8]` and `norm.eps=0.1` describe by themselves, as `read` gives them.
    Raises `ConfigError` for one that names several values."""
    node: dict[str, Any] = {}
    for setting in settings:
        override = OverridesParser.create().parse_override(setting)
        if override.is_sweep_override() or override.is_delete():
            raise ConfigError(f"{setting} is not one value of an argument; arguments are written key=value.")
        *path, key = override.key_or_group.split(".")
        inner = node
        for name in path:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{setting}: {name} has a value of its own already.")
        inner[key] = override.value()
    return node


def _check_hydras(prefix: str, key: str, value: str) -> None:
    if prefix == "" and key == "hydra/launcher":
        if value not in LAUNCHERS:
            hint = did_you_mean(value, LAUNCHERS) or f"; there are {', '.join(LAUNCHERS)}"
            raise ConfigError(f"hydra/launcher={value} does not exist{hint}.")
    elif prefix == "" and key == "hydra/sweeper":
        if value != "basic":
            raise ConfigError(f"hydra/sweeper={value} does not exist; there is basic.")
    elif prefix == "" and re.fullmatch(r"hydra\.launcher\.[a-z]\w*", key):
        if key == "hydra.launcher.n_jobs" and not re.fullmatch(r"-1|[1-9]\d{0,3}", value):
            raise ConfigError(f"{key} is at least 1, or -1 for one job a processor, not {value}.")
    else:
        raise ConfigError(
            f"{key} is a setting of Hydra's that seqbench does not take; hydra/launcher and hydra.launcher.<setting> "
            "say where a sweep runs."
        )


def _home(path: str) -> Path:
    """`~` at a path's start as the shell would have expanded it."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no home, or no such user
        raise ConfigError(f"{path}: {error}".rstrip(".") + ".") from error


def quote(text: str) -> str:
    """In single quotes of Hydra's grammar, in which a backslash counts before a quote alone."""
    escaped = re.sub(r"(\\*)('|$)", lambda run: run[1] * 2 + ("\\'" if run[2] else ""), text)
    return f"'{escaped}'"


def unquoted(value: str) -> str:
    """What a user has quoted for Hydra already, as it is meant."""
    for mark in "'\"":
        if len(value) >= 2 and value[0] == value[-1] == mark:
            return value[1:-1].replace(f"\\{mark}", mark)
    return value
