"""task=waveform: WAV files of every width, its split, its scale, and a network that learns a known process."""

import math

import numpy as np
import pytest
import torch
from made_waves import AR, SCALE, make_waves, resonance, write_wave

from seqbench.config.compose import composed
from seqbench.data.arrays.waves import read_wave, waves_checksum
from seqbench.data.errors import DataError
from seqbench.engine.assemble import assemble_task

SMALL = ["task=waveform", "task.frame_size=5", "task.max_frames=6", "task.batch_size=4"]


@pytest.mark.parametrize(("n_bytes", "tolerance"), [(1, 2**-7), (2, 2**-15), (3, 2**-23), (4, 2**-23)])
def test_samples_of_every_width_are_read(tmp_path, n_bytes, tolerance):
    samples_N2 = np.random.default_rng(0).uniform(-0.9, 0.9, (50, 2))
    write_wave(tmp_path / "a.wav", samples_N2, n_bytes, rate=11025)
    rate, read = read_wave(tmp_path / "a.wav")
    assert rate == 11025
    np.testing.assert_allclose(read, samples_N2.mean(1), atol=tolerance)


def test_batches_are_frames_and_the_frames_after_them(tmp_path):
    make_waves(tmp_path, n_recordings=10, n_samples=64)
    task = assemble_task(composed([*SMALL, f"source={tmp_path}", f"data_dir={tmp_path / 'data'}"]))
    recordings = [read_wave(path)[1] for path in sorted(tmp_path.glob("*.wav"))]
    starts, n_frames = {}, 0
    for split in ("train", "valid", "test"):
        for index in range(task.n_batches(split)):
            batch = task.batch(split, index)
            assert torch.equal(batch.inputs[:, 1:][batch.valid_BT[:, 1:]], batch.targets[:, :-1][batch.valid_BT[:, 1:]])
            n_frames += batch.count()
            for row in range(batch.size):
                samples = batch.inputs[row][batch.valid_BT[row]].numpy() * task.deviation + task.mean
                (place,) = (
                    (number, start)
                    for number, recording in enumerate(recordings)
                    for start in range(0, len(recording) - 5, 30)
                    if np.allclose(recording[start : start + 5], samples[0], atol=1e-6)
                )
                assert place not in starts, "a sequence is read twice"
                starts[place] = split
    splits = {number: {split for (other, _), split in starts.items() if other == number} for number, _ in starts}
    assert all(len(of_recording) == 1 for of_recording in splits.values()), "a recording is in two splits"
    assert len(splits) == 10
    expected = 0
    for recording in recordings:
        pieces = [min(6, len(recording) // 5 - first) for first in range(0, len(recording) // 5, 6)]
        expected += sum(length - 1 for length in pieces)
    assert n_frames == expected


def test_the_checksum_is_of_the_sound(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_waves(tmp_path / name, n_recordings=3, n_samples=20)
    first = waves_checksum(str(tmp_path / "a"))
    assert waves_checksum(str(tmp_path / "b")) == first
    write_wave(tmp_path / "b" / "00.wav", resonance(20, 99))
    assert waves_checksum(str(tmp_path / "b")) != first


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda folder: None, "has no file that ends in .wav"),
        (lambda folder: (folder / "a.wav").write_text("no sound"), "cannot be read as a WAV file"),
        (
            lambda folder: make_waves(folder, 2, 50),
            r"2 recordings of at least two frames \(of 2 in all\) cannot be dealt",
        ),
        (lambda folder: make_waves(folder, 3, 2), r"0 recordings of at least two frames \(of 3 in all\)"),
        (
            lambda folder: [write_wave(folder / f"{n}.wav", resonance(50, n), rate=8000 + n) for n in range(3)],
            "bring the recordings to one rate first",
        ),
    ],
    ids=["none", "damaged", "few", "short", "rates"],
)
def test_what_is_no_recording(tmp_path, prepare, sentence):
    (tmp_path / "raw").mkdir()
    prepare(tmp_path / "raw")
    with pytest.raises(DataError, match=sentence):
        assemble_task(composed([*SMALL, f"source={tmp_path / 'raw'}", f"data_dir={tmp_path / 'data'}"]))


def test_a_network_comes_near_the_density_of_a_known_process(seqbench, tmp_path):
    """The best nll of AR(2) is that of its innovations, 1/2 ln(2 pi e sigma^2) a sample."""
    (tmp_path / "raw").mkdir()
    for number in range(20):
        write_wave(tmp_path / "raw" / f"{number}.wav", resonance(300, number), n_bytes=4)
    settings = ["task.frame_size=1", "task.max_frames=60", "task.batch_size=8", "head.n_components=1", "model=gru"]
    settings += ["model.hidden_size=16", "optimizer=adam", "optimizer.lr=1e-2", "train.max_steps=300"]
    code, _, errors = seqbench("train", "task=waveform", "source=raw", "data_dir=data", *settings)
    assert code == 0, errors
    from seqbench.report.ledger import read_ledger

    (record,) = read_ledger(tmp_path / "results" / "runs")
    best = 0.5 * math.log(2 * math.pi * math.e * SCALE**2)
    variance = SCALE**2 * (1 - AR[1]) / ((1 + AR[1]) * ((1 - AR[1]) ** 2 - AR[0] ** 2))
    memoryless = 0.5 * math.log(2 * math.pi * math.e * variance)
    assert record.metrics["test"]["nll_original"] < best + 0.1 * (memoryless - best)
