"""The two ways a command ends without success, neither with a traceback, and the hint many such sentences end in."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake that the user can mend, said in one sentence; exit code 2."""


class ConfigError(UserError):
    """A config that cannot be run, said in one sentence."""


class RunError(Exception):
    """A run that cannot go on (a loss that is not finite, a worker that died), said in one sentence; exit code 1."""


class BusyError(RunError):
    """A run that another process has."""


def did_you_mean(word: str, valid: Iterable[str], prefix: str = "") -> str:
    """` (did you mean X?)` with the nearest valid word, or nothing if none is near. `prefix` stands before the word."""
    close = get_close_matches(word, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""


def stopped(sentence: str, code: int) -> int:
    """Say why the command stops, and hand back its exit code."""
    print(f"seqbench: {sentence}", file=sys.stderr)
    return code
