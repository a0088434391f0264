"""Which records a table's row stands for: those made with its config, whatever the seed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from seqbench.config.compat import default_of
from seqbench.config.values import same
from seqbench.contracts.task_version import same_data
from seqbench.errors import UserError
from seqbench.report.declaration import Row
from seqbench.report.record import Record

Compose = Callable[[str, list[str]], dict[str, Any]]  # (experiment, overrides) -> the resolved config


def composing_once(compose: Compose) -> Compose:
    """`compose` that remembers: Hydra takes a third of a second for a row, and rows are asked for again and again."""
    once = functools.cache(lambda experiment, overrides: compose(experiment, list(overrides)))
    return lambda experiment, overrides: once(experiment, tuple(overrides))


def belongs(record: Record, config: dict[str, Any]) -> bool:
    """Whether a record was made with `config`, whatever the seed.

    Both configs are sections (`model`, `train`) of settings (`lr`), and every setting that the record has must be
    there with the same value. One that only `config` has came to the project later and must have its default, which
    keeps old results. That holds for nodes within a section, such as an encoder, too; any other value is compared
    whole, so `optimizer.groups` with a group more is another setting. Code of a plugin is compared first: that of
    another version may have other arguments.
    """
    if ("init" in record.config) != ("init" in config) or record.config.get("plugins") != config.get("plugins"):
        return False
    current = json.loads(json.dumps(config))  # tuples and int keys as the record's file holds them
    for section, settings in record.config.items():
        if section in ("seed", "init"):  # the run that a run begins from has its seed: see runs_of
            continue
        if section not in current or not _section_belongs(section, settings, current[section]):
            return False
    return True


def _section_belongs(section: str, settings: Any, current: Any) -> bool:
    if not isinstance(settings, dict) or not isinstance(current, dict):
        return same(settings, current)
    for key, value in settings.items():
        if key not in current:
            return False
        node = isinstance(value, dict) and "_target_" in value
        if not (_section_belongs(section, value, current[key]) if node else same(value, current[key])):
            return False
    later = current.keys() - settings.keys()
    return all(same(current[key], _default(section, current, key)) for key in later)


def _default(section: str, settings: dict[str, Any], key: str) -> Any:
    default = default_of(section, settings, key)
    return list(default) if isinstance(default, tuple) else default


def select(records: list[Record], config: dict[str, Any]) -> list[Record]:
    """The records made with `config`, one for each seed, sorted by run_id.

    Where a seed was run by an earlier version of the project and again by a later one, the record that says more
    about its config, the later one, stands. Raises `UserError` if the rest were made from different data.
    """
    by_seed: dict[int, Record] = {}
    for record in sorted(records, key=lambda record: (_n_settings(record), record.run_id)):
        if belongs(record, config):
            by_seed[record.seed] = record
    found = sorted(by_seed.values(), key=lambda record: record.run_id)
    for record in found[1:]:
        if not same_data(record.task_version, found[0].task_version):
            raise UserError(
                f"The runs {found[0].run_id} and {record.run_id} have one config but different task versions "
                f"({found[0].task_version} and {record.task_version}) and cannot be averaged; remove the older record."
            )
    return found


def runs_of(row: Row, records: list[Record], compose: Compose) -> list[Record]:
    """The records that a row stands for, one for each seed. Where its runs begin from another experiment's, each begins
    from the run of its own seed."""
    if row.experiment is None:
        return []
    config = compose(row.experiment, row.overrides)
    if "init" in config:
        seeds = {record.seed for record in records if "init" in record.config}
        initial = {seed: compose(row.experiment, [*row.overrides, f"seed={seed}"])["init"] for seed in sorted(seeds)}
        records = [record for record in records if record.config.get("init") == initial.get(record.seed)]
    return select(records, config)


def _n_settings(record: Record) -> int:
    return sum(len(settings) if isinstance(settings, dict) else 1 for settings in record.config.values())
