"""From records to the cells of a table: which records a row stands for, and what they say together."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seqbench.config.compat import default_of
from seqbench.config.values import same
from seqbench.contracts.task_version import same_data
from seqbench.errors import UserError, did_you_mean
from seqbench.report.analyses import known_analyses
from seqbench.report.declaration import TAGS, Column, Row, Table
from seqbench.report.evaluations import Found, differing, fits
from seqbench.report.record import COUNTS, FINISHED, SPLITS, Record

Compose = Callable[[str, list[str]], dict[str, Any]]  # (experiment, overrides) -> the resolved config
MISSING = "\N{EN DASH}"  # nothing measured; a published number that nobody gave is left blank instead


@dataclass(frozen=True)
class Cell:
    text: str
    mark: str = ""  # of a footnote: a number for a source, a letter for a note


@dataclass(frozen=True)
class Grid:
    """A table in plain text, before Markdown or LaTeX. `footnotes` are (mark, text); `origin` says which runs,
    commits and machines the numbers come from."""

    name: str
    title: str
    headings: list[str]
    rows: list[list[Cell]]
    note: str | None
    footnotes: list[tuple[str, str]]
    origin: list[str]


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


def aggregate(records: list[Record], path: str, specification: str) -> str:
    """Mean ± sample standard deviation over seeds, and their number; one seed has no deviation.

    What is no measurement (a parameter count, a baseline) and the same in all records stands alone.
    """
    return _summary([record.values().get(path) for record in records], path, specification)


def _summary(numbers: list[float | None], path: str, specification: str) -> str:
    seen = [number for number in numbers if number is not None]
    if not seen:
        return MISSING
    mean = format(statistics.fmean(seen), specification)
    if not {"train", "valid", "test"}.intersection(path.split(".")) and len(set(seen)) == 1:
        return mean
    if len(seen) == 1:
        return f"{mean} (n=1)"
    return f"{mean} ± {format(statistics.stdev(seen), specification)} (n={len(seen)})"


def fill(table: Table, records: list[Record], compose: Compose) -> Grid:
    """The table's cells. Raises `UserError` if a row cannot be composed or a column names a metric no run has."""
    finished = [record for record in records if record.status == FINISHED]
    others = [record for record in records if record.status != FINISHED]
    found: list[list[Record]] = []
    left_out: list[Record] = []
    for row in table.rows:
        config = _compose(table, row, compose)
        found.append(runs_of(row, finished, compose))
        left_out += [record for record in others if config is not None and belongs(record, config)]
    for column in table.columns:
        _check_column(table, column, [record for group in found for record in group])

    footnotes: dict[str, str] = {}  # text -> mark, in order of appearance
    rows = []
    for row, group in zip(table.rows, found, strict=True):
        cells = [Cell(row.heading(), _mark(footnotes, row.note, letter=True) if row.note else "")]
        rows.append(cells + [_cell(column, row, group, footnotes) for column in table.columns])
    headings = ["Model", *(column.heading for column in table.columns)]
    marked = [(mark, text) for text, mark in footnotes.items()]
    return Grid(table.name, table.title, headings, rows, table.note, marked, _origin(table, found, left_out))


def _compose(table: Table, row: Row, compose: Compose) -> dict[str, Any] | None:
    if row.experiment is None:
        return None
    try:
        return compose(row.experiment, row.overrides)
    except UserError as error:
        raise UserError(f"The row {row.label!r} of the table {table.name} cannot be composed: {error}") from error


def _check_column(table: Table, column: Column, records: list[Record]) -> None:
    """A misspelt metric would be a column of dashes. Neither a baseline nor an evaluation beside the plain one is
    everywhere, so it is no mistake that none of the records has any."""
    if column.metric is None:
        return
    kind, _, path = column.metric.partition(".")
    if kind == "baseline":
        records = [record for record in records if record.metrics.get(kind)]
    elif kind in known_analyses() or (_is_found_later(column.metric) and path.partition(".")[0] in SPLITS):
        records = [record for record in records if record.found_later(column.metric)]
        _check_settings(table, column, [entry for record in records for entry, _ in record.found_later(column.metric)])
    if not records:
        return
    valid = sorted({path for record in records for path in record.values()})
    if column.metric not in valid:
        hint = did_you_mean(column.metric, valid)
        raise UserError(f"No run of the table {table.name} has {column.metric}, a column of it{hint}.")


