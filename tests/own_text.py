"""A text as people have them: a mark before it, CRLF, blank lines, no-break spaces, a line of 100 kB, no last newline;
and what it is once read, made here apart from the code under test."""

from __future__ import annotations

import codecs

import numpy as np

WORDS = ["the", "cat", "Dog", "éclair", "naïve", "sat", "on", "a", "mat", "x\u00a0y", "🦊", "_"]


def made(n_lines: int = 3_000, seed: int = 0) -> bytes:
    draw = np.random.default_rng(seed)
    lines = [" ".join(WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(0, 12))) for _ in range(n_lines)]
    lines[3], lines[7], lines[11] = "", "   indented,  with\ttabs ", "long " * 20_000
    lines[-5] = "zebra seen nowhere else"
    return codecs.BOM_UTF8 + "\r\n".join(lines).encode()


def splits(content: bytes, valid_share: float, test_share: float) -> dict[str, str]:
    """The text of each split: a line goes where its first byte lies."""
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    text += "" if text.endswith("\n") else "\n"
    n_bytes, offset = len(text.encode()), 0
    parts = {"train": "", "valid": "", "test": ""}
    for line in text.split("\n")[:-1]:
        split = "train" if offset < round(n_bytes * (1 - valid_share - test_share)) else "valid"
        split = "test" if offset >= round(n_bytes * (1 - test_share)) else split
        parts[split] += f"{line}\n"
        offset += len(f"{line}\n".encode())
    return parts
