"""`seqbench analyze`: what is asked of a finished run beyond a score."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqbench.commands.stored import PLACES, read, require_its_config
from seqbench.config import arguments as command_lines
from seqbench.config.check import check
from seqbench.config.plugin_use import checksums_of
from seqbench.config.schema import Config
from seqbench.data.files.atomic import write_whole
from seqbench.errors import ConfigError, RunError, UserError
from seqbench.report.analyses import known_analyses, merged_analyses
from seqbench.report.evaluations import Found, name_in_record, name_of
from seqbench.report.places import Places
from seqbench.report.record import FINISHED, read_content

ACCEPTED = ("analysis", *PLACES, "train.device", "train.threads")


def analyze(arguments: list[str]) -> None:
    """Analyzes a finished run and adds what comes out, numbers and figures, to its record.

    run=<id>                           as seqbench list shows it; a unique prefix is enough
    analysis=<name>                    seqbench list analyses shows them; settings of one are given as
                                       analysis.<setting>=<value>
    train.device= train.threads=       device and threads to use
    output_dir= results_dir= data_dir= source=    folders to use

    seqbench plots draws the figures of a table's runs.
    """
    always = ("analysis", "output_dir", "results_dir", "source", "train.device", "train.threads")
    config, folder = read("analyze", command_lines.read("analyze", arguments), ACCEPTED, always)
    if config.analysis is None:
        raise ConfigError(f"Name an analysis as analysis=<name>: {', '.join(known_analyses())}.")
    require_its_config(config, folder)
    config.train.nproc = 1
    check(config)
    record = folder / "record.json"
    if not record.exists() or read_content(record)["status"] != FINISHED:
        raise UserError(f"Run {folder.name} has not finished; seqbench train run={folder.name} resumes it.")
    places = Places(config)
    places.require_writable()
    name = name_in_record("analysis", config.analysis)
    entry, texts = _found(config, folder)
    for text_name, text in texts.items():
        write_whole(folder / f"{name}.{text_name}.txt", text)
    _keep(name, entry, folder, places.runs)
    shown = {key: value for key, value in entry.items() if key not in ("figures", "graphs")}
    print(json.dumps({"run_id": folder.name, "analysis": name, **shown}, indent=2))


def _found(config: Config, folder: Path) -> tuple[Found, dict[str, str]]:
    """The record's entry, and texts by name."""
    from seqbench.contracts.analysis import Subject
    from seqbench.engine.assemble import assemble_analysis
    from seqbench.engine.room import within_memory
    from seqbench.engine.selected import selected_run

    analysis = assemble_analysis(config)
    if analysis.needs_trajectory and config.checkpoint.keep != "all":
        raise UserError(
            f"analysis={name_of(config.analysis)} follows a run through its training, and {folder.name} has only its "
            "last checkpoints; train it with checkpoint.keep=all and force=true."
        )
    with within_memory(config):
        run, step = selected_run(config, folder)
        run.learner.eval()
        with run.optimizer.averaged():
            outcome = analysis(Subject(run.task, run.learner, config.seed, run.checkpoints.trajectory))
    worst = next((name for name, value in outcome.numbers.items() if not math.isfinite(value)), None)
    if worst is not None:
        raise RunError(f"{worst} is not finite ({outcome.numbers[worst]}): nothing is kept of this analysis.")
    settings = {key: value for key, value in config.analysis.items() if key != "_target_"}
    figures = {name: asdict(figure) for name, figure in outcome.figures.items()}
    entry: Found = {"settings": settings, "step": step, "numbers": outcome.numbers, "figures": figures}
    if outcome.graphs:
        entry["graphs"] = {name: asdict(graph) for name, graph in outcome.graphs.items()}
    if plugins := checksums_of(config.analysis):
        entry["plugins"] = plugins
    return entry, outcome.texts


def _keep(name: str, entry: Found, folder: Path, ledger: Path) -> None:
    from seqbench.engine.record import keep_record, with_later_findings

    record: dict[str, Any] = with_later_findings(read_content(folder / "record.json"), ledger)
    record["analyses"] = merged_analyses(record.get("analyses", {}), {name: [entry]})
    keep_record(record, folder, ledger)
