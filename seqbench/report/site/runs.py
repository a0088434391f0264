"""A page for each run: how to make it again, what it reached, and all that its record holds."""

from __future__ import annotations

import shlex
import statistics
from itertools import groupby
from typing import Any

from seqbench.report.evaluations import Found
from seqbench.report.record import SPLITS, Record
from seqbench.report.site import curves
from seqbench.report.site.again import again, settings
from seqbench.report.site.gathered import Gathered, Score
from seqbench.report.site.page import Page
from seqbench.report.site.wording import number, setting


def run_pages(gathered: Gathered) -> list[Page]:
    return [_page(record, gathered) for record in gathered.records]


def _page(record: Record, gathered: Gathered) -> Page:
    seeds = gathered.seeds_of(record)
    resolved = settings(record, gathered.compose)
    values = {
        "record": record,
        "again": again(record, gathered),
        "models": gathered.models_in(record.config),
        "task": gathered.task_of(record.config),
        "entries": gathered.entries_of(record),
        "splits": [split for split in SPLITS if record.metrics.get(split)],
        "metrics": sorted({name for split in record.metrics.values() for name in split}, key=_plain_first),
        "curve": curves.of_run(record, seeds),
        "curve_metric": curves.metric_of(record),
        "evaluations": _evaluations(record),
        "analyses": _analyses(record),
        "sections": [(name, list(members)) for name, members in groupby(resolved, key=lambda one: one.section)],
        "different": [one for one in resolved if one.differs],
        "seeds": [(other, gathered.score_of(other)) for other in seeds],
        "over_seeds": _over_seeds([gathered.score_of(other) for other in seeds]),
    }
    title = f"{record.experiment or record.model()}, seed {record.seed}"
    return Page(f"runs/{record.run_id}.html", "run.html", title, "runs", values)


def _plain_first(name: str) -> tuple[bool, bool, str]:
    """The main metrics, then those of a part or of a solver, whose names have two words, then counts."""
    return name.startswith("n_"), "_" in name, name


def _evaluations(record: Record) -> list[dict[str, Any]]:
    found = []
    for name, splits in sorted(record.evaluations.items()):
        for split, entries in sorted(splits.items()):
            for entry in entries:
                words = [f"evaluation.{key}={_word(value)}" for key, value in sorted(entry.get("settings", {}).items())]
                words += [] if split == "test" else [f"split={split}"]
                command = shlex.join(["seqbench", "eval", f"run={record.run_id}", f"evaluation={name}", *words])
                names = sorted(entry["metrics"], key=_plain_first)
                remarks = {
                    key: entry[key] for key in ("category", "context", "memory") if isinstance(entry.get(key), str)
                }
                found.append(
                    {
                        "name": name,
                        "split": split,
                        "entry": entry,
                        "metrics": names,
                        "command": command,
                        "remarks": remarks,
                        "signatures": entry.get("signatures", {}),
                    }
                )
    return found


def _word(value: Any) -> str:
    return setting(value).replace(" ", "") if isinstance(value, list) else setting(value)


def _analyses(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "entry": entry,
            "settings": entry["settings"],
            "numbers": entry["numbers"],
            "drawings": _drawings(name, entry),
        }
        for name, entries in sorted(record.analyses.items())
        for entry in entries
    ]


def _drawings(name: str, entry: Found) -> list[Any]:
    drawings = [curves.of_analysis(name, figure, drawn) for figure, drawn in entry.get("figures", {}).items()]
    return [drawing for drawing in drawings if drawing is not None]


def _over_seeds(scores: list[Score | None]) -> str | None:
    """The score's mean and sample standard deviation, for two or more seeds that have it."""
    known = [score for score in scores if score and score[1] is not None]
    values = [value for _, value in known if value is not None]
    if len(values) < 2 or len({name for name, _ in known}) > 1:
        return None
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    return f"{known[0][0]} on test over {len(values)} seeds: {number(mean)} ± {deviation:.2g}"
