"""Runs that have a folder already, by their id: what `eval run=<id>`, `train run=<id>` and `list` start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from seqbench.config.arguments import CommandLine, key_of
from seqbench.config.compat import fill_defaults
from seqbench.config.compose import compose_run
from seqbench.config.identity import former_run_id, run_id
from seqbench.config.plugin_use import require_same_plugins
from seqbench.config.schema import Config, load
from seqbench.errors import ConfigError, UserError, did_you_mean
from seqbench.report.places import Places

PLACES = ("output_dir", "results_dir", "data_dir", "source")


def read(command: str, line: CommandLine, accepted: Sequence[str], always: Sequence[str]) -> tuple[Config, Path]:
    """The config of the run that `line` names, and its folder. Of `accepted` settings, those given stand for the run's
    own, as do those of `always` that are not; other settings are a mistake."""
    keys = [key_of(setting) for setting in line.settings]
    for key in keys:
        node = key.partition(".")[0]
        if key not in ("run", *accepted) and not (node in ("evaluation", "analysis") and node in accepted):
            hint = did_you_mean(key, accepted)
            raise ConfigError(f"{command} takes {', '.join(('run', *accepted))}; {key} belongs to the run{hint}.")
    command_config = compose_run(line).config
    folder = find(command_config)
    config = fill_defaults(load(folder / "config.yaml"))
    require_same_plugins(config, f"run {folder.name}")
    config.run = None
    for key in accepted:
        if key in keys or key in always:
            section, _, name = key.rpartition(".")
            to, value = (
                (getattr(config, section), getattr(command_config, section)) if section else (config, command_config)
            )
            setattr(to, name, getattr(value, name))
    return config, folder


def require_its_config(config: Config, folder: Path) -> None:
    """Raise `UserError` where the config in a run's folder is another's. Earlier versions had fewer keys."""
    if not is_of(config, folder) and not is_of(load(folder / "config.yaml"), folder):
        raise UserError(
            f"{folder / 'config.yaml'} is not that of run {folder.name}: its settings have the id {run_id(config)}."
        )


def is_of(config: Config, folder: Path) -> bool:
    """Whether a saved config is that of its folder's run: a file that was changed, or is another run's, has another
    id."""
    return folder.name in (run_id(config), former_run_id(config))


def find(config: Config) -> Path:
    """The folder of `run=<id>` below `output_dir`; a unique prefix is enough."""
    if not config.run:
        raise ConfigError("Name a run as run=<id>; seqbench list shows those of the ledger.")
    root = Path(config.output_dir)
    names = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    matching = [name for name in names if name.startswith(config.run)]
    if config.run in matching:
        return root / config.run
    if len(matching) > 1:
        raise UserError(f"Several runs in {root} begin with '{config.run}': {', '.join(matching)}.")
    if not matching and records(config):
        raise UserError(
            f"The ledger has run {config.run}, but its weights are not in {root}; run the training here first."
        )
    if not matching:
        near = get_close_matches(config.run, names, n=3, cutoff=0.0)  # of hundreds, maybe
        say = f"nearest: {', '.join(near)}" if near else "there is none"
        raise UserError(f"No run in {root} begins with '{config.run}'; {say}.")
    return root / matching[0]


def records(config: Config) -> list[Path]:
    """The ledger's records whose id begins with `run=<id>`."""
    return sorted(path for path in Places(config).runs.glob("*.json") if path.name.startswith(config.run or " "))


def of_other_code(config: Config) -> list[str]:
    """The runs below `output_dir` whose settings are these and whose plugins were others: had the code not changed,
    this would be one of them."""
    runs = []
    for path in sorted(Path(config.output_dir).glob("*/config.yaml")):
        try:
            saved = load(path)
            same = saved.plugins.keys() == config.plugins.keys() and saved.plugins != config.plugins
            if same and run_id(replace(saved, plugins=config.plugins)) == run_id(config):
                runs.append(path.parent.name)
        except ConfigError:  # a damaged one is none of these
            continue
    return runs


def unfinished(root: Path) -> list[Path]:
    """The folders of the runs below `root` that have no record."""
    return sorted(path.parent for path in root.glob("*/config.yaml") if not (path.parent / "record.json").exists())


def saved_step(folder: Path) -> int:
    """The names of checkpoints are step-<number>-<digest>.pt."""
    numbers = [path.name.split("-")[1] for path in folder.glob("checkpoints/step-*.pt")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
