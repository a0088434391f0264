"""Every task of conf/task keeps the contract, on small data made here; and each check sees a task that does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_arrays import make_bike_flow, make_exchange_rate, make_imdb, make_mnist, make_music
from made_waves import make_waves

from seqbench.checks import tasks as checks
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.task import Task
from seqbench.data.pairs.corpora import MULTI30K, WMT14_FRENCH, WMT14_GERMAN
from seqbench.data.text.corpora import CORPORA
from seqbench.engine.assemble import assemble_task

WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]
SPLITS = {"train": 300, "valid": 23, "test": 17}
PAIRS = {corpus.name: corpus for corpus in (MULTI30K, WMT14_GERMAN, WMT14_FRENCH)}
SMALL_SETS = ["task.train_size=47", "task.valid_size=23", "task.test_size=17", "task.batch_size=10"]
COPY = [*SMALL_SETS, "task.delay=7", "task.eval_batch_size=10"]
ADDING = [*SMALL_SETS, "task.length=9", "task.eval_batch_size=10"]
TEXT = ["task.batch_size=3", "task.bptt=11", "task.eval_window=10"]
TRANSLATION = ["task.vocabulary_size=285", "task.batch_tokens=60", "task.eval_batch_tokens=40"]
IMAGES = ["task.valid_size=7", "task.batch_size=6", "task.eval_batch_size=5"]
MUSIC = ["task.batch_size=3", "task.eval_batch_size=2"]
REVIEWS = ["task.valid_size=5", "task.batch_size=4", "task.eval_batch_size=3", "task.max_length=6"]
MADE = {  # what makes small raw files for a task
    **dict.fromkeys(("mnist", "mnist_autoencoder", "mnist_poisson", "smnist", "pmnist"), make_mnist),
    "music": make_music,
    "imdb": make_imdb,
    "exchange_rate": make_exchange_rate,
    "bike_flow": make_bike_flow,
}
PIECES = ["task.vocabulary_size=280"]
SOUND = ["task.frame_size=4", "task.max_frames=5", "task.batch_size=3", "task.eval_batch_size=5"]
FORECAST = [*SMALL_SETS, "task.window=5", "task.eval_batch_size=10"]
SERIES = ["task.batch_size=3", "task.window=11", "task.eval_window=10"]
FORMAL = ["task.batch_size=30", "task.eval_batch_size=50"]
SMALL_FORMAL = [*SMALL_SETS, "task.eval_batch_size=10"]
ROWS = {  # a file of conf/task and settings that make it small; the size of evaluation's batches is the last one
    "copy": [COPY, *([*COPY, f"task.variant={variant}"] for variant in ("exprnn", "tcn", "s4"))],
    "delayed_xor": [[*SMALL_SETS, "task.delay=3", "task.length=9", "task.eval_batch_size=10"]],
    "denoise": [COPY, [*COPY, "task.n_digits=3"]],
    "parenthesis": [ADDING, [*ADDING, "task.max_count=2"]],
    "input_output": [[*SMALL_SETS, "task.eval_batch_size=10"]],
    "memorization": [[*SMALL_SETS, "task.fresh=false", "task.eval_batch_size=10"]],
    "memorization_of_symbols": [[*SMALL_SETS, "task.fresh=false", "task.eval_batch_size=10"]],
    "adding": [ADDING, *([*ADDING, f"task.variant={variant}"] for variant in ("scornn", "tcn"))],
    **{name: [TEXT, [*TEXT, "task.variable_bptt=true", "task.data_seed=3"]] for name in CORPORA},
    "mnist": [IMAGES, *([*IMAGES, f"task.layout={layout}"] for layout in ("rows", "pixels"))],
    "mnist_autoencoder": [IMAGES],
    "mnist_poisson": [IMAGES, [*IMAGES, "task.layout=rows"]],
    "smnist": [IMAGES, [*IMAGES, "task.valid_size=0"], [*IMAGES, "task.valid_from=last", "task.data_seed=3"]],
    "pmnist": [IMAGES, [*IMAGES, "task.permutation=with_replacement"]],
    "tomita": [[*FORMAL, "task.grammar=1"], [*FORMAL, "task.grammar=2", "task.curriculum=0", "task.data_seed=3"]],
    "balanced_parentheses": [SMALL_FORMAL, [*SMALL_FORMAL, "task.negatives=swapped", "task.data_seed=3"]],
    "palindrome": [SMALL_FORMAL, [*SMALL_FORMAL, "task.curriculum=1", "task.n_letters=3"]],
    "music": [MUSIC, [*MUSIC, "task.data_seed=3"]],
    "imdb": [
        REVIEWS,
        [*REVIEWS, "task.vocabulary_size=5", "task.keep=last"],
        [*REVIEWS, "task.tokens=bytes", "task.pad=in_front"],
    ],
    **{name: [TRANSLATION, [*TRANSLATION, "task.data_seed=5"]] for name in PAIRS},
    "text": [[*TEXT, f"task.unit={unit}", *PIECES] for unit in ("word", "character", "byte", "subword")],
    "pairs": [TRANSLATION],
    "waveform": [SOUND, [*SOUND, "task.data_seed=3"]],
    "series": [SERIES, [*SERIES, "task.horizon=3", "task.targets=[b]"]],
    "forecast": [FORECAST, *([*FORECAST, f"task.process={name}"] for name in ("varma", "sq"))],
    "exchange_rate": [["task.window=4", "task.batch_size=5", "task.eval_batch_size=4"]],
    "bike_flow": [["task.n_frames=6", "task.first_scored=2", "task.batch_size=2", "task.eval_batch_size=1"]],
}
COUNTED = ("copy", "adding", "delayed_xor", "input_output", "denoise", "parenthesis", "forecast")
COUNTED += ("memorization", "memorization_of_symbols", "tomita", "balanced_parentheses", "palindrome")
REGROUPED = {
    **dict.fromkeys([*COUNTED, *MADE, "waveform"], "task.eval_batch_size=4"),
    **dict.fromkeys([*CORPORA, "text", "series"], "task.eval_window=7"),
    **dict.fromkeys([*PAIRS, "pairs"], "task.eval_batch_tokens=90"),
}


def sentences(seed: int, count: int) -> list[list[str]]:
    draw = np.random.default_rng(seed)
    return [[WORDS[word] for word in draw.integers(0, len(WORDS), draw.integers(2, 6))] for _ in range(count)]


def write_text(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The raw files of a text corpus, with other lines than the published ones, which the table is told of."""
    corpus = CORPORA[name]
    content = {
        split: "".join(f"{' '.join(row)}\n" for row in sentences(*seeded)) for split, seeded in _seeded().items()
    }
    splits = {split: replace(corpus.splits[split], sha256=None, n_lines=None, n_tokens=None) for split in SPLITS}
    if corpus.file:
        content = {split: text.replace("\n", " " if name == "text8" else "\n") for split, text in content.items()}
        splits = {split: replace(splits[split], n_tokens=len(content[split])) for split in SPLITS}
        (folder / corpus.file).write_text("".join(content.values()))
    else:
        for split, text in content.items():
            (folder / f"{corpus.splits[split].stems[0]}{corpus.suffix}").write_text(text)
    monkeypatch.setitem(CORPORA, name, replace(corpus, splits=splits, vocabulary_size=None))


