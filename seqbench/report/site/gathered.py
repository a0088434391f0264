"""What the pages are made from: the ledger's records, the rows that they stand for, and which page shows what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.config.targets import stable_target
from seqbench.contracts.task_version import same_data
from seqbench.errors import UserError
from seqbench.report.declaration import Row, Table, read_declaration
from seqbench.report.ledger import read_ledger
from seqbench.report.numbers import cell_text, mean_text
from seqbench.report.record import FINISHED, Record
from seqbench.report.selection import Compose, belongs, composing_once, runs_of
from seqbench.report.site.options import Option, models_within, nearest, options_of, task_node, with_those_of
from seqbench.report.verdict import Verdict, judge

Score = tuple[str, float | None]  # a metric's name on test, and its value


@dataclass(frozen=True)
class Entry:
    """A row of a table with its config (None: published numbers only), its finished runs and the verdict on them."""

    table: Table
    row: Row
    config: dict[str, Any] | None
    runs: list[Record]
    verdict: Verdict | None

    @property
    def anchor(self) -> str:
        """Of the row, on its table's page."""
        return f"row-{self.table.rows.index(self.row) + 1}"

    @property
    def ours(self) -> tuple[str, str] | None:
        """The text of the row's cell that is judged or, without a verdict, of the first one on test, with its heading;
        None where nothing was run."""
        shown = [column for column in self.table.columns if column.metric]
        judged = [column for column in shown if self.verdict and column.metric == self.verdict.metric]
        column = next((one for one in (*judged, *shown) if "test" in (one.metric or "").split(".")), None)
        if column and self.runs:
            return cell_text(column, self.row, self.runs), column.heading
        values = list(self.verdict.values.values()) if self.verdict else []
        return (mean_text(values, ".4g"), self.verdict.metric) if self.verdict and values else None


class Gathered:
    """`records` are all of the ledger, `tables` the declared ones; `models` and `tasks` are what has a page."""

    def __init__(self, declaration: Path, ledger: Path, compose: Compose):
        self.compose = composing_once(compose)
        self.tables = list(read_declaration(declaration).values())
        self.records = read_ledger(ledger)
        finished = [record for record in self.records if record.status == FINISHED]
        self.entries = {table.name: [self._entry(table, row, finished) for row in table.rows] for table in self.tables}
        self._entries_by_run: dict[str, list[Entry]] = {}
        for entry in self.all_entries():
            for run in entry.runs:
                self._entries_by_run.setdefault(run.run_id, []).append(entry)
        configs = [record.config for record in self.records]
        configs += [entry.config for entries in self.entries.values() for entry in entries if entry.config]
        targets = [stable_target(config["model"]["_target_"]) for config in configs]
        targets += [target for config in configs for target in models_within(config["model"])]
        self.models = with_those_of(options_of("model"), targets)
        tasks = [task_node(config)["_target_"] for config in configs]
        self.tasks = with_those_of(options_of("task"), tasks)

    def _entry(self, table: Table, row: Row, finished: list[Record]) -> Entry:
        if row.experiment is None:
            return Entry(table, row, None, [], judge(table, row, []))
        try:
            config = self.compose(row.experiment, row.overrides)
        except UserError as error:
            raise UserError(f"The row {row.label!r} of the table {table.name} cannot be composed: {error}") from error
        names = stable_target(config["model"]["_target_"]), config["task"]["_target_"]
        likely = [one for one in finished if (one.config["model"]["_target_"], one.config["task"]["_target_"]) == names]
        runs = sorted(runs_of(row, likely, self.compose), key=lambda record: (record.seed, record.run_id))
        return Entry(table, row, config, runs, judge(table, row, runs))

    def all_entries(self) -> list[Entry]:
        return [entry for entries in self.entries.values() for entry in entries]

    def entries_of(self, record: Record) -> list[Entry]:
        """The rows that a record stands for."""
        return self._entries_by_run.get(record.run_id, [])

    def score_of(self, record: Record) -> Score | None:
        """The number on test that says most of a run: the one that its table shows or, without one, that selected its
        weights. None: it has none."""
        test = record.metrics.get("test", {})
        entries = self.entries_of(record)
        shown = [column.metric or "" for entry in entries for column in entry.table.columns]
        shown += [entry.verdict.metric for entry in entries if entry.verdict]
        names = [path.removeprefix("test.") for path in shown if path.startswith("test.")]
        names += ["ppl", "bpc", *(name for name in record.curve if name != "steps"), "nll", "mse", *sorted(test)]
        return next(((name, test[name]) for name in names if name in test), None)

    def model_of(self, config: dict[str, Any]) -> Option:
        return nearest(self.models, config["model"])

    def models_in(self, config: dict[str, Any]) -> list[Option]:
        """A config's model and those within it, each once."""
        targets = [*dict.fromkeys([stable_target(config["model"]["_target_"]), *models_within(config["model"])])]
        return [nearest(self.models, {"_target_": target}) for target in targets]

    def task_of(self, config: dict[str, Any]) -> Option:
        return nearest(self.tasks, task_node(config))

    def seeds_of(self, record: Record) -> list[Record]:
        """The runs of a record's config and data, whatever the seed and of whatever age, itself among them, by seed."""
        target, task = record.config["model"]["_target_"], record.config["task"]["_target_"]
        alike = [
            other
            for other in self.records
            if (other.config["model"]["_target_"], other.config["task"]["_target_"]) == (target, task)
            and same_data(other.task_version, record.task_version)
            and (other is record or belongs(other, record.config) or belongs(record, other.config))
        ]
        return sorted(alike, key=lambda other: (other.seed, other.run_id))
