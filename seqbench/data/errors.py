"""What can be wrong with data, said in one sentence."""

from __future__ import annotations

from seqbench.errors import UserError


class DataError(UserError):
    """Data that are missing, unreadable, damaged or not the published ones; the sentence says how to mend it."""