def write_pairs(name: str, folder: Path) -> None:
    corpus = PAIRS[name]
    for split, seeded in _seeded().items():
        for index, language in enumerate(corpus.languages):
            lines = [" ".join(row[::-1] if index else row) for row in sentences(*seeded)]
            path = folder / corpus.files[split][0].format(language=language, side="")
            path.write_text("".join(f"{line}\n" for line in lines))


def write_own(name: str, folder: Path) -> None:
    """Files of one's own, as the tasks text, pairs and series take them."""
    if name == "series":
        rows = [f"{day},{day % 7},{0.5 - day % 5}" for day in range(300)]
        folder.with_suffix(".csv").write_text("\n".join(["day,a,b", *rows]))
    if name == "waveform":
        make_waves(folder, n_recordings=12, n_samples=61)
    for split, seeded in _seeded().items():
        lines = [" ".join(row) for row in sentences(*seeded)]
        names = {"text": {f"{split}.txt": lines}, "pairs": {f"{split}.en": lines, f"{split}.de": lines}}
        for file, content in names.get(name, {}).items():
            (folder / file).write_text("".join(f"{line}\n" for line in content))


def _seeded() -> dict[str, tuple[int, int]]:
    return {split: (seed, count) for seed, (split, count) in enumerate(SPLITS.items())}


@pytest.fixture
def made(tmp_path, monkeypatch) -> Callable[..., Task]:
    """`made(name, settings)` is a task of conf/task on made data."""
    (tmp_path / "raw").mkdir()

    def make(name: str, settings: list[str]) -> Task:
        places = [f"data_dir={tmp_path / 'data'}"]
        if name in ("text", "pairs", "series", "waveform"):
            write_own(name, tmp_path / "raw")
            places.append(f"source={tmp_path / ('raw.csv' if name == 'series' else 'raw')}")
        if name in CORPORA or name in PAIRS or name in MADE:
            places.append(f"source={tmp_path / 'raw'}")
            if name in MADE:
                MADE[name](tmp_path / "raw", monkeypatch)
            elif name in PAIRS:
                write_pairs(name, tmp_path / "raw")
            elif not any((tmp_path / "raw").iterdir()):
                write_text(name, tmp_path / "raw", monkeypatch)
        return assemble_task(composed([f"task={name}", *settings, *places]))

    return make


def test_every_task_has_a_row():
    assert sorted(ROWS) == options("task")


