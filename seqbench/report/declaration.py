"""What results/tables.yaml declares: which tables there are, their columns, their rows and the published numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seqbench.errors import UserError, did_you_mean
from seqbench.report.analyses import names_in_records
from seqbench.report.evaluations import known_names
from seqbench.report.record import COUNTS, SPLITS

JUDGED = ("metric", "measured", "published")
TAGS = {  # where a published number was checked; one that is only remembered has no tag here and enters no table
    "C": "checked in the official code",
    "P": "checked in the paper",
    "T": "from a third party",
    "D": "derived",
    "CODE": "checked in the official code",
    "TEXT": "checked in the paper",
    "3P": "from a third party",
    "CALC": "derived",
}


@dataclass(frozen=True)
class Column:
    """A column of measured values, `metric` (a path into the record such as `test.nll`) under `format`, or of the
    numbers `published` for such a path, which are printed as the source prints them. `settings` are those that the
    evaluation or analysis of a metric such as `beam.test.bleu` must have had.

    Where rows are of different metrics, `judged` is a column of what each row's verdict is about: the name of the
    metric, what we measured (under `format`), or what was published."""

    heading: str
    metric: str | None = None
    published: str | None = None
    format: str = ""
    judged: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A number from a paper: digits as printed there, where it stands, and where it was checked (a key of `TAGS`).
    `percent`: 95.4 there is 0.954 in a record."""

    value: str
    source: str
    tag: str
    percent: bool = False


@dataclass(frozen=True)
class Row:
    """`experiment` None: published numbers only, without a run of ours. `partial` says how much of the published
    training the runs did; it is part of the label. `published` is by metric path. `seeds` is how many runs
    `seqbench reproduce` makes, of the seeds 0, 1, ..."""

    label: str
    experiment: str | None
    overrides: list[str] = field(default_factory=list)
    published: dict[str, Published] = field(default_factory=dict)
    partial: str | None = None
    note: str | None = None
    seeds: int = 1

    def heading(self) -> str:
        """The label with `partial`: what tells rows of one model apart."""
        return f"{self.label} (partial: {self.partial})" if self.partial else self.label


@dataclass(frozen=True)
class Claim:
    """The row headed `better` is ahead of the row headed `than` in `metric`; `source` and `tag` say who claims it."""

    better: str
    than: str
    metric: str
    source: str | None = None
    tag: str | None = None


@dataclass(frozen=True)
class Table:
    """One table; `name` is its file's name."""

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    note: str | None = None
    claims: list[Claim] = field(default_factory=list)


