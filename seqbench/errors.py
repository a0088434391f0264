"""The two ways a command ends without success; neither shows a traceback."""


class UserError(Exception):
    """A mistake that the user can mend, said in one sentence; exit code 2."""


class RunError(Exception):
    """A run that cannot go on (a loss that is not finite, a worker that died), said in one sentence; exit code 1."""
