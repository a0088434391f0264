"""The contract of every schedule of conf/schedule. A new one is a row of SCHEDULES."""

import pytest

from seqbench.checks.schedules import check_schedule
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.contracts.schedule import Schedule
from seqbench.engine.assemble import instantiate

SCHEDULES = ["constant", "cosine", "epoch_decay", "inverse_sqrt", "plateau"]
MAX_STEPS = 1000


def test_every_schedule_has_a_row():
    assert options("schedule") == SCHEDULES


@pytest.mark.parametrize("name", SCHEDULES)
def test_contract(name):
    node = composed([f"schedule={name}"]).schedule
    check_schedule(instantiate("schedule", node, max_steps=MAX_STEPS, steps_per_epoch=37.5), MAX_STEPS)


def test_a_schedule_that_remembers_is_noticed():
    class Remembering(Schedule):
        def __init__(self):
            self.n_calls = 0

        def __call__(self, step, history):
            self.n_calls += 1
            return 1.0 / self.n_calls

    with pytest.raises(AssertionError, match="gives other factors"):
        check_schedule(Remembering(), MAX_STEPS)