def _is_found_later(path: str) -> bool:
    """Whether a column's path leads into what `eval` or `analyze` has written: every other head has a name of its
    own."""
    return path.partition(".")[0] not in (*SPLITS, *COUNTS, "parameters")


def _check_settings(table: Table, column: Column, found: list[Found]) -> None:
    """A misspelt setting would be a column of dashes, too."""
    valid = sorted({key for one in found for key in one.get("settings", {})})
    for key in column.settings:
        if found and key not in valid:
            raise UserError(
                f"No evaluation of the table {table.name} has the setting {key} of the column {column.heading!r}"
                f"{did_you_mean(key, valid)}."
            )


def _cell(column: Column, row: Row, records: list[Record], footnotes: dict[str, str]) -> Cell:
    if column.metric is not None:
        if not _is_found_later(column.metric):
            return Cell(aggregate(records, column.metric, column.format))
        return Cell(_summary(_found_later(column, column.metric, row, records), column.metric, column.format))
    if column.published not in row.published:
        return Cell("")
    published = row.published[column.published]
    return Cell(published.value, _mark(footnotes, f"{published.source} ({TAGS[published.tag]})", letter=False))


def _found_later(column: Column, path: str, row: Row, records: list[Record]) -> list[float | None]:
    """The numbers that the records hold with the column's settings, one each at most. Raises `UserError` if these leave
    open which entry of a record stands, or would pool entries of unlike settings."""
    pairs = [pair for record in records for pair in record.found_later(path) if fits(pair[0], column.settings)]
    for entry, _ in pairs[1:]:
        first = pairs[0][0]
        for key in differing(first, entry):
            raise UserError(
                f"The runs of the row {row.label!r} have {path.partition('.')[0]} with {key}={first['settings'][key]} "
                f"and {key}={entry['settings'][key]}: the column {column.heading!r} must say which, as "
                f"settings: {{{key}: ...}}."
            )
    return [number for _, number in pairs]


def _mark(footnotes: dict[str, str], text: str, *, letter: bool) -> str:
    """The mark of a footnote, new or, if it says the same, the one there is."""
    if text not in footnotes:
        n_before = sum(mark.isalpha() == letter for mark in footnotes.values())
        footnotes[text] = chr(ord("a") + n_before) if letter else str(n_before + 1)
    return footnotes[text]


def _origin(table: Table, found: list[list[Record]], left_out: list[Record]) -> list[str]:
    """Lines on where the numbers come from; nothing in them changes unless the ledger does."""
    used = [record for group in found for record in group]
    if not used and not left_out:
        return ["No finished run yet."]
    lines = []
    groups = [
        f"{row.heading()}: {', '.join(record.run_id for record in group)}"
        for row, group in zip(table.rows, found, strict=True)
        if group
    ]
    if groups:
        commits = {(record.commit or "unknown")[:12] + ("+dirty" if record.dirty else "") for record in used}
        tasks = {_data(record.task_version) for record in used}
        devices = {f"{record.device}, {record.n_processes} x {record.n_threads} threads" for record in used}
        versions = {f"{name} {record.versions[name]}" for record in used for name in record.versions}
        lines += [
            f"Runs: {'; '.join(groups)}.",
            f"Commits: {', '.join(sorted(commits))}.",
            f"Task versions: {', '.join(sorted(tasks))}.",
            f"Devices: {'; '.join(sorted(devices))}.",
            f"Versions: {', '.join(sorted(versions))}.",
        ]
    if left_out:
        runs = sorted({f"{record.run_id} ({record.status})" for record in left_out})
        lines.append(f"Left out, not finished: {', '.join(runs)}.")
    return lines


def _n_settings(record: Record) -> int:
    return sum(len(settings) if isinstance(settings, dict) else 1 for settings in record.config.values())


def _data(version: dict[str, Any]) -> str:
    remark = f" ({version['remark']})" if "remark" in version else ""
    return f"{version['name']} {version['version']}{remark}"
