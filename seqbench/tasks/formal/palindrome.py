"""Palindromes: does a word read the same backwards? One of the tasks of Wang and Niepert 2019 (arXiv 1901.08817).

Their settings are not published, so lengths and the others are ours: a non-palindrome is a palindrome with one
letter changed, not the middle one. No finite automaton decides it, for the first half must be remembered.
"""

from __future__ import annotations

import string
from typing import Annotated

from seqbench.contracts.ranges import AtLeast, Between, Count, NotNegativeInt
from seqbench.contracts.task import SPLITS
from seqbench.data.random_bits import Draws, check_data_seed
from seqbench.tasks.formal.membership import Membership, Words

_STREAM = 0x9A11  # of the seed: the first of the splits'


class Palindrome(Membership):
    """Words of `n_letters` letters, half of them palindromes.

    - `train_length`: words of training have 2 letters to so many. Those of valid have more, up to twice as many, and
      those of test more than these, up to four times as many.
    - `train_size` and so on count words.
    - `curriculum`, `data_seed`: as in membership.py.
    """

    def __init__(
        self,
        n_letters: Annotated[int, Between(2, 26)],
        train_length: Annotated[int, AtLeast(2)],
        train_size: Annotated[int, AtLeast(2)],
        valid_size: Annotated[int, AtLeast(2)],
        test_size: Annotated[int, AtLeast(2)],
        batch_size: Count,
        eval_batch_size: Count,
        curriculum: NotNegativeInt,
        data_seed: int,
    ):
        check_data_seed(data_seed)
        alphabet = string.ascii_lowercase[:n_letters]
        longest = [1, train_length, 2 * train_length, 4 * train_length]
        words = {
            split: _drawn(alphabet, longest[i] + 1, longest[i + 1], size, Draws(data_seed, _STREAM + i))
            for i, (split, size) in enumerate(zip(SPLITS, (train_size, valid_size, test_size), strict=True))
        }
        super().__init__(alphabet, words, batch_size, eval_batch_size, curriculum, data_seed, "palindrome")


def _drawn(alphabet: str, shortest: int, longest: int, size: int, draws: Draws) -> Words:
    words: Words = []
    for number in range(size):
        length = shortest + draws.below(longest - shortest + 1)
        half = [alphabet[draws.below(len(alphabet))] for _ in range(length // 2)]
        middle = [alphabet[draws.below(len(alphabet))]] if length % 2 else []
        letters = [*half, *middle, *reversed(half)]
        belongs = number % 2 == 0
        if not belongs:
            place = draws.below(length // 2)
            others = [letter for letter in alphabet if letter != letters[place]]
            letters[place if draws.below(2) else length - 1 - place] = others[draws.below(len(others))]
        words.append(("".join(letters), belongs))
    return words
