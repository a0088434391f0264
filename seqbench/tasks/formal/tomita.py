"""Tomita's seven languages over 0 and 1 (Tomita 1982), sampled as in Weiss, Goldberg, Yahav 2018 (arXiv 1711.09576).

    1   1*                                              5   even numbers of 0 and of 1
    2   (10)*                                           6   #0 - #1 divisible by 3
    3   no odd run of 1 before an odd run of 0          7   0*1*0*1*
    4   no 000

In 3 the two runs need not be neighbours. Of each length at most 1,000 words are drawn without repetition; the first 150
of the language and the first 150 others remain, and the larger of these two sets is cut to the smaller one's size and
20. So the splits train and valid of state-regularised networks were made (Wang and Niepert 2019, arXiv 1901.08817).
Their test set is their validation set; ours are longer words, as many of the language as others. Of a language with few
long words, such as 1 and 2, each stands there many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from seqbench.contracts.ranges import Between, Count, NotNegativeInt
from seqbench.contracts.task import SPLITS
from seqbench.data.formal.dfa import DFA, Sampler, from_table
from seqbench.data.random_bits import Draws, check_data_seed, philox
from seqbench.tasks.formal.membership import Membership, Words

TRAIN = (*range(13), 16, 19, 22)
VALID = tuple(range(1, 29, 3))
TEST = tuple(range(30, 101, 10))
N_OF_TEST = 25  # words of a length, of the language and others
N_DRAWN, N_EACH, N_MORE = 1000, 150, 20
AUTOMATA = {  # minimal, numbered breadth first
    1: from_table("01", ["10", "11"], [0]),
    2: from_table("01", ["12", "11", "01"], [0]),
    3: from_table("01", ["01", "20", "34", "23", "44"], [0, 1, 3]),
    4: from_table("01", ["10", "20", "30", "33"], [0, 1, 2]),
    5: from_table("01", ["12", "03", "30", "21"], [0]),
    6: from_table("01", ["12", "20", "01"], [0]),
    7: from_table("01", ["01", "21", "23", "43", "44"], [0, 1, 2, 3]),
}
_WORDS = 0x70317A  # the first of its streams of the seed: one for test, two for each length


class Tomita(Membership):
    """Words over 0 and 1, and whether each belongs to the language.

    - `grammar` is Tomita's number of the language.
    - `curriculum`, `data_seed`: as in membership.py.
    """

    def __init__(
        self,
        grammar: Annotated[int, Between(1, 7)],
        batch_size: Count,
        eval_batch_size: Count,
        curriculum: NotNegativeInt,
        data_seed: int,
    ):
        check_data_seed(data_seed)
        self.grammar = grammar
        dfa = AUTOMATA[grammar]
        words = {
            "train": [pair for length in TRAIN for pair in _sampled(dfa, length, data_seed, 0)],
            "valid": [pair for length in VALID for pair in _sampled(dfa, length, data_seed, 1)],
            "test": _balanced(dfa, TEST, Draws(data_seed, _WORDS + SPLITS.index("test"))),
        }
        super().__init__("01", words, batch_size, eval_batch_size, curriculum, data_seed, f"tomita_{grammar}")

    def automaton(self) -> DFA:
        """The language's minimal automaton."""
        return AUTOMATA[self.grammar]


def _sampled(dfa: DFA, length: int, seed: int, split: int) -> Words:
    """The words of one length, as the module says."""
    stream = _WORDS + len(SPLITS) + 2 * length + split
    drawn = [(word, dfa.accepts(word)) for word in _distinct(length, seed, stream)]
    members = [pair for pair in drawn if pair[1]][:N_EACH]
    others = [pair for pair in drawn if not pair[1]][:N_EACH]
    most = min(len(members), len(others)) + N_MORE
    return members[:most] + others[:most]


def _distinct(length: int, seed: int, stream: int) -> list[str]:
    """At most `N_DRAWN` words of a length, none twice, in a random order."""
    if 2**length <= 50 * N_DRAWN:  # else two of so few draws are hardly alike
        numbers = np.argsort(philox(seed, stream).random_raw(2**length), kind="stable")[:N_DRAWN].tolist()
    else:
        bits = philox(seed, stream).random_raw(2 * N_DRAWN) % np.uint64(2**length)
        numbers = list(dict.fromkeys(bits.tolist()))[:N_DRAWN]
    return [format(number, "b").zfill(length)[:length] for number in numbers]


def _balanced(dfa: DFA, lengths: Sequence[int], draws: Draws) -> Words:
    members, others = Sampler(dfa, True), Sampler(dfa, False)
    return [
        (sampler.draw(length, draws), belongs)
        for length in lengths
        for _ in range(N_OF_TEST)
        for sampler, belongs in ((members, True), (others, False))
    ]
