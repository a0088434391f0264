"""Deterministic finite automata: run, minimised, compared, and words of a language drawn uniformly.

Minimisation refines a partition (Moore 1956); two automata are compared by a search of their product, whose first
difference is a shortest one (Hopcroft and Karp 1971).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seqbench.data.random_bits import Draws


@dataclass(frozen=True)
class DFA:
    """A complete automaton. State q goes by symbol number a of the `alphabet`, a character each, to moves[q][a]; the
    states are 0, 1, ... Raises `ValueError` for a table that is not complete."""

    alphabet: str
    moves: tuple[tuple[int, ...], ...]
    accepting: frozenset[int]
    start: int = 0

    def __post_init__(self) -> None:
        states = range(len(self.moves))
        complete = all(len(row) == len(self.alphabet) and all(q in states for q in row) for row in self.moves)
        if not complete or self.start not in states or not all(q in states for q in self.accepting):
            raise ValueError(
                f"{len(self.moves)} states over {self.alphabet!r} with moves {self.moves} are no automaton"
            )

    @property
    def n_states(self) -> int:
        return len(self.moves)

    def end(self, word: str) -> int:
        """The state in which a word ends."""
        state = self.start
        for symbol in word:
            state = self.moves[state][self.alphabet.index(symbol)]
        return state

    def accepts(self, word: str) -> bool:
        return self.end(word) in self.accepting


def from_table(alphabet: str, table: Sequence[str], accepting: Iterable[int]) -> DFA:
    """The automaton whose state q has the successors table[q], a digit for each symbol."""
    return DFA(alphabet, tuple(tuple(map(int, row)) for row in table), frozenset(accepting))


def explored(alphabet: str, start: int, move: Callable[[int, int], int], accepts: Callable[[int], bool]) -> DFA:
    """The automaton of the states that are reached from `start` by `move`(state, symbol's number), numbered as a
    breadth-first search meets them."""
    numbers, order, moves = {start: 0}, [start], []
    for state in order:
        row = []
        for symbol in range(len(alphabet)):
            after = move(state, symbol)
            if after not in numbers:
                numbers[after] = len(order)
                order.append(after)
            row.append(numbers[after])
        moves.append(tuple(row))
    return DFA(alphabet, tuple(moves), frozenset(numbers[state] for state in order if accepts(state)))


def minimal(dfa: DFA) -> DFA:
    """The smallest automaton of the same language, its states numbered breadth first: equal for equal languages."""
    classes = [int(state in dfa.accepting) for state in range(dfa.n_states)]
    while True:
        signatures = [(classes[q], *(classes[after] for after in dfa.moves[q])) for q in range(dfa.n_states)]
        numbers = {signature: number for number, signature in enumerate(dict.fromkeys(signatures))}
        refined = [numbers[signature] for signature in signatures]
        if len(numbers) == len(set(classes)):
            break
        classes = refined
    member = {number: state for state, number in reversed(list(enumerate(refined)))}
    return explored(
        dfa.alphabet,
        refined[dfa.start],
        lambda number, symbol: refined[dfa.moves[member[number]][symbol]],
        lambda number: member[number] in dfa.accepting,
    )


def counterexample(dfa: DFA, other: DFA) -> str | None:
    """A shortest word that one of two automata accepts and the other does not; None where they are equivalent."""
    if dfa.alphabet != other.alphabet:
        raise ValueError(f"automata over {dfa.alphabet!r} and {other.alphabet!r} cannot be compared")
    words = {(dfa.start, other.start): ""}
    pairs = list(words)
    for pair in pairs:
        if (pair[0] in dfa.accepting) != (pair[1] in other.accepting):
            return words[pair]
        for symbol, letter in enumerate(dfa.alphabet):
            after = (dfa.moves[pair[0]][symbol], other.moves[pair[1]][symbol])
            if after not in words:
                words[after] = words[pair] + letter
                pairs.append(after)
    return None


class Sampler:
    """Draws words that an automaton accepts, or those that it does not, all words of a length alike."""

    def __init__(self, dfa: DFA, accepted: bool):
        self.dfa = dfa
        self._counts = [[int((state in dfa.accepting) == accepted) for state in range(dfa.n_states)]]

    def count(self, length: int) -> int:
        """How many words of a length there are."""
        return self._from(self.dfa.start, length)

    def draw(self, length: int, draws: Draws) -> str:
        """One of them. Raises `ValueError` where there is none."""
        rank, state, letters = draws.below(self.count(length)), self.dfa.start, []
        for left in reversed(range(length)):
            for symbol, after in enumerate(self.dfa.moves[state]):
                n_words = self._from(after, left)
                if rank < n_words:
                    letters.append(self.dfa.alphabet[symbol])
                    state = after
                    break
                rank -= n_words
        return "".join(letters)

    def _from(self, state: int, length: int) -> int:
        """Words of a length that lead from a state to where they should."""
        while len(self._counts) <= length:
            last = self._counts[-1]
            self._counts.append([sum(last[after] for after in row) for row in self.dfa.moves])
        return self._counts[length][state]


def dot(dfa: DFA) -> str:
    """The automaton in Graphviz's language; accepting states have two circles."""
    lines = ["digraph automaton {", "  rankdir=LR;", '  start [shape=none, label=""];']
    for state in range(dfa.n_states):
        lines.append(f"  {state} [shape={'doublecircle' if state in dfa.accepting else 'circle'}];")
    lines.append(f"  start -> {dfa.start};")
    lines += [f'  {before} -> {after} [label="{label}"];' for before, after, label in edges(dfa)]
    return "\n".join([*lines, "}", ""])


def edges(dfa: DFA) -> list[tuple[int, int, str]]:
    """(state, successor, symbols that lead there), in order."""
    labels: dict[tuple[int, int], list[str]] = {}
    for state, row in enumerate(dfa.moves):
        for symbol, after in enumerate(row):
            labels.setdefault((state, after), []).append(dfa.alphabet[symbol])
    return [(*pair, ",".join(symbols)) for pair, symbols in labels.items()]
