"""Words that were made up, as frequent as Zipf's law has them."""

import numpy as np


def word(rank: int) -> str:
    """Letters that count the ranks; a rare word is longer, as in English."""
    letters = ""
    while rank >= 0:
        letters, rank = chr(97 + rank % 26) + letters, rank // 26 - 1
    return letters if len(letters) < 2 else f"{letters}ing"


def zipf(n: int, n_types: int, generator: np.random.Generator) -> np.ndarray:
    """(n,) ranks from 0, a rank's probability about one over it."""
    return np.minimum(np.exp(generator.random(n) * np.log(n_types)).astype(np.int64), n_types) - 1
