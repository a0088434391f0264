"""The two ways a command ends without success; neither shows a traceback."""

import sys


class Stop(Exception):
    """An end without success. `said`: the sentence has been printed already."""

    said = False


class UserError(Stop):
    """A mistake that the user can mend, said in one sentence; exit code 2."""


class RunError(Stop):
    """A run that cannot go on (a loss that is not finite, a worker that died), said in one sentence; exit code 1."""


def stopped(sentence: str, code: int) -> int:
    """Say why the command stops, and hand back its exit code."""
    print(f"seqbench: {sentence}", file=sys.stderr)
    return code
