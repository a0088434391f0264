"""The command line: `seqbench <command> [settings]`. Dispatch alone; torch is imported by the commands that need it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import sys
import unicodedata
from collections.abc import Callable
from difflib import get_close_matches

from seqbench import __version__
from seqbench.config import plugins
from seqbench.errors import RunError, UserError, stopped

COMMANDS = {
    "train": "train a run, or a sweep with -m; the same command again resumes it",
    "eval": "evaluate a finished run again, or in another way: run=<id> [evaluation=beam]",
    "analyze": "ask more of a finished run than a score: run=<id> analysis=<name>",
    "compact": "take the closed units of a finished run away: run=<id>, of model=pruned_lstm",
    "prepare": "prepare a task's data: task=ptb_word [source=<folder>|hub]",
    "reproduce": "run what a table lacks, and compare with the published numbers: copy [--dry]",
    "tables": "write the tables of results/tables.yaml from the ledger: [name ...]",
    "plots": "draw the learning curves of the tables' runs: [name ...]",
    "report": "write the ledger as a website, results/site, to read without a server",
    "check": "hold a class against its contract: my_package.Mine hidden_size=8, or model=lstm",
    "bench": "compare speed and memory with the usual alternatives: [name ...]",
    "show": "print every setting and the id of a run, or the record of run=<id>",
    "list": "list the runs, or what there is to choose: [models|tasks|optimizers|...]",
}

USAGE = """usage: seqbench <command> [settings]

commands
{commands}

settings are Hydra overrides:
  seqbench train model=scornn task=copy
  seqbench train -m model=lstm,scornn task=copy,adding seed=0,1,2
  seqbench train --help                 all groups and settings
  seqbench train plugins=[my_package] model=mine     with code of your own
  eval "$(seqbench -sc install=bash)"   tab completion
"""


def main() -> None:
    """Entry point of the `seqbench` script. Exit codes: 0 done, 1 a run failed, 2 a mistake to mend."""
    arguments = sys.argv[1:]
    unreadable = next((argument for argument in arguments if not _is_text(argument)), None)
    if unreadable is not None:
        sys.exit(stopped(f"An argument has a character that is not text: {unreadable!a}.", 2))
    _print_any_text()
    if any(argument in ("-sc", "--shell-completion") for argument in arguments):
        return _command("completion")(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE.format(commands="\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())), end="")
        return None
    if {"-V", "--version"}.intersection(arguments):
        print(f"seqbench {__version__}")
        return None
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        close = get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; see seqbench --help."
        sys.exit(stopped(f"There is no command '{name}'{hint}", 2))
    if name != "train" and {"-h", "--help"}.intersection(rest):  # train's are Hydra's, and list every setting
        print(f"seqbench {name}: {COMMANDS[name]}\n\n{inspect.getdoc(_command(name))}")
        return None
    try:
        _command(name)(rest if name == "bench" else plugins.take(rest))
    except (UserError, RunError) as error:
        sys.exit(stopped(str(error), 2 if isinstance(error, UserError) else 1))
    except BrokenPipeError:  # `seqbench list | head`
        _close_stdout()
    except OSError as error:
        sys.exit(stopped(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.", 2))
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        _close_stdout()
        sys.exit(stopped(str(error) or "Interrupted; what has been saved is kept.", 130))
    return None


def _print_any_text() -> None:
    """Paths that a terminal's encoding does not have, here and in processes that this one starts."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")


def _close_stdout() -> None:
    """Of a pipe that has ended Python would tell as it exits, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_text(argument: str) -> bool:
    """Without control characters, and bytes that are no UTF-8."""
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in argument)


def _command(name: str) -> Callable[[list[str]], None]:
    module, function = {
        "train": ("seqbench.commands.train", "train"),
        "eval": ("seqbench.commands.evaluate", "evaluate"),
        "analyze": ("seqbench.commands.analyze", "analyze"),
        "compact": ("seqbench.commands.compact", "compact"),
        "prepare": ("seqbench.commands.prepare", "prepare"),
        "reproduce": ("seqbench.commands.reproduce", "reproduce"),
        "tables": ("seqbench.commands.tables", "tables"),
        "plots": ("seqbench.commands.tables", "plots"),
        "report": ("seqbench.commands.report", "report"),
        "check": ("seqbench.commands.check", "check"),
        "bench": ("seqbench.commands.bench", "bench"),
        "show": ("seqbench.commands.show", "show"),
        "list": ("seqbench.commands.list", "list_runs_or_options"),
        "completion": ("seqbench.commands.completion", "complete"),
    }[name]
    return getattr(importlib.import_module(module), function)
