"""Batches of sequences of like length, by number: which examples batch i holds, computed when it is asked for.

Examples are put into buckets by length. A bucket's batches are as many as `batch_tokens` positions allow, padding
counted (one example where even that has more), and of even size. Each epoch permutes the examples of each bucket and
the order of all batches. No permutation is ever stored: a Feistel network over the position's two halves is a bijection
for any round function (Luby and Rackoff 1988), and positions that fall outside are walked on until they fall inside.
Its keys come from Philox, which counts: so batch i is the same whatever was asked before, in whatever process.
"""

from __future__ import annotations

import numpy as np

from seqbench.data.random_bits import philox

_ROUNDS = 6
_GROWTH = 1.1  # of a bucket's width over the one before
_STREAM = 0x5EB0  # apart from the other draws of the seed


class Buckets:
    """Batches of examples with (N,) `lengths`. `n_batches` make an epoch."""

    def __init__(self, lengths: np.ndarray, batch_tokens: int, seed: int):
        self.seed = seed
        self._order = np.argsort(lengths, kind="stable").astype(np.int64)  # examples, bucket by bucket
        ends, rows = _cut(lengths[self._order], batch_tokens)
        self._starts = np.concatenate([[0], ends[:-1]])
        self._sizes = ends - self._starts
        self._n_in = -(-self._sizes // rows)  # batches of each bucket
        self._first = np.concatenate([[0], np.cumsum(self._n_in)])  # number of each bucket's first batch
        self.n_batches = int(self._first[-1])

    def examples(self, index: int) -> np.ndarray:
        """The examples of batch `index`; `n_batches` is the first of the second epoch."""
        epoch, position = divmod(index, self.n_batches)
        number = int(shuffled(np.array([position]), self.n_batches, _keys(self.seed, epoch, 0))[0])
        bucket = int(np.searchsorted(self._first, number, side="right")) - 1
        size, n_in, which = int(self._sizes[bucket]), int(self._n_in[bucket]), number - int(self._first[bucket])
        places = np.arange(which * size // n_in, (which + 1) * size // n_in)
        return self._order[self._starts[bucket] + shuffled(places, size, _keys(self.seed, epoch, 1 + bucket))]


class InOrder:
    """Every example once, from the shortest to the longest: batches for evaluation."""

    def __init__(self, lengths: np.ndarray, batch_tokens: int):
        self._order = np.argsort(lengths, kind="stable").astype(np.int64)
        self._cuts = [0]
        widths = lengths[self._order]
        for place, width in enumerate(widths.tolist()):
            if (place + 1 - self._cuts[-1]) * width > batch_tokens and place > self._cuts[-1]:
                self._cuts.append(place)
        self._cuts.append(len(widths))
        self.n_batches = len(self._cuts) - 1

    def examples(self, index: int) -> np.ndarray:
        position = index % self.n_batches
        return self._order[self._cuts[position] : self._cuts[position + 1]]


def shuffled(places: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Where a permutation of 0, ..., `size` - 1 takes `places`."""
    half = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    images = places.astype(np.uint64)
    outside = np.arange(len(images))
    while len(outside):
        left, right = images[outside] >> half, images[outside] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        images[outside] = (left << half) | right
        outside = outside[images[outside] >= size]
    return images.astype(np.int64)


def _mixed(x: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit words under which every bit depends on every other (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _keys(seed: int, epoch: int, stream: int) -> np.ndarray:
    return philox(seed, _STREAM, (0, 0, epoch, stream)).random_raw(_ROUNDS)


def _cut(sorted_lengths: np.ndarray, batch_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each bucket of the sorted examples ends, and how many of its examples make a batch.

    A bucket that would not fill one batch joins the next.
    """
    longest = int(sorted_lengths[-1])
    widths = [8]
    while widths[-1] < longest:
        widths.append(max(widths[-1] + 2, int(widths[-1] * _GROWTH)))
    ends: list[int] = []
    rows: list[int] = []
    for width, end in zip(widths, np.searchsorted(sorted_lengths, widths, side="right").tolist(), strict=True):
        n_rows = max(1, batch_tokens // min(width, longest))
        last = end == len(sorted_lengths)
        if end - (ends[-1] if ends else 0) >= n_rows or (last and not ends):
            ends.append(end)
            rows.append(n_rows)
        elif last and end > ends[-1]:
            ends[-1], rows[-1] = end, n_rows
        if last:
            break
    return np.array(ends), np.array(rows)
