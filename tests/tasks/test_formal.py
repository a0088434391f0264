"""Formal languages: membership by brute force, the published samples' sizes, and what each split holds."""

import itertools
import re

import pytest
import torch

from seqbench.data.formal.dfa import minimal
from seqbench.tasks.formal.balanced_parentheses import BalancedParentheses, depth_of
from seqbench.tasks.formal.palindrome import Palindrome
from seqbench.tasks.formal.tomita import AUTOMATA, TRAIN, VALID, Tomita


def third(word):
    """No odd run of 1 is later followed by an odd run of 0."""
    odd = False
    for symbol, run in itertools.groupby(word):
        is_odd = len(list(run)) % 2 == 1
        if symbol == "0" and is_odd and odd:
            return False
        odd = odd or (symbol == "1" and is_odd)
    return True


RULES = {
    1: lambda word: "0" not in word,
    2: lambda word: re.fullmatch("(10)*", word) is not None,
    3: third,
    4: lambda word: "000" not in word,
    5: lambda word: word.count("0") % 2 == 0 and word.count("1") % 2 == 0,
    6: lambda word: (word.count("0") - word.count("1")) % 3 == 0,
    7: lambda word: word.count("10") <= 1,
}
SIZES = {1: 2, 2: 3, 3: 5, 4: 4, 5: 4, 6: 3, 7: 5}


def tomita(grammar, batch_size=32, eval_batch_size=50, curriculum=2, data_seed=0):
    return Tomita(grammar, batch_size, eval_batch_size, curriculum, data_seed)


def parentheses(**settings):
    defaults = {"train_depth": 3, "valid_depth": 5, "test_depth": 7, "max_length": 60, "negatives": "replaced"}
    defaults |= {"train_size": 60, "valid_size": 30, "test_size": 20, "batch_size": 8, "eval_batch_size": 10}
    return BalancedParentheses(**{**defaults, "curriculum": 0, "data_seed": 0, **settings})


@pytest.mark.parametrize("grammar", RULES)
def test_an_automaton_of_tomita_accepts_what_its_rule_does_and_is_minimal(grammar):
    dfa = AUTOMATA[grammar]
    for length in range(11):
        for symbols in itertools.product("01", repeat=length):
            word = "".join(symbols)
            assert dfa.accepts(word) == RULES[grammar](word), word
    assert dfa.n_states == SIZES[grammar] and minimal(dfa) == dfa


@pytest.mark.parametrize("grammar", RULES)
def test_the_words_of_a_split(grammar):
    task = tomita(grammar)
    for split, lengths in (("train", TRAIN), ("valid", VALID)):
        words = task.words[split]
        assert {len(word) for word, _ in words} <= set(lengths)
        assert len({word for word, _ in words}) == len(words)
    for words in task.words.values():
        assert all(RULES[grammar](word) == belongs for word, belongs in words)
    assert sum(belongs for _, belongs in task.words["test"]) * 2 == len(task.words["test"])
    assert min(len(word) for word, _ in task.words["test"]) > max(*TRAIN, *VALID)


def test_so_many_words_as_the_published_samples_have():
    for grammar, sizes in {1: ((263, 11), (182, 4)), 2: ((257, 6), (180, 2))}.items():  # words, those that belong
        words = tomita(grammar).words
        assert tuple((len(words[s]), sum(b for _, b in words[s])) for s in ("train", "valid")) == sizes
    assert len(tomita(5).words["train"]) == 1651


def test_a_batch_begins_each_word_and_pads_it():
    task = tomita(4)
    batch = task.batch_of(["", "011"], [True, False])
    assert batch.inputs.tolist() == [[2, 2, 2, 2], [2, 0, 1, 1]]
    assert batch.inputs_valid_BT is not None
    assert batch.inputs_valid_BT.tolist() == [[True, False, False, False], [True] * 4]
    assert batch.targets.tolist() == [1, 0]


def test_words_grow_in_the_first_epochs():
    task = tomita(4)
    n = task.n_batches("train")
    widths = [[task.batch("train", epoch * n + i).inputs.shape[1] for i in range(n)] for epoch in range(3)]
    assert widths[0] == widths[1] == sorted(widths[0])
    assert widths[2] != sorted(widths[2])


def test_the_error_is_balanced():
    task = tomita(1)
    always_no = {"nll": (182.0, 182), "error_of_0": (0.0, 178), "error_of_1": (4.0, 4)}
    metrics = task.metrics(always_no)
    assert metrics["accuracy"] == pytest.approx(178 / 182)
    assert metrics["balanced_accuracy"] == metrics["balanced_error"] == 0.5
    assert task.metrics({**always_no, "error_of_1": (0.0, 4)})["balanced_error"] == 0


@pytest.mark.parametrize("negatives", ["replaced", "swapped"])
def test_parentheses(negatives):
    task = parentheses(negatives=negatives)
    for split, depths in {"train": range(1, 4), "valid": range(4, 6), "test": range(6, 8)}.items():
        words = task.words[split]
        balanced = [word for word, belongs in words if belongs]
        others = [word for word, belongs in words if not belongs]
        assert len(balanced) == len(set(balanced)) == len(others)
        assert {depth_of(word) for word in balanced} == set(depths)
        assert {depth_of(word) for word in others} == {None}
        assert max(map(len, balanced)) <= 60
        as_many = [word.count("(") == word.count(")") for word in others]
        assert as_many == [negatives == "swapped"] * len(others)


@pytest.mark.parametrize(("word", "depth"), [("", 0), ("ab", 0), ("(a)(())", 2), ("(", None), (")(", None)])
def test_depth(word, depth):
    assert depth_of(word) == depth


def test_palindromes():
    task = Palindrome(3, 6, 200, 200, 200, 16, 20, curriculum=0, data_seed=1)
    for split, lengths in {"train": range(2, 7), "valid": range(7, 13), "test": range(13, 25)}.items():
        words = task.words[split]
        assert {len(word) for word, _ in words} == set(lengths)
        assert all((word == word[::-1]) == belongs for word, belongs in words)
        assert sum(belongs for _, belongs in words) * 2 == len(words)
        wrong = [sum(a != b for a, b in zip(word, word[::-1], strict=True)) for word, belongs in words if not belongs]
        assert set(wrong) == {2}  # one letter, seen from both sides


def test_data_seed_draws_other_words():
    assert tomita(4).words["train"] != tomita(4, data_seed=1).words["train"]
    assert parentheses().words != parentheses(data_seed=1).words
    assert torch.equal(tomita(4).batch("train", 70).inputs, tomita(4).batch("train", 70).inputs)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"valid_depth": 3}, "train_depth, valid_depth and test_depth grow, and 3, 3, 7 do not"),
        ({"max_length": 14}, "a word of depth 7 has 15 symbols or more, not 14"),
        (
            {"valid_depth": 25, "test_depth": 30, "max_length": 61, "valid_size": 2},
            "there are too few words of depth 26 to 30",
        ),
        ({"data_seed": -1}, "task.data_seed is at least 0"),
    ],
)
def test_what_is_no_setting(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        parentheses(**settings)
