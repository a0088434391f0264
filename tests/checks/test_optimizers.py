"""The contract of every optimizer of conf/optimizer. A new one is a row of OPTIMIZERS."""

import pytest
import torch

from seqbench.checks.optimizers import check_it_resumes, check_optimizer
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.contracts.peers import Alone
from seqbench.contracts.task import Sampling
from seqbench.engine.assemble import instantiate

OPTIMIZERS = {  # settings beside the YAML's
    "adafactor": [],
    "adam": [],
    "adamw": [],
    "dp_sgd": ["optimizer.noise=0.1"],
    "ekfac": ["optimizer.basis_every=2", "optimizer.damping=1.0", "optimizer.scaling_decay=0.5"],
    "kfac": ["optimizer.basis_every=2", "optimizer.damping=1.0"],
    "lion": [],
    "nt_asgd": ["optimizer.lr=0.01"],
    "rmsprop": [],
    "noisy_rmsprop": ["optimizer.noise=0.01"],
    "rmsprop_tf": [],
    "sgd": [],
    "shift_adamax": [],
    "stiefel": ["optimizer.rms_decay=0.9", "optimizer.unitary_every=4"],
}


def make_of(name):
    node = dict(composed([f"optimizer={name}", *OPTIMIZERS[name]]).optimizer)
    del node["groups"]
    derived = {"peers": Alone(), "sampling": Sampling(n_rows=50, rows_per_step=5)}
    return lambda parameters, learner: instantiate("optimizer", node, params=parameters, network=learner, **derived)


def test_every_optimizer_has_a_row():
    assert set(options("optimizer")) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_contract(name):
    check_optimizer(make_of(name))


def test_a_forgotten_state_is_noticed():
    class Forgetful(torch.optim.SGD):
        def state_dict(self):
            return {**super().state_dict(), "state": {}}

    with pytest.raises(AssertionError, match="a resumed optimizer goes on otherwise"):
        check_it_resumes(lambda parameters, _: Forgetful(parameters, lr=0.1, momentum=0.9))
