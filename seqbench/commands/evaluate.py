"""`seqbench eval`: a run's selected weights, evaluated again."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from seqbench.commands.stored import PLACES, read, require_its_config
from seqbench.config import arguments as command_lines
from seqbench.config.check import check
from seqbench.config.plugin_use import checksums_of
from seqbench.config.schema import Config
from seqbench.data.files.atomic import write_whole
from seqbench.errors import ConfigError, RunError
from seqbench.report.evaluations import PLAIN, merged, name_in_record, name_of
from seqbench.report.places import Places
from seqbench.report.record import read_content

ACCEPTED = ("evaluation", "split", *PLACES, "train.device", "train.threads")


def evaluate(arguments: list[str]) -> None:
    """Evaluates the run's selected weights and adds the scores to its record.

    run=<id>                           as seqbench list shows it; a unique prefix is enough
    evaluation=<how>                   static, beam, cache, dynamic, frequency or sliding, whose settings
                                       seqbench show evaluation=<how> prints: evaluation.beam_width=4
    split=test                         or valid, or train
    train.device= train.threads=       device and threads to use
    output_dir= results_dir= data_dir= source=    folders to use
    """
    always = ("evaluation", "split", "output_dir", "results_dir", "source", "train.device", "train.threads")
    config, folder = read("eval", command_lines.read("eval", arguments), ACCEPTED, always)
    require_its_config(config, folder)
    config.train.nproc = 1
    check(config)
    places = Places(config)
    name_in_record("evaluation", config.evaluation)  # or it would be measured, and then have no place
    found, lines = _measured(config, folder, config.split)
    print(json.dumps({"run_id": folder.name, "split": config.split, **found}, indent=2))
    for name, numbered in lines.items():
        _write_lines(folder / f"{name}.{config.split}.txt", numbered)
    _keep(config, folder, config.split, found, places.runs)


def _measured(config: Config, folder: Path, split: str) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    """What the record is to hold, and numbered lines by the name of their file."""
    from seqbench.engine.loop import evaluate as measure
    from seqbench.engine.room import within_memory
    from seqbench.engine.selected import selected_run

    with within_memory(config):
        run, step = selected_run(config, folder)
        evaluation = run.evaluation
        if split not in evaluation.splits:
            raise ConfigError(
                f"evaluation={evaluation.category} is for split={' or '.join(evaluation.splits)}, not {split}."
            )
        if name_of(config.evaluation) != PLAIN:
            Places(config).require_writable()  # or the scores might have nowhere to go
        with run.optimizer.averaged():
            metrics, findings = measure(run, split)
    worst = next((name for name, value in metrics.items() if not math.isfinite(value)), None)
    if worst is not None:
        raise RunError(f"The {worst} on {split} is not finite ({metrics[worst]}): nothing is kept of this evaluation.")
    found = {
        "category": evaluation.category,
        "context": evaluation.context,
        "memory": evaluation.memory,
        "settings": {key: value for key, value in config.evaluation.items() if key != "_target_"},
        "step": step,
        "metrics": metrics,
    }
    plugins = checksums_of(config.evaluation)
    return {**found, **({"plugins": plugins} if plugins else {}), **findings.remarks}, findings.lines


def _write_lines(path: Path, numbered: dict[int, str]) -> None:
    """The lines in the order of their numbers, whole or not at all."""
    write_whole(path, "".join(f"{line}\n" for _, line in sorted(numbered.items())))


def _keep(config: Config, folder: Path, split: str, found: dict[str, Any], ledger: Path) -> None:
    """Add an evaluation other than the plain one to the run's record, in its folder and in the ledger, beside those of
    other settings."""
    from seqbench.engine.record import keep_record, with_later_findings

    path, name = folder / "record.json", name_of(config.evaluation)
    if name == PLAIN:
        return
    if not path.exists():
        print(f"Run {folder.name} has not finished: no record keeps this.", file=sys.stderr)
        return
    record = with_later_findings(read_content(path), ledger)
    record["evaluations"] = merged(record.get("evaluations", {}), {name: {split: [found]}})
    keep_record(record, folder, ledger)
