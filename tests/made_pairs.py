"""Made sentence pairs, and the settings under which tests prepare them."""

from __future__ import annotations

import numpy as np

from seqbench.data.pairs.store import PairSettings

SETTINGS = PairSettings(("en", "de"), 300, "bpe", 40, 3.0, False)
WORDS = [("a", "ein"), ("dog", "Hund"), ("cat", "Katze"), ("runs", "rennt"), ("sleeps", "schläft"), ("small", "klein")]


def made(n, seed=0):
    draw = np.random.default_rng(seed)
    rows = [draw.integers(0, len(WORDS), draw.integers(3, 9)) for _ in range(n)]
    return [tuple(" ".join(WORDS[i][side] for i in row) for side in (0, 1)) for row in rows]


def lines(rows, side):
    return [row[side] for row in rows]
