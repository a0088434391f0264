"""The finite automaton that a trained network has become, read off its states as Wang and Niepert 2019 do.

arXiv 1901.08817. Every word of a split is read with the symbol that begins it, and n(q, a, q') counts how often symbol
a led from state q to q'. From the state after the begin on,

    move(q, a) = argmax_q' n(q, a, q')          q accepts if the head does, given the centre of q

The least q' wins a tie. A move that no word made leads to one state more, which rejects all that follows. The states
are the centroids of a state-regularised model, or clusters of the states of any other recurrent model (k-means, as in
Omlin and Giles 1996 and many after them).

Shapes: B batch, T time, D features of y, P prefixes of all words, K states.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from seqbench.analysis.clusters import k_means
from seqbench.contracts.analysis import Analysis, Figure, Graph, Outcome, Subject
from seqbench.contracts.batch import Batch
from seqbench.contracts.pytree import State, tree_map
from seqbench.contracts.ranges import Count, OneOf
from seqbench.contracts.task import SPLITS
from seqbench.data.formal.dfa import DFA, Sampler, counterexample, dot, edges, explored, minimal
from seqbench.data.random_bits import Draws
from seqbench.errors import UserError
from seqbench.learners.network import Network

_STREAM = 0xA070  # of the seed: the long words
_BATCH = 200  # words read at once
SINK = -1  # after a move that no word made


@runtime_checkable
class Regular(Protocol):
    """A task of words that belong to a regular language or not."""

    words: Mapping[str, Sequence[tuple[str, bool]]]  # of each split

    def automaton(self) -> DFA:
        """The language's minimal automaton."""
        ...

    def batch_of(self, words: Sequence[str]) -> Batch:
        """Words as the network reads them, each behind one symbol that begins it."""
        ...


@runtime_checkable
class FiniteStates(Protocol):
    """A backbone that has states of its own to choose from."""

    def states(self) -> Tensor:
        """(K, D), as the head reads them."""
        ...

    def state_ids(self, x: Tensor, state: State = None) -> Tensor:
        """(B, T): the state after each input."""
        ...


