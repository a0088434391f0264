"""What is counted of a network and its smaller one, and the names under which times are kept."""

import gc
import math

import pytest
import torch
from torch import nn

from seqbench.bench import inference
from seqbench.models.recurrent.lstm import LSTM


def test_counts_are_those_of_the_modules():
    sizes, n_outputs = [5, 4, 3], 7
    layers, readout = LSTM(5, [4, 3], 2), nn.Linear(3, n_outputs)
    matrices = [value for value in layers.parameters() if value.dim() == 2]
    macs = sum(value.numel() for value in matrices)
    found = inference.count(sizes, n_outputs)
    assert found["macs"] == macs and found["with_softmax.macs"] == macs + readout.weight.numel()
    assert found["bytes"] == 4 * sum(value.numel() for value in (*layers.parameters(), *readout.parameters()))


def test_the_paper_of_groups_has_so_many_fewer():
    """Wen W. et al. 2018: layers of 373 and 315 units in place of 1,500, on an embedding of 1,500 and 10,000 words."""
    small, large = (inference.count(sizes, 10_000) for sizes in ([1500, 373, 315], [1500, 1500, 1500]))
    assert large["macs"] / small["macs"] == pytest.approx(9.8, abs=0.05)
    assert large["with_softmax.macs"] / small["with_softmax.macs"] == pytest.approx(7.5, abs=0.05)


def test_times_are_of_the_two_and_of_torchs_at_their_sizes(monkeypatch):
    monkeypatch.setattr(inference, "ROUNDS", 2)
    shapes, threads = {}, set()

    def alternate(steps, rounds):
        for name, step in steps.items():
            threads.add(torch.get_num_threads())
            with torch.profiler.profile(record_shapes=True) as profiled:
                step()
            calls = [event.input_shapes for event in profiled.events() if event.name == "aten::linear"]
            shapes.setdefault(name, []).append(calls)
        return {name: [1.0 + len(name) * number for number in range(1, rounds + 1)] for name in steps}

    monkeypatch.setattr(inference, "alternate", alternate)
    frozen = gc.get_freeze_count()
    torch.set_num_threads(2)
    numbers = inference.compare(LSTM(5, [4, 3], 2), nn.Linear(3, 7), [5, 4, 3], [6, 8, 9])
    assert torch.get_num_threads() == 2 and threads == {1} and gc.get_freeze_count() == frozen
    assert all(map(math.isfinite, numbers.values()))
    assert numbers["macs_ratio"] == numbers["large.macs"] / numbers["macs"] == (32 * 14 + 36 * 17) / (16 * 9 + 12 * 7)
    for batch in (1, 20):
        for prefix, ratio in [("", "macs_ratio"), ("with_softmax.", "with_softmax.macs_ratio")]:
            name = f"batch_{batch}.{prefix}"
            assert numbers[f"{name}small_ms"] == pytest.approx(1e3 * (1 + 1.5 * 5) / inference.REPEATS)
            assert numbers[f"{name}speedup"] == pytest.approx(1.0)
            assert numbers[f"{name}of_macs"] == pytest.approx(1 / numbers[ratio])
            assert {f"{name}torch.{one}" for one in ("speedup", "small_ms", "large_iqr_ms")} <= numbers.keys()
    plain, with_softmax = shapes["small"][0], shapes["small"][1]
    readouts = [call for call in with_softmax if call[1] == [7, 3]]
    assert len(readouts) == inference.REPEATS and not [call for call in plain if call[1] == [7, 3]]
    assert [call[0] for call in readouts] == [[1, 35, 3]] * inference.REPEATS
    assert next(call for call in shapes["large"][3] if call[1] == [7, 9])[0] == [20, 35, 9]
