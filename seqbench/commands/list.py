"""`seqbench list`: the runs there are, or what can be chosen for a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from seqbench.commands import stored
from seqbench.commands.describe import described
from seqbench.config.compose import composed
from seqbench.config.nodes import groups
from seqbench.config.schema import load
from seqbench.config.targets import class_of
from seqbench.errors import ConfigError, UserError, did_you_mean
from seqbench.report.columns import aligned
from seqbench.report.evaluations import differing
from seqbench.report.ledger import read_sound
from seqbench.report.places import Places
from seqbench.report.record import FINISHED, Record
from seqbench.report.summary import error_of, in_words


def list_runs_or_options(arguments: list[str]) -> None:
    """Lists the finished runs, the best first within each experiment, then the unfinished ones, the latest first.

    <kind> ...                         lists what there is to choose instead, with a line on each: models, tasks,
                                       optimizers, experiments and so on, for each folder of conf/
    results_dir=results                the folder of the ledger, runs/
    output_dir=outputs                 the folder of unfinished runs
    """
    kinds = [argument for argument in arguments if "=" not in argument and not argument.startswith("-")]
    if kinds:
        print("\n\n".join(_options_text(_group(kind)) for kind in kinds))
        return
    config = composed(arguments, "list")
    ledger, root = Places(config).runs, Path(config.output_dir)
    records, problems = read_sound(ledger) if ledger.is_dir() else ([], [])
    unfinished = stored.unfinished(root)
    blocks = [
        *([_finished_text(records)] if records else []),
        *(["\n".join(problems)] if problems else []),
        *([_unfinished_text(unfinished)] if unfinished else []),
    ]
    nothing = f"There is no run in {ledger} or {root}; seqbench list models shows what can be trained."
    print("\n\n".join(blocks) or nothing)


def plurals() -> dict[str, str]:
    """What a user may ask for -> the group of conf/."""
    return {f"{group.removesuffix('is')}es" if group.endswith("is") else f"{group}s": group for group in groups()}


def _group(kind: str) -> str:
    known = plurals()
    if kind in known.values():
        return kind
    if kind not in known:
        hint = did_you_mean(kind, known)
        raise UserError(f"There is no kind '{kind}'{hint}; seqbench list takes {', '.join(known)}.")
    return known[kind]


def _options_text(group: str) -> str:
    options = described(group)
    width = max((len(option.name) for option in options), default=0)
    blocks = []
    for family, members in groupby(options, key=lambda option: option.family):
        lines = [f"  {option.name:<{width}}  {option.line}".rstrip() for option in members]
        blocks.append("\n".join([f"{group}, {family}:" if family else f"{group}:", *lines]))
    return "\n\n".join(blocks)


def _finished_text(records: Sequence[Record]) -> str:
    rows = [
        (record.run_id, _experiment(record), str(record.seed), f"{record.steps:,}", _status(record), *_scores(record))
        for record in sorted(records, key=lambda record: (_experiment(record), error_of(record), record.run_id))
    ]
    return aligned([("run", "experiment", "seed", "steps", "status", "test", "other evaluations of test"), *rows])


def _unfinished_text(folders: Iterable[Path]) -> str:
    """A config that cannot be read says so on its own line: it tells nothing about the other runs."""
    rows, faults = [("run", "experiment", "seed", "saved step")], []
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True):
        try:
            config = load(folder / "config.yaml")
        except ConfigError as error:
            faults.append(f"{folder.name}  {error}")
            continue
        name = config.experiment or f"{config.task.get('corpus', class_of(config.task))}/{class_of(config.model)}"
        rows.append((folder.name, name, str(config.seed), f"{stored.saved_step(folder):,}"))
    table = [aligned(rows)] if len(rows) > 1 else []
    return "\n".join(["Not finished (seqbench train run=<id> resumes one):", *table, *faults])


def _experiment(record: Record) -> str:
    return record.experiment or f"{record.task_version['name']}/{record.model()}"


def _status(record: Record) -> str:
    return "" if record.status == FINISHED else record.status


def _scores(record: Record) -> tuple[str, str]:
    """What a run reached on test: plainly, and in evaluations of another category."""
    plain = record.metrics.get("test", {})
    others = []
    for name, splits in sorted(record.evaluations.items()):
        entries = splits.get("test", [])
        for entry in entries:
            if entry.get("category") == "static":
                continue
            keys = sorted({key for other in entries for key in differing(entry, other)})
            settings = ", ".join(f"{key} {entry['settings'][key]}" for key in keys)
            fresh = {metric: value for metric, value in entry["metrics"].items() if value != plain.get(metric)}
            others.append(f"{name} ({settings}): {in_words(fresh)}" if settings else f"{name}: {in_words(fresh)}")
    return in_words(plain), "  ".join(others)
