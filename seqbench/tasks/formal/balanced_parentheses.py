"""Balanced parentheses among letters: trained to some depth, tested on deeper words.

The words are those of Wang and Niepert 2019 (arXiv 1901.08817): S -> (S) | SS | a | ... | z, each of the three kinds
equally likely. Words that would grow too long or too deep are drawn again, where the authors' code stops expanding
above 100 symbols. A word's depth is that of its parentheses:

    depth 2   (a(bc))x

Words that are not balanced are made of balanced ones in one of two ways:

    replaced  each symbol with probability 1/2 by any of the 28, until ( and ) differ in number. So the authors make
              them, so counting parentheses is enough.
    swapped   a ( and a ) change places, so that the word is not balanced: only the order tells.
"""

from __future__ import annotations

import string
from typing import Annotated

from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf
from seqbench.contracts.task import SPLITS
from seqbench.data.random_bits import Draws, check_data_seed
from seqbench.tasks.formal.membership import Membership, Words

ALPHABET = string.ascii_lowercase + "()"
_STREAM = 0xBA1A  # of the seed: the first of the splits'
_MOST_TRIES = 2_000  # for each word


class BalancedParentheses(Membership):
    """Words over a to z, ( and ), half of them balanced, none twice among these.

    - `train_depth`: balanced words of training have depth 1 to so many, those of valid more, up to `valid_depth`, and
      those of test more than these, up to `test_depth`.
    - `max_length` bounds the words, in symbols.
    - `negatives`: replaced or swapped.
    - `train_size` and so on count words.
    - `curriculum`, `data_seed`: as in membership.py.
    """

    def __init__(
        self,
        train_depth: Count,
        valid_depth: Count,
        test_depth: Count,
        max_length: Count,
        negatives: Annotated[str, OneOf("replaced", "swapped")],
        train_size: Count,
        valid_size: Count,
        test_size: Count,
        batch_size: Count,
        eval_batch_size: Count,
        curriculum: NotNegativeInt,
        data_seed: int,
    ):
        check_data_seed(data_seed)
        if not train_depth < valid_depth < test_depth:
            raise ValueError(
                f"train_depth, valid_depth and test_depth grow, and {train_depth}, {valid_depth}, {test_depth} do not"
            )
        if max_length < 2 * test_depth + 1:
            raise ValueError(f"a word of depth {test_depth} has {2 * test_depth + 1} symbols or more, not {max_length}")
        deepest = (0, train_depth, valid_depth, test_depth)
        change = _replaced if negatives == "replaced" else _swapped
        words: dict[str, Words] = {}
        for i, (split, size) in enumerate(zip(SPLITS, (train_size, valid_size, test_size), strict=True)):
            draws = Draws(data_seed, _STREAM + i)
            balanced = _balanced(size - size // 2, deepest[i] + 1, deepest[i + 1], max_length, draws)
            others = [change(balanced[number % len(balanced)], draws) for number in range(size // 2)]
            words[split] = [(word, True) for word in balanced] + [(word, False) for word in others]
        name = "balanced_parentheses" if negatives == "replaced" else "balanced_parentheses_swapped"
        super().__init__(ALPHABET, words, batch_size, eval_batch_size, curriculum, data_seed, name)


def depth_of(word: str) -> int | None:
    """How deep the parentheses of a word are; None where they are not balanced."""
    depth = deepest = 0
    for symbol in word:
        depth += (symbol == "(") - (symbol == ")")
        if depth < 0:
            return None
        deepest = max(deepest, depth)
    return deepest if depth == 0 else None


def _balanced(n_words: int, shallowest: int, deepest: int, max_length: int, draws: Draws) -> list[str]:
    """Words of the grammar, those of other depths or beyond the length left out."""
    found: dict[str, None] = {}
    for _ in range(_MOST_TRIES * n_words):
        word = _of_grammar(max_length, deepest, draws)
        if word is not None and shallowest <= (depth_of(word) or 0):
            found[word] = None
        if len(found) == n_words:
            return list(found)
    raise ValueError(
        f"there are too few words of depth {shallowest} to {deepest} up to {max_length} symbols for {n_words} of them"
    )


def _of_grammar(max_length: int, deepest: int, draws: Draws) -> str | None:
    """A word; None where it would be too long or too deep."""
    symbols: list[str] = []
    waiting = ["S"]
    depth = 0
    while waiting:
        if len(symbols) + len(waiting) > max_length or depth > deepest:
            return None
        symbol = waiting.pop()
        if symbol != "S":
            symbols.append(symbol)
            depth += (symbol == "(") - (symbol == ")")
            continue
        kind = draws.below(3)
        if kind == 2:
            symbols.append(ALPHABET[draws.below(26)])
        else:
            waiting += [")", "S", "("] if kind == 0 else ["S", "S"]
    return "".join(symbols)


def _replaced(word: str, draws: Draws) -> str:
    while True:
        changed = [ALPHABET[draws.below(28)] if draws.below(2) else symbol for symbol in word]
        if changed.count("(") != changed.count(")"):
            return "".join(changed)


def _swapped(word: str, draws: Draws) -> str:
    opening, closing = ([place for place, symbol in enumerate(word) if symbol == kind] for kind in "()")
    while True:
        changed = list(word)
        changed[opening[draws.below(len(opening))]] = ")"
        changed[closing[draws.below(len(closing))]] = "("
        if depth_of("".join(changed)) is None:
            return "".join(changed)
