"""Runs that have a folder already, by their id: what `eval run=<id>`, `train run=<id>` and `list` start from."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from seqbench.config.compat import fill_defaults
from seqbench.config.compose import composed
from seqbench.config.schema import Config, load
from seqbench.errors import ConfigError, UserError, did_you_mean
from seqbench.report.places import Places

PLACES = ("output_dir", "results_dir", "data_dir", "source")


def read(command: str, arguments: Sequence[str], accepted: Sequence[str], always: Sequence[str]) -> tuple[Config, Path]:
    """The config of the run that `arguments` name, and its folder. Of `accepted` settings, those given stand for the
    run's own, as do those of `always` that are not; other settings are a mistake."""
    given = [argument.partition("=")[0].lstrip("+~") for argument in arguments]
    for key in given:
        if key not in ("run", *accepted) and not (key.startswith("evaluation.") and "evaluation" in accepted):
            hint = did_you_mean(key, accepted)
            raise ConfigError(f"{command} takes {', '.join(('run', *accepted))}; {key} belongs to the run{hint}.")
    asked = composed(arguments)
    folder = find(asked)
    config = fill_defaults(load(folder / "config.yaml"))
    for key in accepted:
        if key in given or key in always:
            section, _, name = key.rpartition(".")
            to, value = (getattr(config, section), getattr(asked, section)) if section else (config, asked)
            setattr(to, name, getattr(value, name))
    return config, folder


def find(config: Config) -> Path:
    """The folder of `run=<id>` below `output_dir`; a unique beginning of the id will do."""
    if not config.run:
        raise ConfigError("Name a run as run=<id>; seqbench list shows those of the ledger.")
    root = Path(config.output_dir)
    known = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    found = [name for name in known if name.startswith(config.run)]
    if len(found) > 1:
        raise UserError(f"Several runs in {root} begin with '{config.run}': {', '.join(found)}.")
    if not found and list(Places(config).runs.glob(f"{config.run}*.json")):
        raise UserError(f"The ledger has run {config.run}, but {root} has not its weights: train it here first.")
    if not found:
        near = get_close_matches(config.run, known, n=3, cutoff=0.0)  # of hundreds, maybe
        say = f"nearest: {', '.join(near)}" if near else "there is none"
        raise UserError(f"No run in {root} begins with '{config.run}'; {say}.")
    return root / found[0]


def unfinished(root: Path) -> list[Path]:
    """The folders of the runs below `root` that have no record."""
    return sorted(path.parent for path in root.glob("*/config.yaml") if not (path.parent / "record.json").exists())


def saved_step(folder: Path) -> int:
    """The names of checkpoints are step-<number>-<digest>.pt."""
    return max((int(path.name.split("-")[1]) for path in folder.glob("checkpoints/step-*.pt")), default=0)