class Automaton(Analysis):
    """The automaton, minimised, against the language's own: equivalent or not, and how often it is right.

    - split: whose words are read to count transitions.
    - n_clusters: states of a model that has none of its own.
    - times_longer: it is tried on words of up to so many times the length of the longest training word.
    - n_lengths: so many lengths, evenly spaced.
    - n_words: of each length, half of them of the language; lengths at which all words or none are of it are left out.
    """

    def __init__(
        self,
        split: Annotated[str, OneOf(*SPLITS)] = "valid",
        n_clusters: Count = 10,
        times_longer: Count = 10,
        n_lengths: Count = 20,
        n_words: Count = 40,
    ):
        self.split, self.n_clusters = split, n_clusters
        self.times_longer, self.n_lengths, self.n_words = times_longer, n_lengths, n_words

    @torch.no_grad()
    def __call__(self, subject: Subject) -> Outcome:
        network, task = _subject(subject)
        truth, words = task.automaton(), [word for word, _ in task.words[self.split]]
        ids, accepting = self._states(network, task, words, subject.seed)
        extracted = extract(truth.alphabet, words, ids, accepting)
        found = minimal(extracted)
        difference = counterexample(found, truth)
        by_length = self._by_length(network, task, found, subject.seed)
        test = [word for word, _ in task.words["test"]]
        agreeing = [found.accepts(word) == said for word, said in zip(test, _said(network, task, test), strict=True)]
        numbers = {
            "equivalent": float(difference is None),
            "n_states": float(extracted.n_states),
            "n_minimal": float(found.n_states),
            "n_of_language": float(truth.n_states),
            "fidelity": sum(agreeing) / len(agreeing),
            **{f"{name}.accuracy": _mean([y for _, y in points]) for name, points in by_length.items()},
        }
        graph = Graph(found.n_states, found.start, sorted(found.accepting), edges(found))
        remark = "// equivalent to the language's automaton\n"
        if difference is not None:
            remark = f'// not the language\'s automaton: they differ on "{difference}"\n'
        figure = Figure("length of the words", "accuracy", by_length)
        return Outcome(numbers, {"longer_words": figure}, {"minimal": graph}, {"dot": remark + dot(found)})

    def _states(
        self, network: Network, task: Regular, words: Sequence[str], seed: int
    ) -> tuple[list[list[int]], list[bool]]:
        """The state after the begin and after each symbol of each word, and whether each state accepts."""
        backbone = network.backbone
        if isinstance(backbone, FiniteStates):
            ids = []
            for batch in _batches(network, task, words):
                ids_BT = backbone.state_ids(network.embedded(batch.inputs))
                ids += _rows(ids_BT, batch)
            return ids, _accepts(network, backbone.states())
        states_PS, features_PD = (torch.cat(parts) for parts in zip(*_prefixes(network, task, words), strict=True))
        cluster_P, centres_KS = k_means(states_PS, self.n_clusters, seed)
        n_clusters = len(centres_KS)
        n_points_K1 = cluster_P.bincount(minlength=n_clusters).clamp_min(1).unsqueeze(1)
        sums_KD = features_PD.new_zeros(n_clusters, features_PD.shape[1]).index_add_(0, cluster_P, features_PD)
        ids = [part.tolist() for part in cluster_P.split([1 + len(word) for word in words])]
        return ids, _accepts(network, sums_KD / n_points_K1)

    def _by_length(
        self, network: Network, task: Regular, found: DFA, seed: int
    ) -> dict[str, list[tuple[float, float]]]:
        """(length, accuracy) of the automaton and of the network."""
        longest = self.times_longer * max(len(word) for word, _ in task.words["train"])
        samplers = {belongs: Sampler(task.automaton(), belongs) for belongs in (True, False)}
        draws, points = Draws(seed, _STREAM), {"automaton": [], "network": []}
        for part in range(1, self.n_lengths + 1):
            length = max(1, longest * part // self.n_lengths)
            if not all(sampler.count(length) for sampler in samplers.values()):
                continue
            drawn = [(samplers[i % 2 == 0].draw(length, draws), i % 2 == 0) for i in range(max(2, self.n_words))]
            words = [word for word, _ in drawn]
            for name, said in (("automaton", map(found.accepts, words)), ("network", _said(network, task, words))):
                right = [answer == belongs for answer, (_, belongs) in zip(said, drawn, strict=True)]
                points[name].append((float(length), sum(right) / len(right)))
        return points


def extract(alphabet: str, words: Sequence[str], ids: Sequence[Sequence[int]], accepting: Sequence[bool]) -> DFA:
    """The automaton of the most frequent moves; `ids` are the states after the begin and after each symbol of a
    word."""
    counts: dict[tuple[int, str], Counter[int]] = {}
    for word, states in zip(words, ids, strict=True):
        for symbol, before, after in zip(word, states[:-1], states[1:], strict=True):
            counts.setdefault((before, symbol), Counter())[after] += 1
    best = {key: min(found, key=lambda q, found=found: (-found[q], q)) for key, found in counts.items()}
    return explored(
        alphabet,
        ids[0][0],
        lambda state, symbol: best.get((state, alphabet[symbol]), SINK),
        lambda state: state != SINK and accepting[state],
    )


def _subject(subject: Subject) -> tuple[Network, Regular]:
    learner, task = subject.learner, subject.task
    if not isinstance(task, Regular) or not isinstance(learner, Network):
        raise UserError(
            "analysis=automaton is for a network that says whether words belong to a regular language, not for the "
            f"task {task.version['name']}."
        )
    if not (learner.streams and learner.causal) or learner.pool != "last":
        raise UserError(
            "analysis=automaton is for a model that reads a word once and answers from its last state: one that "
            f"streams, with network.pool=last; {type(learner.backbone).__name__} with network.pool={learner.pool} "
            "does not."
        )
    return learner, task


def _batches(network: Network, task: Regular, words: Sequence[str]) -> list[Batch]:
    device = next(network.parameters()).device
    batches = [task.batch_of(words[first : first + _BATCH]) for first in range(0, len(words), _BATCH)]
    return [batch.map(lambda tensor: tensor.to(device)) for batch in batches]


def _rows(ids_BT: Tensor, batch: Batch) -> list[list[int]]:
    assert batch.inputs_valid_BT is not None
    lengths = batch.inputs_valid_BT.sum(1).tolist()
    return [ids[:length] for ids, length in zip(ids_BT.tolist(), lengths, strict=True)]


def _prefixes(network: Network, task: Regular, words: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """The model's whole state and its features after each prefix, in the words' order: parts of (P, S) and (P, D)."""
    parts = []
    for batch in _batches(network, task, words):
        state, states, features = None, [], []
        for t in range(batch.inputs.shape[1]):
            y_B1D, state = network.features(batch.inputs[:, t : t + 1], state)
            flat: list[Tensor] = []
            tree_map(lambda tensor, flat=flat: flat.append(tensor.flatten(1)) or tensor, state)
            states.append(torch.cat(flat, 1))
            features.append(y_B1D[:, 0])
        if len({tensor.shape for tensor in states}) > 1:
            raise UserError("analysis=automaton needs a state of fixed size, and this model's grows with the word.")
        valid_BT = batch.inputs_valid_BT
        parts.append((torch.stack(states, 1)[valid_BT].double(), torch.stack(features, 1)[valid_BT]))
    return parts


def _accepts(network: Network, y_KD: Tensor) -> list[bool]:
    """What the head says of features."""
    z_KC = y_KD if network.head.readout is None else network.head.readout(y_KD)
    return network.head.log_probs(z_KC).argmax(-1).bool().tolist()


def _said(network: Network, task: Regular, words: Sequence[str]) -> list[bool]:
    """What the network says of words."""
    answers = [network.head.log_probs(network.outputs(batch)[0]).argmax(-1) for batch in _batches(network, task, words)]
    return torch.cat(answers).bool().tolist()


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)
