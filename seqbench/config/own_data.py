"""Data of one's own in a config: named by their checksum, which `task.data_sha256` holds.

So it enters the run's id, where `source`, a path, does not: another text is another run, and a file that is moved is
the same one. A saved config needs no path to find its prepared data.
"""

from __future__ import annotations

from seqbench.config.schema import Config
from seqbench.config.targets import check_node, class_at
from seqbench.errors import ConfigError

SETTING = "data_sha256"


def name_own_data(config: Config) -> None:
    """Set the checksum of the data that `source` names, for a task that reads data of one's own. Raises `ConfigError`
    where another checksum is written there."""
    if config.source is None or not isinstance(config.task, dict) or SETTING not in config.task:
        return
    check_node("task", config.task)
    cls = class_at("task", config.task["_target_"])
    if not hasattr(cls, "checksum"):
        return
    sha256, written = cls.checksum(config.source, config.task), config.task[SETTING]
    if written not in (None, sha256):
        raise ConfigError(f"task.{SETTING}={written} is not that of source={config.source}, which has {sha256}.")
    config.task[SETTING] = sha256
