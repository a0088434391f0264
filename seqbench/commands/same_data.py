"""Whether a finished run is of the data that a command names.

A run's id holds no checksum of its data, so where these are not pinned the id does not tell one text from another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.config.schema import Config
from seqbench.config.targets import class_at
from seqbench.contracts.task_version import same_data
from seqbench.errors import ConfigError, UserError
from seqbench.report.places import Places
from seqbench.report.record import read_content


def require_its_data(config: Config, record: dict[str, Any]) -> None:
    """Raise `UserError` where the data that a finished run would be trained on now are others than its own, or where
    the ledger's record of it is of other data. Data that are not on this machine contradict nothing."""
    from seqbench.engine.run import run_folder

    version = _version(config, at_hand=True)
    if version is not None and not same_data(record["task_version"], version):
        difference = _difference(record["task_version"], version)
        raise UserError(
            f"Run {run_folder(config).name} has finished, on other data than these ({difference}): name the folder of "
            "its own as data_dir=<folder>, or train it on these with force=true and another results_dir=<folder>."
        )
    _refuse_to_replace(config, record["task_version"])


def refuse_to_replace(config: Config) -> None:
    """Raise `UserError` where the ledger's record of the run that is to be trained is of other data and would be
    lost."""
    if _recorded(config) is None:
        return
    version = _version(config, at_hand=False)
    if version is not None:
        _refuse_to_replace(config, version)


def _refuse_to_replace(config: Config, version: dict[str, Any]) -> None:
    recorded = _recorded(config)
    if recorded is not None and not same_data(recorded, version):
        raise UserError(
            f"{_path(config)} is the record of this run on other data ({_difference(recorded, version)}): keep the one "
            "of these elsewhere, results_dir=<folder>, or remove that file."
        )


def _recorded(config: Config) -> dict[str, Any] | None:
    """What the ledger's record of this run says of its data; None where there is none, where it cannot be read and is
    written anew, and for a task that reads no data."""
    if not hasattr(class_at("task", config.task["_target_"]), "at_hand"):
        return None
    try:
        return read_content(_path(config))["task_version"]
    except UserError:
        return None


def _path(config: Config) -> Path:
    from seqbench.engine.run import run_folder

    return Places(config).record(run_folder(config).name)  # which an older id may name


def _version(config: Config, at_hand: bool) -> dict[str, Any] | None:
    """The version of the data that a run would have, which may have to be prepared; None for a task that reads none,
    and, where they must be `at_hand`, for data that are not on this machine."""
    from seqbench.engine.assemble import assemble_task, data_folder

    task = class_at("task", config.task["_target_"])
    if not hasattr(task, "at_hand"):
        return None
    settings = {key: value for key, value in config.task.items() if key != "_target_"}
    try:
        if at_hand and not task.at_hand(data_folder(config), config.source, settings):
            return None
    except ValueError as error:
        raise ConfigError(f"task: {error}.") from error
    return assemble_task(config).version


def _difference(recorded: dict[str, Any], version: dict[str, Any]) -> str:
    """What two versions say otherwise, such as: data_sha256 0123456789ab, here ba9876543210."""
    keys = [key for key in recorded if key in version and key != "remark" and recorded[key] != version[key]]
    return "; ".join(f"{key} {str(recorded[key])[:12]}, here {str(version[key])[:12]}" for key in keys)
