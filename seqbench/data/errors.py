"""What can be wrong with data, said in one sentence."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UserError


class DataError(UserError):
    """Data that are missing, unreadable, damaged or not the published ones; the sentence says how to mend it."""


def another_text(path: Path, split: str, source: str) -> DataError:
    """The error that a prepared set is of another text than the one that is named."""
    return DataError(
        f"{path} was prepared from another {split} text than that of source={source}; leave source out, or make the "
        "set anew with `seqbench prepare` and the same settings."
    )