def read_declaration(path: Path) -> dict[str, Table]:
    """The declared tables by name. Raises `UserError` for whatever is unknown, missing or not cited."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}; name the folder of tables.yaml and runs/ as results_dir=.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    tables: dict[str, Table] = {}
    for node in _list(_mapping(content, str(path), {"tables": True})["tables"], f"tables in {path}"):
        table = _table(node, f"a table in {path}")
        if table.name in tables:
            raise UserError(f"{path} declares the table {table.name} twice.")
        tables[table.name] = table
    return tables


def _table(node: Any, where: str) -> Table:
    keys = {"name": True, "title": True, "columns": True, "rows": True, "note": False, "claims": False}
    node = _mapping(node, where, keys)
    name = _text(node["name"], f"name of {where}")
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UserError(f"The name of {where} must be lower-case letters, digits and underscores, not {name!r}.")
    where = f"the table {name}"
    columns = [_column(item, where) for item in _list(node["columns"], f"columns of {where}")]
    rows = [_row(item, where) for item in _list(node["rows"], f"rows of {where}")]
    shown = [column.published for column in columns if column.published]
    for row in rows if not any(column.judged == "published" for column in columns) else ():
        for metric in row.published:
            if metric not in shown:
                raise UserError(f"No column of {where} shows the published {metric} of the row {row.label!r}.")
    claims = [_claim(item, rows, where) for item in _list(node.get("claims", []), f"claims of {where}")]
    return Table(name, _text(node["title"], f"title of {where}"), columns, rows, _note(node, where), claims)


def _column(node: Any, table: str) -> Column:
    kinds = ("metric", "published", "judged")
    keys = {"heading": True, **dict.fromkeys((*kinds, "format", "settings"), False)}
    node = _mapping(node, f"a column of {table}", keys)
    heading = _text(node["heading"], f"heading of a column of {table}")
    where = f"the column {heading!r} of {table}"
    if sum(kind in node for kind in kinds) != 1:
        raise UserError(f"Exactly one of metric, published and judged belongs in {where}.")
    if node.get("judged") not in (None, *JUDGED):
        raise UserError(f"judged in {where} is one of {', '.join(JUDGED)}, not {node['judged']!r}.")
    if "metric" not in node and node.get("judged") != "measured":
        if "format" in node or "settings" in node:
            raise UserError(
                f"Neither format nor settings belong in {where}: published numbers are printed as in their source."
            )
        if "judged" in node:
            return Column(heading, judged=node["judged"])
        return Column(heading, published=_path(node["published"], where))
    if "format" not in node:
        raise UserError(f"format is missing in {where}.")
    specification = _text(node["format"], f"format of {where}")
    try:
        format(0.5, specification)
    except ValueError as error:
        raise UserError(f"The format {specification!r} of {where} cannot format numbers: {error}.") from error
    if "judged" in node:
        return Column(heading, judged=node["judged"], format=specification)
    metric, settings = _path(node["metric"], where), _any_mapping(node.get("settings", {}), f"settings of {where}")
    with_settings = [*known_names(), *names_in_records()]
    if settings and metric.partition(".")[0] not in with_settings:
        raise UserError(f"Settings belong to one of {', '.join(with_settings)}, and {where} shows {metric}.")
    return Column(heading, metric=metric, format=specification, settings=settings)


def _row(node: Any, table: str) -> Row:
    optional = ("overrides", "published", "partial", "note", "seeds")
    node = _mapping(node, f"a row of {table}", {"label": True, "experiment": True} | dict.fromkeys(optional, False))
    label = _text(node["label"], f"label of a row of {table}")
    where = f"the row {label!r} of {table}"
    experiment = None if node["experiment"] is None else _text(node["experiment"], f"experiment of {where}")
    overrides = [
        _text(item, f"an override of {where}") for item in _list(node.get("overrides", []), f"overrides of {where}")
    ]
    published = _any_mapping(node.get("published", {}), f"published of {where}")
    citations = {_path(metric, where): _published(item, f"published of {where}") for metric, item in published.items()}
    for metric, citation in citations.items():
        if metric.endswith("accuracy") and float(citation.value) > 1 and not citation.percent:
            raise UserError(f'The published {metric} of {where} is in percent: it needs unit: "%".')
    if experiment is None and (overrides or "partial" in node or not published):
        raise UserError(f"Without an experiment, {where} holds published numbers only, not overrides or partial.")
    partial = _text(node["partial"], f"partial of {where}") if "partial" in node else None
    return Row(label, experiment, overrides, citations, partial, _note(node, where), _seeds(node, where))


def _seeds(node: dict[str, Any], where: str) -> int:
    seeds = node.get("seeds", 1)
    if type(seeds) is not int or seeds < 1:
        raise UserError(f"seeds of {where} must be a whole number, 1 at least, not {seeds!r}.")
    return seeds


def _claim(node: Any, rows: list[Row], table: str) -> Claim:
    where = f"a claim of {table}"
    node = _mapping(node, where, dict.fromkeys(("better", "than", "metric"), True) | {"source": False, "tag": False})
    if ("source" in node) != ("tag" in node):
        raise UserError(f"source and tag go together in {where}.")
    headings = [row.heading() for row in rows if row.experiment is not None]
    for key in ("better", "than"):
        if node[key] not in headings:
            raise UserError(f"{where} names {node[key]!r}, which is no row of ours{did_you_mean(node[key], headings)}.")
    source, tag = (_source(node, where), _tag(node, where)) if "tag" in node else (None, None)
    return Claim(node["better"], node["than"], _path(node["metric"], where), source, tag)


def _published(node: Any, where: str) -> Published:
    node = _mapping(node, where, {"value": True, "source": True, "tag": True, "unit": False})
    if node.get("unit", "%") != "%":
        raise UserError(f"unit of {where} can be '%', or is left out, not {node['unit']!r}.")
    tag, value = _tag(node, where), node["value"]
    try:
        float(value if isinstance(value, str) else repr(value))  # repr: true and lists are no numbers
    except ValueError as error:
        raise UserError(f"The value of {where} must be a number, not {value!r}.") from error
    return Published(str(value), _source(node, where), tag, percent="unit" in node)


def _source(node: dict[str, Any], where: str) -> str:
    return _text(node["source"], f"source of {where}")


def _tag(node: dict[str, Any], where: str) -> str:
    tag = str(node["tag"])
    if tag not in TAGS:
        tags = ", ".join(TAGS)
        raise UserError(
            f"The tag {tag!r} of {where} is none of {tags}: a published number needs a source in which it was checked."
        )
    return tag


def _path(path: Any, where: str) -> str:
    """A path into a record; whether the metric itself exists is known once there are records."""
    head, dot, tail = str(path).partition(".")
    if (dot and tail and head in (*SPLITS, *known_names(), *names_in_records(), "parameters")) or path in COUNTS:
        return str(path)
    valid = [*(f"{split}.{tail or 'nll'}" for split in SPLITS), "parameters.total", *COUNTS]
    raise UserError(f"{where} names {path!r}, which no record has{did_you_mean(str(path), valid)}.")


def _mapping(node: Any, where: str, keys: dict[str, bool]) -> dict[str, Any]:
    """`node` if its keys are among `keys` and all those are there whose value is true."""
    node = _any_mapping(node, where)
    for key in node:
        if key not in keys:
            raise UserError(f"{key!r} is not a key of {where}{did_you_mean(str(key), keys)}.")
    for key, required in keys.items():
        if required and key not in node:
            raise UserError(f"{key} is missing in {where}.")
    return node


def _any_mapping(node: Any, where: str) -> dict[Any, Any]:
    if not isinstance(node, dict):
        raise UserError(f"{where} must be a mapping, not {node!r}.")
    return node


def _list(node: Any, where: str) -> list[Any]:
    if not isinstance(node, list):
        raise UserError(f"{where} must be a list, not {node!r}.")
    return node


def _text(node: Any, where: str) -> str:
    if not isinstance(node, str) or not node.strip():
        raise UserError(f"{where} must be text, not {node!r}.")
    return " ".join(node.split())


def _note(node: dict[str, Any], where: str) -> str | None:
    return _text(node["note"], f"note of {where}") if "note" in node else None
