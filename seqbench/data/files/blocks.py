"""The bytes of a raw text file in blocks of whole lines, packed by gzip or not.

A line ends at a newline and nowhere else. The mark that some editors put before UTF-8 text (U+FEFF) is no part of it.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from seqbench.data.errors import DataError

GZIP = ".gz"
_CHUNK = 1 << 20  # bytes; a block is about that much text


def line_blocks(path: Path) -> Iterator[bytes]:
    """Blocks of whole lines, without the last newline of each block.

    Raises `DataError` for a file that cannot be read.
    """
    rest, mark = b"", codecs.BOM_UTF8
    try:
        with gzip.open(path) if path.suffix == GZIP else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                head, newline, tail = chunk.removeprefix(mark).rpartition(b"\n")
                mark = b""  # anywhere else it is a character
                if newline:
                    yield rest + head
                    rest = tail
                else:
                    rest += tail
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"{path} cannot be read: {reason}.") from error
    if rest:
        yield rest
