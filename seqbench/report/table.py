"""From records to the cells of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqbench.errors import UserError, did_you_mean
from seqbench.report.analyses import names_in_records
from seqbench.report.claim import judge_claim
from seqbench.report.declaration import TAGS, Column, Row, Table
from seqbench.report.evaluations import Found
from seqbench.report.numbers import cell_text, is_found_later, mean_text
from seqbench.report.record import FINISHED, SPLITS, Record
from seqbench.report.selection import Compose, belongs, runs_of
from seqbench.report.verdict import LEGEND, Verdict, intervals, judge, judged_metric


@dataclass(frozen=True)
class Cell:
    text: str
    mark: str = ""  # of a footnote: a number for a source, a letter for a note


@dataclass(frozen=True)
class Grid:
    """A table in plain text, before Markdown or LaTeX. `footnotes` are (mark, text); `findings` are sentences on
    intervals, verdicts and claims; `origin` says which runs, commits and machines the numbers come from."""

    name: str
    title: str
    headings: list[str]
    rows: list[list[Cell]]
    note: str | None
    footnotes: list[tuple[str, str]]
    findings: list[str]
    origin: list[str]


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

    verdicts = [judge(table, row, group) for row, group in zip(table.rows, found, strict=True)]
    footnotes: dict[str, str] = {}  # text -> mark, in order of appearance
    rows, headings = [], ["Model", *(column.heading for column in table.columns)]
    for row, group, verdict in zip(table.rows, found, verdicts, strict=True):
        cells = [Cell(row.heading(), _mark(footnotes, row.note, letter=True) if row.note else "")]
        rows.append(cells + [_cell(column, row, group, verdict, footnotes) for column in table.columns])
    findings = [judge_claim(table, claim, found).text() for claim in table.claims]
    if any(verdicts):
        headings.append("Verdict")
        for cells, verdict in zip(rows, verdicts, strict=True):
            cells.append(Cell(verdict.text() if verdict else ""))
        findings += [line for line in (intervals(table.rows, verdicts), LEGEND) if line]
    marked = [(mark, text) for text, mark in footnotes.items()]
    origin = _origin(table, found, left_out)
    return Grid(table.name, table.title, headings, rows, table.note, marked, findings, origin)


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
    elif kind in names_in_records() or (is_found_later(column.metric) and path.partition(".")[0] in SPLITS):
        records = [record for record in records if record.found_later(column.metric)]
        _check_settings(table, column, [entry for record in records for entry, _ in record.found_later(column.metric)])
    if not records:
        return
    valid = sorted({path for record in records for path in record.values()})
    if column.metric not in valid:
        hint = did_you_mean(column.metric, valid)
        raise UserError(f"No run of the table {table.name} has {column.metric}, a column of it{hint}.")


def _check_settings(table: Table, column: Column, found: list[Found]) -> None:
    """A misspelt setting would be a column of dashes, too."""
    valid = sorted({key for one in found for key in one.get("settings", {})})
    for key in column.settings:
        if found and key not in valid:
            raise UserError(
                f"No evaluation of the table {table.name} has the setting {key} of the column {column.heading!r}"
                f"{did_you_mean(key, valid)}."
            )


def _cell(column: Column, row: Row, records: list[Record], verdict: Verdict | None, footnotes: dict[str, str]) -> Cell:
    if column.metric is not None:
        return Cell(cell_text(column, row, records))
    path = column.published or (judged_metric(row) if row.published else None)
    if path not in row.published:
        return Cell("")
    published = row.published[path]
    if column.judged == "metric":
        return Cell(path.rpartition(".")[2] + (", %" if published.percent else ""))
    if column.judged == "measured":
        return Cell(mean_text(list(verdict.values.values()) if verdict else [], column.format))
    return Cell(published.value, _mark(footnotes, f"{published.source} ({TAGS[published.tag]})", letter=False))


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


def _data(version: dict[str, Any]) -> str:
    remark = f" ({version['remark']})" if "remark" in version else ""
    return f"{version['name']} {version['version']}{remark}"
