"""How long runs take on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqbench.commands.stored import saved_step
from seqbench.config.schema import Config
from seqbench.errors import UserError
from seqbench.report.plan import Job
from seqbench.report.record import Record


@dataclass(frozen=True)
class Estimate:
    """`seconds` that are left, None where that is not known; `source` says what the estimate comes from."""

    seconds: float | None
    source: str


def estimates(jobs: Sequence[tuple[Job, Config]]) -> list[Estimate]:
    """What runs have to go, one by one: as long as the fastest of the row's runs of other seeds took; else by first
    steps here, evaluations not counted. Of a run that was stopped, what is left."""
    probed: dict[str, Estimate | tuple[float, int]] = {}  # by row: seeds do not differ
    found = []
    for job, config in jobs:
        step = _saved_step(config)
        if job.like:
            found.append(_by_record(min(job.like, key=lambda record: record.wall_seconds), step))
            continue
        row = " ".join(job.settings[:-1])
        if row not in probed:
            probed[row] = _probe(config)
        found.append(_by_probe(probed[row], step))
    return found


def in_words(seconds: float) -> str:
    """12 s, 34 min or 5.6 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _saved_step(config: Config) -> int:
    from seqbench.engine.run import run_folder

    folder = run_folder(config)
    return saved_step(folder) if folder.is_dir() else 0


def _by_record(record: Record, step: int) -> Estimate:
    left = max(0.0, 1 - step / max(record.steps, 1))
    return Estimate(left * record.wall_seconds, f"run {record.run_id} on {record.device}{_from(step)}")


def _probe(config: Config) -> Estimate | tuple[float, int]:
    from seqbench.engine.probe import probe

    try:
        return probe(config)
    except UserError as error:
        return Estimate(None, str(error))


def _by_probe(probed: Estimate | tuple[float, int], step: int) -> Estimate:
    if isinstance(probed, Estimate):
        return probed
    seconds, max_steps = probed
    return Estimate(max(0, max_steps - step) * seconds, f"{seconds:.2g} s a step here{_from(step)}")


def _from(step: int) -> str:
    return f", from step {step:,}" if step else ""