@pytest.mark.parametrize(("name", "settings"), [(name, settings) for name, rows in ROWS.items() for settings in rows])
def test_a_task_keeps_the_contract(name, settings, made):
    checks.check_task(lambda: made(name, settings), lambda: made(name, [*settings, REGROUPED[name]]))


@pytest.mark.parametrize(
    ("name", "settings"), [("copy", COPY), ("adding", ADDING), ("denoise", COPY), ("parenthesis", ADDING)]
)
def test_a_task_of_fresh_data_keeps_the_contract(name, settings, made):
    checks.check_task(lambda: made(name, [*settings, "task.fresh=true"]), fresh=True)


@pytest.mark.parametrize(("name", "n_valid"), [("copy", 23 * 27), ("adding", 23), ("multi30k_ende", None)])
def test_every_target_of_a_split_is_scored_once(name, n_valid, made, tmp_path):
    task = made(name, ROWS[name][0])
    if n_valid is None:
        n_valid = sum(len(row) + 1 for row in task.pairs.subwords.encode(task.pairs.text("valid", "target")))
    assert sum(task.batch("valid", index).count() for index in range(task.n_batches("valid"))) == n_valid


class Broken(Task):
    """Ten sequences of five tokens, in two batches; a subclass breaks one thing."""

    def __init__(self):
        self.inputs, self.outputs = Inputs(n_tokens=50), Outputs("classes", 50)
        self.version = {"name": "broken", "version": 1, "data_sha256": None}
        self.rows = torch.arange(50).view(10, 5)
        self.n_asked = 0

    def n_batches(self, split):
        return 2

    def batch(self, split, index):
        rows = self.rows.view(2, 5, 5)[index % 2].clone()
        return Batch(rows, rows.clone())


class Counting(Broken):
    def batch(self, split, index):
        self.n_asked += 1
        return super().batch(split, index + self.n_asked // 7)


class Shared(Broken):
    def batch(self, split, index):
        rows = self.rows.view(2, 5, 5)[index % 2]
        return Batch(rows, rows)


class FewerTargets(Broken):
    def batch(self, split, index):
        batch = super().batch(split, index)
        return batch.replace(targets=batch.targets[:, 1:])


class Bits(Broken):
    def __init__(self):
        super().__init__()
        self.outputs = Outputs("bits", 5)

    def batch(self, split, index):
        batch = super().batch(split, index)
        return batch.replace(targets=torch.full((5, 5, 5), 1.5))


class TooFewTokens(Broken):
    def __init__(self):
        super().__init__()
        self.inputs = Inputs(n_tokens=49)


class Reals(Broken):
    def __init__(self):
        super().__init__()
        self.inputs = Inputs(n_features=1)


class Drifting(Broken):
    def batch(self, split, index):
        batch = super().batch(split, index)
        return batch if index < 2 or split != "train" else batch.map(lambda tensor: (tensor + 1) % 50)


class Endless(Broken):
    def batch(self, split, index):
        return super().batch(split, min(index, 1))


class Empty(Broken):
    def batch(self, split, index):
        return super().batch(split, index).map(lambda tensor: tensor[: 5 * (index % 2)])


class Unnamed(Broken):
    def __init__(self):
        super().__init__()
        self.version = {"name": "broken"}


class Shorter(Broken):
    """As if the remainder were dropped."""

    def n_batches(self, split):
        return 1 if split == "test" else 2


SEEN = [
    (Counting, r"batch \d of (train|valid|test) (depends on what was asked before|is not its first one again)"),
    (Shared, "batch 3 of train shares its memory with the task"),
    (FewerTargets, "targets of batch 0 of train are not one for each input"),
    (Bits, "targets of batch 0 of train are not bits or probabilities of them, from 0 to 1"),
    (TooFewTokens, "inputs of batch 1 of train are from 25 to 49, not below 49"),
    (Reals, "inputs of batch 0 of train are torch.int64, not float32"),
    (Drifting, "the second epoch has not the targets of the first"),
    (Endless, "batch 2 of valid is not its first one again"),
    (Empty, "batch 0 of train scores nothing"),
    (Unnamed, "version lacks version"),
]


def test_a_sound_task_passes():
    checks.check_task(Broken, Broken)


@pytest.mark.parametrize(("broken", "sentence"), SEEN)
def test_a_check_sees_what_is_broken(broken, sentence):
    with pytest.raises(AssertionError, match=f"^{sentence}"):
        checks.check_task(broken)


def test_a_dropped_remainder_is_seen():
    with pytest.raises(AssertionError, match=r"^the targets of test depend on the batch's size"):
        checks.check_task(Broken, Shorter)


def test_data_that_are_not_fresh_are_seen():
    with pytest.raises(AssertionError, match=r"^training batches are not new in the second epoch"):
        checks.check_task(Broken, fresh=True)
