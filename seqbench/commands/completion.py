"""Tab completion: Hydra's behind the name of a command, and what Hydra does not know: runs, tables, kinds, suites."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra

from seqbench.cli import COMMANDS
from seqbench.commands.list import plurals
from seqbench.config import schema as configs
from seqbench.config.arguments import CommandLine
from seqbench.config.nodes import options
from seqbench.config.plugins import take
from seqbench.errors import UserError, stopped
from seqbench.report.declaration import read_declaration
from seqbench.report.places import Places

SHELLS = ("bash", "zsh", "fish")
REQUESTS = [f"{verb}={shell}" for verb in ("install", "uninstall", "query") for shell in SHELLS]


def complete(arguments: list[str]) -> None:
    """Answer `-sc install=bash|zsh|fish`, `uninstall=`, and the shell's `query=`."""
    if len(arguments) != 2 or arguments[1] not in REQUESTS:
        sys.exit(stopped(f"-sc takes install=<shell> or uninstall=<shell>, of {', '.join(SHELLS)}.", 2))
    line = os.environ.get("COMP_LINE", "")
    if arguments[1].startswith("query="):
        words = _with_plugins(line.split(" "))
        candidates = _candidates(words[1:])
        if candidates is not None:
            print("\n".join(name for name in candidates if name.startswith(words[-1] if len(words) > 1 else "")))
            return
        cut = " ".join([words[0], *CommandLine().of_hydra, *words[2:]])  # with where the plugins' files are
        os.environ["COMP_POINT"] = str(int(os.environ.get("COMP_POINT", len(line))) - (len(line) - len(cut)))
        os.environ["COMP_LINE"] = cut
    configs.register()
    sys.argv = ["seqbench", *arguments]
    hydra.main(config_path=str(configs.folder()), config_name="config", version_base="1.3")(lambda config: None)()


def _with_plugins(words: list[str]) -> list[str]:
    """The words without those whole ones that name plugins, which are plugins then."""
    try:
        return [*take(words[:-1]), words[-1]]
    except UserError:  # a package that is not there completes nothing
        return words


def _candidates(words: list[str]) -> list[str] | None:
    """The candidates for the last of the words after `seqbench`; None where Hydra knows them."""
    if len(words) <= 1:
        return list(COMMANDS)
    key, equals, _ = words[-1].partition("=")
    if equals and key.lstrip("+") == "experiment":
        return [f"{key}={name}" for name in options("experiment")]
    if equals and key == "run":
        return [f"run={name}" for name in _runs()]
    if words[0] in ("tables", "plots", "reproduce") and not equals:
        return _tables()
    if words[0] == "list" and not equals:
        return list(plurals())
    if words[0] == "bench":
        from seqbench.bench.catalog import names

        return names()
    return None


def _runs() -> list[str]:
    """The ids of the runs in the default folders."""
    config = configs.Config()
    records = Places(config).runs.glob("*.json")
    return sorted(
        {path.stem for path in records} | {path.parent.name for path in Path(config.output_dir).glob("*/config.yaml")}
    )


def _tables() -> list[str]:
    try:
        return list(read_declaration(Places(configs.Config()).declaration))
    except UserError:
        return []
