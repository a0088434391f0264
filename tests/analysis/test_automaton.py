"""The automaton of a network: exact on one that is an automaton, and what it is refused for."""

import functools

import pytest
import torch
from torch import nn

from seqbench.analysis.automaton import Automaton, extract
from seqbench.analysis.clusters import k_means
from seqbench.checks.analyses import check_analysis
from seqbench.contracts.analysis import Subject
from seqbench.contracts.backbone import Backbone
from seqbench.data.formal.dfa import counterexample, from_table, minimal
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.embeddings.one_hot import OneHot
from seqbench.errors import UserError
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.wrappers.bidirectional import Bidirectional
from seqbench.models.wrappers.state_regularized import StateRegularized
from seqbench.tasks.formal.palindrome import Palindrome
from seqbench.tasks.formal.tomita import AUTOMATA, Tomita

FEW = {"n_lengths": 4, "n_words": 10}


class Machine(Backbone):
    """An automaton as a network: its state is a row of the identity, which the symbol's matrix moves. The symbol that
    begins a word leads to the start."""

    def __init__(self, dfa):
        super().__init__()
        n, self.d_output = dfa.n_states, dfa.n_states
        moves = [[row[symbol] for row in dfa.moves] for symbol in range(len(dfa.alphabet))] + [[dfa.start] * n]
        self.moves_ASS = nn.Parameter(torch.stack([torch.eye(n)[row] for row in moves]).double())

    def forward(self, x, state=None):
        h_BS = self.moves_ASS.new_zeros(len(x), self.d_output) if state is None else state
        h_BS = h_BS if state is not None else torch.ones_like(h_BS) / self.d_output
        outputs = []
        for id_B in x.unbind(1):
            h_BS = torch.einsum("bs,bst->bt", h_BS, self.moves_ASS[id_B])
            outputs.append(h_BS)
        return torch.stack(outputs, 1), h_BS, None


class NamedStates(Machine):
    """The same, which says which states it has."""

    def states(self):
        return torch.eye(self.d_output, dtype=torch.float64)

    def state_ids(self, x, state=None):
        return self(x, state)[0].argmax(-1)


def tomita(grammar):
    return Tomita(grammar, batch_size=32, eval_batch_size=100, curriculum=0, data_seed=0)


def subject_of(task, backbone, dfa=None, embedding=None, pool="last"):
    head = Softmax(backbone.d_output, 2)
    if dfa is not None:
        signs = torch.tensor([1.0 if state in dfa.accepting else -1.0 for state in range(dfa.n_states)])
        head.linear.weight.data = torch.stack([-signs, signs])
    embedding = embedding or OneHot(n_tokens=task.inputs.n_tokens, n_features=None)
    return Subject(task, Network(embedding, backbone, head, pool=pool).double().eval(), 0, lambda: iter(()))


@pytest.mark.parametrize("machine", [Machine, NamedStates])
@pytest.mark.parametrize("grammar", AUTOMATA)
def test_an_automaton_comes_out_as_it_is(grammar, machine):
    dfa = AUTOMATA[grammar]
    outcome = Automaton(**FEW)(subject_of(tomita(grammar), machine(dfa), dfa))
    n = float(dfa.n_states)
    expected = {"equivalent": 1.0, "n_states": n, "n_minimal": n, "n_of_language": n, "fidelity": 1.0}
    assert outcome.numbers == {**expected, "automaton.accuracy": 1.0, "network.accuracy": 1.0}
    graph = outcome.graphs["minimal"]
    assert (graph.n_states, graph.start, set(graph.accepting)) == (dfa.n_states, 0, dfa.accepting)
    assert outcome.texts["dot"].startswith("// equivalent to the language's automaton\ndigraph")


def test_another_language_is_told_apart_by_a_shortest_word():
    outcome = Automaton(**FEW)(subject_of(tomita(4), NamedStates(AUTOMATA[7]), AUTOMATA[7]))
    shortest = counterexample(AUTOMATA[7], AUTOMATA[4])
    assert outcome.numbers["equivalent"] == 0.0 and outcome.numbers["fidelity"] == 1.0
    assert f'they differ on "{shortest}"' in outcome.texts["dot"]
    assert outcome.numbers["automaton.accuracy"] == outcome.numbers["network.accuracy"] < 1


def test_the_most_frequent_move_is_taken_and_the_least_of_a_tie():
    words = ["ab", "ab", "ab", "b", "b"]
    ids = [[4, 3, 8], [4, 1, 2], [4, 1, 2], [4, 7], [4, 5]]
    dfa = extract("ab", words, ids, [state in (2, 5) for state in range(9)])
    # 4 goes by a to 1, twice of thrice, and by b to 5 rather than 7; all that was never read leads to a sink
    assert dfa.n_states == 5
    assert minimal(dfa) == from_table("ab", ["12", "32", "33", "33"], [2])


def test_longer_words_are_as_long_as_asked():
    outcome = Automaton(times_longer=3, **FEW)(subject_of(tomita(2), NamedStates(AUTOMATA[2]), AUTOMATA[2]))
    lengths = [x for x, _ in outcome.figures["longer_words"].lines["automaton"]]
    assert lengths == [16.0, 66.0]  # of 16, 33, 49 and 66, those that words of (10)* have


def test_the_contract_around_a_state_regularized_lstm():
    torch.manual_seed(0)
    backbone = StateRegularized(4, functools.partial(LSTM, hidden_size=5), n_states=6)
    check_analysis(Automaton(**FEW), subject_of(tomita(1), backbone, embedding=LearnedEmbedding(3, 4, None)))


def test_an_lstm_is_clustered_by_hidden_and_cell():
    torch.manual_seed(0)
    found = Automaton(n_clusters=7, **FEW)(subject_of(tomita(1), LSTM(3, hidden_size=4)))
    assert 1 <= found.numbers["n_minimal"] <= found.numbers["n_states"] <= 8  # and a sink


def test_clusters_are_found_and_the_same_again():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]], dtype=torch.float64)
    points = torch.cat([centre + 0.1 * torch.randn(30, 2, generator=generator) for centre in centres])
    cluster, means = k_means(points, 4, seed=3)
    assert [len(part.unique()) for part in cluster.split(30)] == [1] * 4 and len(cluster.unique()) == 4
    for part, points_of in zip(cluster.split(30), points.split(30), strict=True):
        torch.testing.assert_close(means[part[0]], points_of.mean(0))
    assert torch.equal(k_means(points, 4, seed=3)[1], means)
    assert len(k_means(points[:1].repeat(9, 1), 4, seed=0)[1]) == 1


def test_what_it_is_not_for():
    palindromes = Palindrome(2, 6, 20, 20, 20, 10, 10, 0, 0)
    with pytest.raises(UserError, match=r"a regular language, not for the task palindrome\.$"):
        Automaton()(subject_of(palindromes, LSTM(3, hidden_size=4)))
    both = Bidirectional(3, functools.partial(LSTM, hidden_size=4))
    with pytest.raises(UserError, match=r"Bidirectional with network\.pool=last does not"):
        Automaton()(subject_of(tomita(1), both))
    with pytest.raises(UserError, match=r"LSTM with network\.pool=mean does not"):
        Automaton()(subject_of(tomita(1), LSTM(3, hidden_size=4), pool="mean"))
