"""Learning-rate schedules against the formulas of their papers, as factors on the rate."""

import math

import pytest

from seqbench.optim.schedules import Constant, Cosine, EpochDecay, InverseSqrt, Plateau


def factors(schedule, steps, history=()):
    return [schedule(step, history) for step in steps]


def test_constant():
    assert factors(Constant(), [0, 10**6]) == [1.0, 1.0]


def test_epoch_decay_holds_for_the_flat_epochs_then_falls_once_an_epoch():
    schedule = EpochDecay(steps_per_epoch=10, flat_epochs=2, divide_by=2.0)
    assert factors(schedule, [0, 9, 10, 19, 20, 29, 30, 45]) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.125]


def test_inverse_sqrt_is_the_transformers_rate():
    """Vaswani et al. 2017, section 5.3: d^-0.5 min(t^-0.5, t warmup^-1.5), here over its peak."""
    warmup, d = 4000, 512
    schedule, peak = InverseSqrt(warmup), (d * warmup) ** -0.5
    for t in (1, 2, 3999, 4000, 4001, 100_000):
        assert peak * schedule(t - 1, []) == pytest.approx(d**-0.5 * min(t**-0.5, t * warmup**-1.5), rel=1e-12)


def test_inverse_sqrt_without_warm_up_is_the_adafactor_papers_rate():
    """Shazeer and Stern 2018: 0.1 min(1e-6 t, 1/sqrt(t)) with warm-up, 0.1 min(1e-2, 1/sqrt(t)) without."""
    for linear, rises in ((True, lambda t: 1e-6 * t), (False, lambda t: 1e-2)):
        schedule = InverseSqrt(10_000, linear)
        for t in (1, 500, 10_000, 10_001, 100_000):
            assert 1e-3 * schedule(t - 1, []) == pytest.approx(0.1 * min(rises(t), t**-0.5), rel=1e-12)


def test_cosine_rises_then_falls_to_its_end():
    schedule = Cosine(max_steps=110, warmup_steps=10, final=0.1)
    assert factors(schedule, [0, 4, 9]) == [0.1, 0.5, 1.0]
    assert factors(schedule, [10, 60, 110, 200]) == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert schedule(35, []) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))


@pytest.mark.parametrize(
    ("history", "factor"),
    [
        ([], 1.0),
        ([3.0, 2.0, 1.0], 1.0),
        ([3.0, 4.0], 1.0),  # one bad evaluation: patience is two
        ([3.0, 4.0, 3.0], 0.5),  # equal is no better
        ([3.0, 4.0, 2.0, 4.0], 1.0),  # a new best starts the count anew
        ([3.0, 4.0, 4.0, 4.0, 4.0], 0.25),
    ],
)
def test_plateau(history, factor):
    assert Plateau(divide_by=2.0, patience=2)(1000, history) == factor
