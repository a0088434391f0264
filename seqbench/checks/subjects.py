"""Small tasks with untrained learners, on which evaluations and analyses are checked: a text (read by an LSTM, and by a
searched cell), sentences with their translations, sequences that a network has made, words of a regular language, and a
made series.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seqbench.contracts.analysis import Weights
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.peers import Alone
from seqbench.contracts.task import SPLITS, Sums, Task
from seqbench.data.text.stream import TokenStream
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.embeddings.one_hot import OneHot
from seqbench.errors import ConfigError, UserError
from seqbench.evaluation.scoring import score
from seqbench.heads.direct import Direct
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.learners.seq2seq import PairBatch, PairInputs, build_seq2seq
from seqbench.models.other.spectral_rnn import SpectralRNN
from seqbench.models.recurrent.arma import ARMA
from seqbench.models.recurrent.cell_search import CellSearch
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.translation.rnn_attention import RNNAttention
from seqbench.tasks.forecast.process import MadeSeries
from seqbench.tasks.formal.tomita import Tomita
from seqbench.tasks.synthetic.input_output import InputOutput

N_TYPES = 9


@dataclass(frozen=True)
class Made:
    """A task, a learner for it in evaluation mode, and the (step, weights) of a short training."""

    task: Task
    learner: Learner
    trajectory: Callable[[], Iterator[tuple[int, Weights]]]

    def batches(self, split: str = "valid") -> Iterator[Batch]:
        """One pass over a split."""
        return (self.task.batch(split, index) for index in range(self.task.n_batches(split)))


class Words(Task):
    """One text of random words, read in windows by one row; a task of language modelling as evaluations see it."""

    continuous = True
    autoregressive = True

    def __init__(self, n_train: int = 1200, n_words: int = 90, window: int = 20):
        self.inputs, self.outputs = Inputs(n_tokens=N_TYPES), Outputs("classes", N_TYPES)
        self.version = {"name": "words", "version": 1, "data_sha256": None}
        draw = np.random.default_rng(0)
        sizes = {"train": n_train, "valid": n_words, "test": n_words}
        self.ids = {split: draw.integers(0, N_TYPES, sizes[split]).astype(np.uint16) for split in SPLITS}
        self.window = window

    def windows(self, split: str, batch_size: int, bptt: int) -> Iterator[Batch]:
        stream = TokenStream(self.ids[split], batch_size, bptt)
        for index in range(stream.n_windows):
            inputs, targets, reset = stream.window(index)
            yield Batch(inputs, targets, reset=reset)

    def token_counts(self) -> np.ndarray:
        return np.bincount(self.ids["train"], minlength=N_TYPES)

    def n_batches(self, split: str) -> int:
        return len([*self.windows(split, 1, self.window)])

    def batch(self, split: str, index: int) -> Batch:
        return [*self.windows(split, 1, self.window)][index % self.n_batches(split)]

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        return {name: total / count for name, (total, count) in sums.items() if count}


class Sentences(Task):
    """Pairs of random sentences, spelled by their ids; a task of translation as evaluations see it."""

    tokenized = True
    inputs: PairInputs

    def __init__(self, n_pairs: int = 5, length: int = 6):
        self.inputs = PairInputs(n_tokens=N_TYPES, n_source_tokens=N_TYPES, shared_vocabulary=True)
        self.outputs = Outputs("classes", N_TYPES)
        self.version = {"name": "sentences", "version": 1, "data_sha256": None}
        draw = torch.Generator().manual_seed(0)
        self.ids = {side: torch.randint(3, N_TYPES, (n_pairs, length), generator=draw) for side in ("source", "target")}

    def n_batches(self, split: str) -> int:
        return 2

    def batch(self, split: str, index: int) -> PairBatch:
        rows_B = torch.arange(len(self.ids["source"])).chunk(2)[index % 2]
        source_BS, target_BT = self.ids["source"][rows_B], self.ids["target"][rows_B]
        ends = torch.full((len(rows_B), 1), self.inputs.eos), torch.full((len(rows_B), 1), self.inputs.bos)
        inputs_BT, targets_BT = torch.cat([ends[1], target_BT], 1), torch.cat([target_BT, ends[0]], 1)
        valid_BS = torch.ones_like(source_BS, dtype=torch.bool)
        return PairBatch(inputs_BT, targets_BT, source=source_BS, source_valid_BS=valid_BS, rows_B=rows_B)

    def sentences(self, rows: Iterable[int], side: str) -> list[str]:
        return self.detokenize([self.ids[side][row].tolist() for row in rows])

    def detokenize(self, ids: Sequence[Sequence[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in ids]

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        nll, n_targets = sums["nll"]
        return {"nll": nll / n_targets}


def words() -> Made:
    """A text, and an LSTM in float64."""
    torch.manual_seed(0)
    network = Network(LearnedEmbedding(N_TYPES, 5, None), LSTM(5, 6), Softmax(6, N_TYPES)).double()
    return _trained(Words(), network)


def sentences() -> Made:
    """Translations, and an LSTM with attention in float64."""
    task = Sentences()
    torch.manual_seed(0)
    lstm = functools.partial(LSTM, hidden_size=6)
    learner = build_seq2seq(
        task.inputs,
        task.outputs,
        lambda n_tokens, n_features: LearnedEmbedding(n_tokens, 5, None),
        lambda d_input: RNNAttention(d_input, lstm, lstm, d_attention=4),
        Softmax,
    )
    return _trained(task, learner.double())


def input_output() -> Made:
    """Sequences that a network has made, and a network of its kind."""
    task = InputOutput(batch_size=200, eval_batch_size=20, train_size=600, valid_size=40, test_size=40)
    return _trained(task, SpectralRNN(task.inputs, task.outputs, hidden_size=3))


def regular() -> Made:
    """Words over 0 and 1, and a GRU in float64 that says whether they belong to a language."""
    task = Tomita(grammar=4, batch_size=100, eval_batch_size=200, curriculum=0, data_seed=0)
    torch.manual_seed(0)
    return _trained(task, Network(LearnedEmbedding(3, 5, None), GRU(5, 6), Softmax(6, 2), pool="last").double())


def made_series() -> Made:
    """A made series, and an ARMA cell."""
    task = MadeSeries(train_size=60, valid_size=20, test_size=20)
    torch.manual_seed(0)
    return _trained(task, Network(OneHot(None, 1), ARMA(1, p=2, q=1), Direct(1, 1)))


def searched_words() -> Made:
    """A text, and a recurrent cell in float64 that chooses its structure."""
    torch.manual_seed(0)
    network = Network(LearnedEmbedding(N_TYPES, 5, None), CellSearch(5, 6), Softmax(6, N_TYPES)).double()
    return _trained(Words(), network)


SUBJECTS = (words, sentences, input_output, regular, made_series, searched_words)


def suited(attempt: Callable[[Made], object], subjects: Iterable[Callable[[], Made]]) -> Made:
    """The first subject that `attempt` does not refuse by `UserError`, by which an evaluation or an analysis says what
    it is for. Raises `ConfigError` where there is none."""
    refusals: list[str] = []
    for make in subjects:
        try:
            attempt(make())
        except UserError as error:
            refusals.append(str(error))
            continue
        return make()
    raise ConfigError(
        f"The checks have no task for this class ({' '.join(refusals)}); name one, and a model: task=copy model=lstm."
    )


def _trained(task: Task, learner: Learner, n_steps: int = 3) -> Made:
    """A few steps of plain gradient descent."""
    steps: list[tuple[int, Weights]] = []
    learner.train()
    for step in range(1, n_steps + 1):
        loss, _, _ = learner(task.batch("train", step - 1))
        if loss.requires_grad:
            _descend(learner, loss)
        learner.after_step(Alone())
        steps.append((step, {name: value.clone() for name, value in learner.state_dict().items()}))
    return Made(task, learner.eval(), lambda: iter(steps))


def _descend(learner: Learner, loss: Any) -> None:
    learner.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in learner.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad)
    learner.zero_grad()
