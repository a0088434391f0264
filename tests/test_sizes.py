"""Experiments have the parameters that their papers give: three digits, which do not show whether an LSTM's gate has
one bias, as TensorFlow's has, or two, as torch's."""

from dataclasses import replace

import pytest
import torch

from seqbench.config.compose import composed
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import count_parameters
from seqbench.contracts.task import Task
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import Split
from seqbench.engine.assemble import assemble_learner
from seqbench.engine.distributed import World
from seqbench.engine.run import train

SIZES = {
    "ptb_word/lstm_small": (10_000, 4.65),
    "ptb_word/lstm_medium": (10_000, 19.8),
    "ptb_word/lstm_large": (10_000, 66.0),
    "ptb_word/awd_lstm": (10_000, 24.2),
    "ptb_word/deq_trellisnet": (10_000, 24.2),
    "wikitext103/gated_cnn/gcnn_14": (267_735, 229),
    "wikitext103/deq_transformer_small": (267_735, 138),
    "wikitext103/deq_transformer_medium": (267_735, 97.7),  # 98 in the paper of 2021
}


@pytest.mark.parametrize("name", SIZES)
def test_an_experiments_parameters(name):
    n_words, millions = SIZES[name]
    task = Task()
    task.inputs, task.outputs = Inputs(n_tokens=n_words), Outputs("classes", n_words)
    with torch.device("meta"):
        network = assemble_learner(composed([f"experiment={name}"]), task)
    assert float(f"{count_parameters(network)['total'] / 1e6:.3g}") == millions


@pytest.fixture
def every_word(tmp_path, monkeypatch) -> None:
    """WikiText-103 is a text, in tmp_path, that has each of its 267,735 words once."""
    words = ["<unk>", *(f"word{rank}" for rank in range(SIZES["wikitext103/gated_cnn/gcnn_14"][0] - 2))]  # and <eos>
    lines = {"train": [words[first : first + 40] for first in range(0, len(words), 40)]}
    lines |= {split: [words[:9]] * 10 for split in ("valid", "test")}
    splits = {}
    for split, rows in lines.items():
        (tmp_path / f"{split}.txt").write_text("".join(f" {' '.join(row)} \n" for row in rows))
        splits[split] = Split((split,), (), None, len(rows), sum(len(row) + 1 for row in rows))
    corpus = replace(CORPORA["wikitext103"], splits=splits, folders=(".",))
    monkeypatch.setitem(CORPORA, "wikitext103", corpus)


@pytest.mark.slow
@pytest.mark.usefixtures("every_word")
@pytest.mark.parametrize("name", [name for name in SIZES if name.startswith("wikitext103/")])
def test_a_model_of_the_published_size_trains(name, tmp_path):
    """Two steps on windows of few tokens, an equilibrium model's second with its solver."""
    settings = ["task.batch_size=2", "task.bptt=20", "train.max_steps=2", "train.eval_every=2", "train.threads=1"]
    if "/deq_" in name:
        settings.append("model.equilibrium.pretrain_steps=1")
    places = [f"{place}={tmp_path}" for place in ("data_dir", "output_dir", "results_dir")]
    config = composed([f"experiment={name}", *settings, *places])
    record = train(config, World(config.train))
    assert float(f"{record['parameters']['total'] / 1e6:.3g}") == SIZES[name][1]
    assert record["steps"] == 2
    assert record["metrics"]["test"]["n_targets"] == 100
    assert 0 < record["metrics"]["test"]["nll"] < 25  # at random ln 20,003 for a band and ln 160,000 for a word there
    if "/deq_" in name:
        assert record["metrics"]["test"]["forward_evaluations"] == 30  # two steps do not make it contract
