"""The contract of learners: of the models that are one themselves, of the network around a backbone, and one that
breaks it, which is noticed by a sentence on the law that does not hold."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.checks.learners import check_learner, checks
from seqbench.config.nodes import options
from seqbench.config.targets import class_at
from seqbench.contracts.learner import Learner
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.errors import ConfigError
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import build_network
from seqbench.models.other.spectral_rnn import SpectralRNN
from seqbench.models.recurrent.gru import GRU


def around_a_backbone(inputs, outputs):
    embedding = lambda n_tokens, n_features: LearnedEmbedding(n_tokens, 5, None)
    return build_network(inputs, outputs, embedding, functools.partial(GRU, hidden_size=7), Softmax)


LEARNERS = {"network": around_a_backbone, "spectral_rnn": functools.partial(SpectralRNN, hidden_size=3)}


def test_every_model_that_is_a_learner_has_a_row():
    from seqbench.config.compose import composed

    classes = {name: class_at("model", composed([f"model={name}"]).model["_target_"]) for name in options("model")}
    assert {name for name, cls in classes.items() if issubclass(cls, Learner)} == LEARNERS.keys() - {"network"}


@pytest.mark.parametrize("name", LEARNERS)
def test_contract(name):
    check_learner(LEARNERS[name])


class Sums(Learner):
    """Predicts a token by the sum of the features of those so far; wrong in one way."""

    def __init__(self, inputs, outputs, fault=None):
        super().__init__()
        if inputs.n_tokens is None or outputs.kind != "classes" or outputs.per != "step":
            raise ValueError("Sums reads and predicts tokens")
        self.fault = fault
        self.table = nn.Parameter(torch.randn(inputs.n_tokens, outputs.size))
        self.idle = nn.Parameter(torch.ones(2)) if fault == "idle" else None
        self.n_batches = 0
        self.register_buffer("noise", torch.zeros(()))

    def forward(self, batch, state=None):
        if self.fault == "blind":
            z_BTC = self.table.sum(0).expand(*batch.inputs.shape, -1).contiguous()
        else:
            z_BTC = F.embedding(batch.inputs, self.table).cumsum(1)
        if state is not None and self.fault != "forgets":
            z_BTC = z_BTC + state[:, None]
        losses_BT = F.cross_entropy(z_BTC.transpose(1, 2), batch.targets, reduction="none")
        if batch.valid_BT is not None and self.fault != "scores padding":
            losses_BT = losses_BT * batch.valid_BT
        loss = losses_BT.mean() if self.fault == "mean" else losses_BT.sum()
        if self.fault == "vector":
            loss = losses_BT.sum(1)
        if self.fault == "random":
            loss = loss + torch.rand(())
        if self.fault == "learns from tests":
            self.noise += 1
        if self.fault in ("no graph", "unsaved"):
            loss = loss.detach()
        if self.fault == "unsaved":
            loss = loss + self.n_batches
        return loss, z_BTC[:, -1], None

    def after_step(self, peers):
        self.n_batches += 1

    def diagnostics(self):
        return {"n": (1.0, 1.0)} if self.fault == "diagnostics" else {}


FAULTS = [
    ("vector", "loss", r"the loss has the shape \(4,\), and is no sum"),
    ("blind", "loss", "the loss does not depend on the inputs"),
    ("scores padding", "scored targets", "the losses of two sets of scored targets do not add up"),
    ("mean", "rows", "the losses of single rows do not add up"),
    ("forgets", "chunked equals full", "cut after step 1, a sequence has another loss"),
    ("random", "evaluating", "in evaluation mode the same batch has another loss the second time"),
    ("learns from tests", "evaluating", "in evaluation mode a batch changes noise"),
    ("idle", "learning", "idle has no gradient"),
    ("no graph", "learning", "the loss has no graph, and after_step changes nothing"),
    ("unsaved", "saving and loading", "the loaded model computes something else"),
    ("diagnostics", "diagnostics", "reading the diagnostics does not reset them"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_fault_is_noticed(fault, name, sentence):
    checks(Sums)[name]()
    with pytest.raises(AssertionError, match=sentence):
        checks(functools.partial(Sums, fault=fault))[name]()


def test_one_that_takes_nothing_says_why():
    with pytest.raises(ConfigError, match=r"8 of each: SpectralRNN maps real .*; or: hidden_size=9 is above"):
        checks(functools.partial(SpectralRNN, hidden_size=9))
