"""Automata: what they accept, the smallest ones, shortest words on which two differ, words drawn uniformly."""

import itertools
from collections import Counter

import pytest

from seqbench.data.formal.dfa import DFA, Sampler, counterexample, dot, edges, from_table, minimal
from seqbench.data.random_bits import Draws

EVEN = from_table("ab", ["10", "01"], [0])  # an even number of a
NO_AAA = from_table("ab", ["10", "20", "30", "33"], [0, 1, 2])
# EVEN with each state twice, and a fifth that nothing leads to
DOUBLED = DFA("ab", ((1, 2), (2, 3), (3, 0), (0, 1), (4, 4)), frozenset({0, 2, 4}))
RING = DFA("ab", ((1, 1), (2, 2), (3, 3), (0, 0)), frozenset({0, 2}), start=2)  # even lengths
TURNED = DFA("ab", ((3, 1), (0, 2), (1, 3), (2, 0)), frozenset({0, 2}))  # even lengths, too


def words(longest, alphabet="ab"):
    return ["".join(word) for n in range(longest + 1) for word in itertools.product(alphabet, repeat=n)]


def by_hand(word):
    return word.count("a") % 2 == 0


def test_it_runs():
    assert [word for word in words(6) if EVEN.accepts(word)] == [word for word in words(6) if by_hand(word)]
    assert EVEN.end("") == 0 and EVEN.end("ba") == 1


def test_the_smallest_is_the_same_for_all_of_a_language():
    assert minimal(RING) == minimal(TURNED) == from_table("ab", ["11", "00"], [0])
    assert minimal(DOUBLED) == EVEN and minimal(NO_AAA) == NO_AAA
    for dfa in (EVEN, DOUBLED, RING, TURNED):
        small = minimal(dfa)
        assert minimal(small) == small and small.n_states <= dfa.n_states
        assert all(small.accepts(word) == dfa.accepts(word) for word in words(7))


def test_all_or_nothing_is_one_state():
    nothing = DFA("ab", ((1, 2), (2, 0), (1, 1)), frozenset())
    everything = DFA("ab", ((1, 2), (2, 0), (1, 1)), frozenset({0, 1, 2}))
    assert minimal(nothing).n_states == minimal(everything).n_states == 1
    assert counterexample(nothing, everything) == ""


def test_the_counterexample_is_a_shortest_word():
    no_aaaa = from_table("ab", ["10", "20", "30", "40", "44"], [0, 1, 2, 3])
    assert counterexample(NO_AAA, no_aaaa) == "aaa"
    for first, second in itertools.product([EVEN, DOUBLED, NO_AAA, no_aaaa], repeat=2):
        differing = [word for word in words(8) if first.accepts(word) != second.accepts(word)]
        found = counterexample(first, second)
        assert (found is None) == (not differing)
        assert found is None or (found in differing and len(found) == len(differing[0]))
    with pytest.raises(ValueError, match="cannot be compared"):
        counterexample(EVEN, from_table("01", ["10", "01"], [0]))


def test_words_are_drawn_uniformly():
    draws = Draws(0, 0)
    for accepted in (True, False):
        sampler = Sampler(EVEN, accepted)
        possible = [word for word in words(4) if len(word) == 4 and by_hand(word) == accepted]
        assert sampler.count(4) == len(possible) == 8
        counts = Counter(sampler.draw(4, draws) for _ in range(8000))
        assert set(counts) == set(possible)
        # chi-squared with 7 degrees of freedom: 24.3 has probability 0.001
        assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 24.3
    long = Sampler(EVEN, True).draw(300, draws)  # counts far beyond 64 bits
    assert len(long) == 300 and EVEN.accepts(long)


def test_what_cannot_be_drawn_is_said():
    everything = from_table("ab", ["00"], [0])
    with pytest.raises(ValueError, match="nothing to draw from"):
        Sampler(everything, False).draw(3, Draws(0, 0))


def test_draws_are_equally_likely_and_their_stream_s_own():
    draws, huge = Draws(3, 1), 10**40
    values = [draws.below(huge) for _ in range(2000)]
    assert all(0 <= value < huge for value in values) and len(set(values)) == 2000
    assert sum(values) / 2000 / huge == pytest.approx(0.5, abs=0.02)  # standard error 0.0065
    assert [Draws(3, 1).below(huge), Draws(3, 2).below(huge)] != [Draws(3, 2).below(huge)] * 2
    assert Draws(3, 1).below(huge) == values[0]


def test_graphviz_text():
    assert edges(from_table("ab", ["11", "01"], [1])) == [(0, 1, "a,b"), (1, 0, "a"), (1, 1, "b")]
    text = dot(EVEN)
    assert text.startswith("digraph automaton {") and text.count("{") == text.count("}") == 1
    assert "0 [shape=doublecircle];" in text and "1 [shape=circle];" in text and '0 -> 1 [label="a"];' in text


@pytest.mark.parametrize("moves", [((0,),), ((0, 2), (1, 1)), ((0, -1),)])
def test_a_table_that_is_not_complete(moves):
    with pytest.raises(ValueError, match="are no automaton"):
        DFA("ab", moves, frozenset())
