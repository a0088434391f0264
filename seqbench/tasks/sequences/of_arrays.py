"""What tasks of a published set of arrays share beside `Task`: how the set is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.data.arrays.published import Published
from seqbench.data.arrays.store import ArraySet, are_arrays_at_hand, ensure_arrays
from seqbench.data.files.lock import say


class OfArrays:
    """A subclass says which set its settings name, and what is in it."""

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        """The set that the task's own `settings` name."""
        raise NotImplementedError

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        """What there is, for a person: "60,000 / 10,000 images"."""
        raise NotImplementedError

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the set, anew if `force` or where a source is named, and say what there is."""
        published = cls.published(settings)
        arrays = ensure_arrays(published, data_dir, source, say, force or source is not None)
        return f"{published.name}: {cls.contents(arrays)}, in {arrays.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        return are_arrays_at_hand(cls.published(settings), data_dir, source)
