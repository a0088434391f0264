"""Experiments have the parameters that their papers give: three digits, which do not show whether an LSTM's gate has
one bias, as TensorFlow's has, or two, as torch's."""

import pytest
import torch

from seqbench.compose import composed
from seqbench.engine.run import _build_network
from seqbench.tasks.task import Task
from seqbench.types import TaskIO

SIZES = {
    "ptb_word/lstm_small": (10_000, 4.65),
    "ptb_word/lstm_medium": (10_000, 19.8),
    "ptb_word/lstm_large": (10_000, 66.0),
    "ptb_word/awd_lstm": (10_000, 24.2),
    "ptb_word/deq_trellisnet": (10_000, 24.2),
    "wikitext103/gcnn_14": (267_735, 229),
    "wikitext103/deq_transformer_small": (267_735, 138),
    "wikitext103/deq_transformer_medium": (267_735, 97.7),  # 98 in the paper of 2021
}


@pytest.mark.parametrize("name", SIZES)
def test_an_experiments_parameters(name):
    n_words, millions = SIZES[name]
    task = Task()
    task.io = TaskIO(n_outputs=n_words, n_tokens=n_words)
    with torch.device("meta"):
        network = _build_network(composed([f"experiment={name}"]), task)
    assert float(f"{network.count_parameters()['total'] / 1e6:.3g}") == millions
