"""The files of a text of one's own, and what they hold: one text that is to be cut, or one file a split.

The content is UTF-8, gzip or not. A mark before it (U+FEFF) is left out, a line ends at "\\n" or "\\r\\n" and nowhere
else, and the last one gets its end where it has none; every other character stays, blanks around lines too. The
checksum is of that content: it is the same wherever the files lie, whatever they are called, and packed or not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

from seqbench.data.errors import DataError
from seqbench.data.files.blocks import GZIP, line_blocks
from seqbench.data.text.corpus import SPLITS
from seqbench.data.text.source import Text

STEMS = {"train": ("train",), "valid": ("valid", "validation", "val", "dev"), "test": ("test",)}
SUFFIX = ".txt"
WHOLE = "all"  # in place of a split's name: a text that is to be cut
Files = Mapping[str, tuple[Path, ...]]  # of each split, or those of the whole text
Shares = tuple[float, float]  # of valid and of test


def find_files(source: str) -> Files:
    """The files that `source` names: one file; a folder with one for each split; or a folder with files of one text,
    which follow each other by name. Raises `DataError` that says what should be there."""
    place = Path(source).expanduser()
    if place.is_file():
        return {WHOLE: (place,)}
    if not place.is_dir():
        raise DataError(f"source={source} does not exist; name a text file, or a folder with .txt files (or .txt.gz).")
    try:
        names = sorted(os.listdir(place))
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}.") from error
    texts = {name.removesuffix(GZIP): place / name for name in reversed(names) if _is_text(name)}  # plain before gzip
    present = {split: [texts[stem + SUFFIX] for stem in STEMS[split] if stem + SUFFIX in texts] for split in SPLITS}
    if not any(present.values()):
        if not texts:
            raise DataError(f"{place} has no file that ends in .txt or .txt.gz.")
        return {WHOLE: tuple(texts[name] for name in sorted(texts))}
    for split, paths in present.items():
        if len(paths) != 1:
            which = " and ".join(path.name for path in paths) or f"no {STEMS[split][0]}{SUFFIX} (or .gz)"
            named = next(path.name for paths in present.values() for path in paths)
            raise DataError(
                f"{place} has {which} for the {split} split, and {named}: a folder holds one file for each of train, "
                "valid and test, or files of one text under other names."
            )
    return {split: (paths[0],) for split, paths in present.items()}


def still_there(source: str | None, data_sha256: str | None) -> str | None:
    """`source`; None where nothing is there any more and the data are known by their checksum, as a saved run's are:
    then the prepared ones will do."""
    is_gone = source is not None and not os.path.exists(Path(source).expanduser())
    return None if is_gone and data_sha256 is not None else source


def checksum(files: Files) -> str:
    """The SHA-256 of the content, and of how it lies: as one text, or as splits. Raises `DataError`."""
    listing = "".join(f"{name} {_sha256(_states(paths))[0]}\n" for name, paths in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


def split_texts(files: Files, shares: Shares) -> dict[str, Text]:
    """The text of each split. A whole text is cut by its bytes at the ends of lines: `shares` of it, from its end, are
    test and, before that, valid; a line goes where it begins."""
    if WHOLE not in files:
        return {split: Text(str(files[split][0]), partial(content, files[split])) for split in SPLITS}
    paths = files[WHOLE]
    n_bytes = _sha256(_states(paths))[1]
    valid_share, test_share = shares
    cuts = [0, round(n_bytes * (1 - valid_share - test_share)), round(n_bytes * (1 - test_share)), n_bytes]
    where = f"{paths[0] if len(paths) == 1 else paths[0].parent}"
    return {
        split: Text(f"{where} ({split})", partial(lines_between, paths, *cuts[index : index + 2]))
        for index, split in enumerate(SPLITS)
    }


def content(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Blocks of whole lines, each ended. Raises `DataError` that names the line which is not UTF-8."""
    for path in paths:
        n_lines = 0
        for block in line_blocks(path):
            lines = block + b"\n"
            if b"\r" in lines:
                lines = lines.replace(b"\r\n", b"\n")
            try:
                lines.decode()
            except UnicodeDecodeError as error:
                line = n_lines + 1 + lines.count(b"\n", 0, error.start)
                raise DataError(f"{path} is not UTF-8 text (line {line:,}); save it as UTF-8.") from error
            n_lines += lines.count(b"\n")
            yield lines


def lines_between(paths: tuple[Path, ...], start: int, stop: int) -> Iterator[bytes]:
    """The lines that begin at `start` or later, before `stop`: both count bytes of the content."""
    offset = 0
    for block in content(paths):
        lines = block[_first_line(block, start - offset) : _first_line(block, stop - offset)]
        if lines:
            yield lines
        offset += len(block)
        if offset >= stop:
            return


def _first_line(block: bytes, place: int) -> int:
    """Where the first line of a block begins that begins at `place` or later; its end where there is none."""
    if place <= 0:
        return 0
    end = block.find(b"\n", place - 1)
    return len(block) if end < 0 else end + 1


def _is_text(name: str) -> bool:
    return name.removesuffix(GZIP).endswith(SUFFIX) and not name.startswith(".")


def _states(paths: tuple[Path, ...]) -> tuple[tuple[Path, int, int, int], ...]:
    try:
        states = [(path, path.stat()) for path in paths]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return tuple((path, status.st_ino, status.st_size, status.st_mtime_ns) for path, status in states)


@lru_cache(maxsize=64)
def _sha256(states: tuple[tuple[Path, int, int, int], ...]) -> tuple[str, int]:
    """Of the content, and its length. The files' states are the key: read once a process, and again when written."""
    digest, n_bytes = hashlib.sha256(), 0
    for block in content(tuple(path for path, *_ in states)):
        digest.update(block)
        n_bytes += len(block)
    return digest.hexdigest(), n_bytes
