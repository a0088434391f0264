"""Tab completion: Hydra's, with our subcommand in front. `seqbench -sc install=bash`."""

from __future__ import annotations

import os
import sys

import hydra

from seqbench import config as configs
from seqbench.cli import COMMANDS


def complete(arguments: list[str]) -> None:
    """Answer `-sc install=bash|zsh|fish`, `uninstall=`, and the shell's `query=`."""
    line = os.environ.get("COMP_LINE", "")
    if any(argument.startswith("query=") for argument in arguments):
        words = line.split(" ")
        if len(words) <= 2:  # the subcommand itself
            print("\n".join(name for name in COMMANDS if name.startswith(words[-1] if len(words) == 2 else "")))
            return
        cut = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(int(os.environ.get("COMP_POINT", len(line))) - (len(line) - len(cut)))
        os.environ["COMP_LINE"] = cut
    configs.register()
    sys.argv = ["seqbench", *arguments]
    hydra.main(config_path=str(configs.folder()), config_name="config", version_base="1.3")(lambda config: None)()
