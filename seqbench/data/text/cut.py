"""One file that holds all splits of a corpus one after another: plain, or in a zip or gzip of its name."""

from __future__ import annotations

import codecs
import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from seqbench.data.errors import DataError
from seqbench.data.text.corpus import SPLITS, Corpus

_CHUNK = 1 << 20  # bytes


def cut_names(file: str) -> tuple[str, ...]:
    """What the file may be called."""
    return file, f"{file}.zip", f"{file}.gz"


def read_cut(corpus: Corpus, path: Path, split: str) -> Iterator[bytes]:
    """A split's bytes in blocks that end with a word where they can.

    Raises `DataError` for a file of another length or one that cannot be read.
    """
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                member = archive.getinfo(str(corpus.file))
                with archive.open(member) as file:
                    yield from _blocks(corpus, path, split, file, member.file_size)
        elif path.suffix == ".gz":
            with gzip.open(path) as file:
                yield from _blocks(corpus, path, split, file, _length(file))
        else:
            with path.open("rb") as file:
                yield from _blocks(corpus, path, split, file, path.stat().st_size)
    except KeyError as error:
        raise DataError(f"{path} is a zip without a file named {corpus.file}.") from error
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # RuntimeError: a zip with a password
        packing = "gzip" if path.suffix == ".gz" else "zip"
        raise DataError(f"{path} cannot be read as a {packing}: {str(error).rstrip('.')}; fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _length(file: IO[bytes] | gzip.GzipFile) -> int:
    """The unpacked length, which a gzip says for certain only when it has been read."""
    while file.read(_CHUNK):
        pass
    n_bytes = file.tell()
    file.seek(0, os.SEEK_SET)
    return n_bytes


def _blocks(corpus: Corpus, path: Path, split: str, file: IO[bytes] | gzip.GzipFile, size: int) -> Iterator[bytes]:
    lengths = {name: corpus.splits[name].n_tokens or 0 for name in SPLITS}
    mark = len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0  # no part of the text
    if size - mark != sum(lengths.values()):
        raise DataError(
            f"{path} has {size - mark:,} bytes where {corpus.title} has {sum(lengths.values()):,}; fetch it again."
        )
    start = mark + sum(lengths[earlier] for earlier in SPLITS[: SPLITS.index(split)])
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
