"""A translation model that breaks its contract is noticed, by a sentence on the law that does not hold."""

import pytest
import torch
from torch import nn

from seqbench.checks.encoder_decoders import check_encoder_decoder, checks
from seqbench.contracts.encoder_decoder import EncoderDecoder

D = 5


class Averaging(EncoderDecoder):
    """The mean of the source beside the sum of the target so far: attention that is the same everywhere."""

    def __init__(self, fault=None):
        super().__init__()
        self.fault, self.d_output = fault, D
        self.source, self.target = nn.Parameter(torch.ones(D)), nn.Parameter(torch.ones(D))
        self.idle = nn.Parameter(torch.ones(D)) if fault == "gradients" else None

    def encode(self, x_BSD, valid_BS):
        weight_BS = torch.ones_like(x_BSD[..., 0]) if self.fault == "padding" else valid_BS.to(x_BSD.dtype)
        share_BS = weight_BS / weight_BS.sum(1, keepdim=True)
        mean_BD = (share_BS[..., None] * x_BSD).sum(1)
        if self.fault == "mixed sentences":
            mean_BD = mean_BD.mean(0, keepdim=True).expand_as(mean_BD)
        if self.fault == "no source":
            mean_BD = torch.zeros_like(mean_BD) * mean_BD
        if self.fault == "batch second":
            return {"mean": mean_BD, "share": share_BS.T}, None
        return {"mean": mean_BD, "share": share_BS}, None

    def decode(self, x_BTD, memory, state=None):
        before_BD = torch.zeros_like(memory["mean"]) if state is None or self.fault == "memory" else state["sum"]
        sum_BTD = (x_BTD * self.target).cumsum(1) + before_BD[:, None]
        y_BTD = sum_BTD + self.source * memory["mean"][:, None]
        if self.fault == "future":
            y_BTD = y_BTD + x_BTD.mean(1, keepdim=True)
        n_steps = 1 if self.fault == "coverage" else x_BTD.shape[1]
        share_BS = memory["share"].T if self.fault == "batch second" else memory["share"]
        coverage_BS = n_steps * share_BS + (0 if state is None else state["coverage"])
        return y_BTD, {"sum": sum_BTD[:, -1], "coverage": coverage_BS}, None


def test_what_keeps_it_passes():
    check_encoder_decoder(Averaging, D)


FAULTS = [
    ("batch second", "shapes", r"the first axes of the memory are \[3, 5\], not the batch of 3"),
    ("memory", "chunked equals full", r"cut after 1, a target gives other outputs: they are up to \S+ apart$"),
    ("future", "causality", "outputs depend on later positions of the target: they are up to"),
    ("padding", "source and padding", "padding of the source changes the outputs"),
    ("no source", "source and padding", "the outputs do not depend on the source"),
    ("mixed sentences", "rows", "a row's outputs depend on the rows beside it"),
    ("coverage", "coverage", "the coverage of 6 positions of the target does not sum to 6"),
    ("gradients", "gradients", "idle has no gradient"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_fault_is_noticed(fault, name, sentence):
    with pytest.raises(AssertionError, match=sentence):
        checks(lambda: Averaging(fault), D)[name]()
