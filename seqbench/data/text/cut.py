"""One file that holds all splits of a corpus one after another: plain, or in a zip of its name."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from seqbench.data.errors import DataError
from seqbench.data.text.corpus import SPLITS, Corpus

_CHUNK = 1 << 20  # bytes


def cut_names(file: str) -> tuple[str, str]:
    """What the file may be called."""
    return file, f"{file}.zip"


def read_cut(corpus: Corpus, path: Path, split: str) -> Iterator[bytes]:
    """A split's bytes in blocks that end with a word where they can. Raises `DataError` for a file of another length or
    one that cannot be read."""
    try:
        if path.suffix != ".zip":
            with path.open("rb") as file:
                yield from _blocks(corpus, path, split, file, path.stat().st_size)
            return
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(str(corpus.file))
            with archive.open(member) as file:
                yield from _blocks(corpus, path, split, file, member.file_size)
    except KeyError as error:
        raise DataError(f"{path} is a zip without a file named {corpus.file}.") from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} cannot be read as a zip: {str(error).rstrip('.')}; fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _blocks(corpus: Corpus, path: Path, split: str, file: IO[bytes], size: int) -> Iterator[bytes]:
    lengths = {name: corpus.splits[name].n_tokens for name in SPLITS}
    if size != sum(lengths.values()):
        raise DataError(
            f"{path} has {size:,} bytes where {corpus.title} has {sum(lengths.values()):,}; fetch it again."
        )
    start = sum(lengths[earlier] for earlier in SPLITS[: SPLITS.index(split)])
    stop = start + lengths[split]
    file.seek(start)
    rest = b""
    while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
        start += len(chunk)
        head, blank, tail = chunk.rpartition(b" ")
        if blank:
            yield rest + head + blank
            rest = tail
        else:
            rest += tail
    if rest:
        yield rest
