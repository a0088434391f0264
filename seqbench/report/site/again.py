"""How a run is made again: its experiment, what its settings add to it, and the command that names them all."""

from __future__ import annotations

import copy
import shlex
from dataclasses import dataclass
from typing import Any

from seqbench.config.identity import digest
from seqbench.config.values import same
from seqbench.errors import UserError
from seqbench.report.record import Record
from seqbench.report.selection import Compose, belongs
from seqbench.report.site.gathered import Gathered

_ABSENT = object()


@dataclass(frozen=True)
class Setting:
    """One setting of a resolved config by its path. `usual` is the experiment's, where that is another; `differs` says
    whether it is, since None is a setting, too."""

    path: str
    value: Any
    usual: Any = None
    differs: bool = False
    new: bool = False  # the experiment has none of this path

    @property
    def section(self) -> str:
        return self.path.partition(".")[0]


@dataclass(frozen=True)
class Again:
    """`command` trains the run again; None where no command line of this version names its settings. `run_id` is what
    the command's run is called now, which is another id where settings have come to the project since."""

    command: str | None
    run_id: str | None


def again(record: Record, gathered: Gathered) -> Again:
    """The command by a table's row that the record stands for, or else by its experiment, with the settings that
    differ; checked by composing it."""
    for entry in gathered.entries_of(record):
        assert entry.row.experiment is not None
        found = _checked(record, entry.row.experiment, entry.row.overrides, gathered.compose)
        if found:
            return found
    if record.experiment is not None:
        overrides = [_override(one) for one in settings(record, gathered.compose) if one.differs]
        if None not in overrides:
            found = _checked(record, record.experiment, [text for text in overrides if text], gathered.compose)
            if found:
                return found
    return Again(None, None)


def settings(record: Record, compose: Compose) -> list[Setting]:
    """The resolved config of a record, each setting beside that of its experiment as this version has it."""
    usual = _experiment(record, compose)
    flat = _flat(record.config)
    if usual is None:
        return [Setting(path, value) for path, value in flat.items()]
    expected = _flat(usual)
    found = []
    for path, value in flat.items():
        standard = expected.get(path, _ABSENT)
        if path == "seed" or path.startswith("init") or (standard is not _ABSENT and same(value, standard)):
            found.append(Setting(path, value))
        elif standard is _ABSENT:
            found.append(Setting(path, value, None, True, True))
        else:
            found.append(Setting(path, value, standard, True))
    return found


def _experiment(record: Record, compose: Compose) -> dict[str, Any] | None:
    """The config of a record's experiment; None where this version has none of that name."""
    if record.experiment is None:
        return None
    try:
        return compose(record.experiment, [])
    except UserError:
        return None


def _checked(record: Record, experiment: str, overrides: list[str], compose: Compose) -> Again | None:
    seed = [] if record.seed == 0 else [f"seed={record.seed}"]
    try:
        config = compose(experiment, overrides)
        if "init" in config:  # the run that it begins from has the seed of its own
            config = compose(experiment, [*overrides, *seed])
    except UserError:
        return None
    if not belongs(record, config) or config.get("init") != record.config.get("init"):
        return None
    config = copy.deepcopy(config)
    config["seed"] = record.seed
    words = ["seqbench", "train", f"experiment={experiment}", *overrides, *seed]
    return Again(shlex.join(words), digest(config))


def _override(setting: Setting) -> str | None:
    """A setting for the command line; None for one whose form it has no words for."""
    value = setting.value
    if setting.new or setting.path.endswith("_target_") or isinstance(value, dict):
        return None
    if isinstance(value, list):
        if not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value):
            return None
        return f"{setting.path}={value}".replace(" ", "")
    if isinstance(value, str) and not value.replace("_", "").replace("-", "").isalnum():
        return None
    words = {True: "true", False: "false", None: "null"}
    return f"{setting.path}={words[value] if value is None or isinstance(value, bool) else value}"


def _flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """path -> setting, for all below a node. An empty mapping is a setting."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = list(value) if isinstance(value, tuple) else value
    return flat
