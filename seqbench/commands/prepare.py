"""`seqbench prepare`: make a task's data ready, before any run needs it."""

from __future__ import annotations

import inspect

from seqbench.config.compose import composed
from seqbench.config.targets import check_node, class_at
from seqbench.errors import ConfigError


def prepare(arguments: list[str]) -> None:
    """Raw text is checked and becomes token ids in data_dir; a preparation that was stopped goes on.

    task=<task>                        one that reads data, with settings: task.vocabulary_size=4000
    source=<folder>                    of the raw files, or hub, which downloads them
    data_dir=<folder>                  of what is prepared; else $SEQBENCH_DATA, else the user's cache
    force=true                         prepare again what is there
    """
    config = composed(arguments, "prepare")
    check_node("task", config.task)
    from seqbench.engine.assemble import data_folder

    target = class_at("task", config.task["_target_"])
    if not hasattr(target, "prepare"):
        print(f"{target.__name__} makes its data as it goes; there is nothing to prepare.")
        return
    settings = {key: value for key, value in config.task.items() if key != "_target_"}
    asked = [data_folder(config), config.source, config.force]
    if "settings" in inspect.signature(target.prepare).parameters:  # which decide what the data become
        asked.append(settings)
    try:
        print(target.prepare(*asked))
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
