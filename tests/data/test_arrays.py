"""Published sets of arrays: their raw files, what is stored of them, and what can be wrong, in one sentence."""

import gzip
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import real_data
from made_arrays import make_imdb, make_mnist, unpinned, write_idx, write_rolls

from seqbench.data.arrays import imdb, mnist, music
from seqbench.data.arrays.idx import read_idx
from seqbench.data.arrays.order import InOrder, Shuffled
from seqbench.data.arrays.ragged import Ragged
from seqbench.data.arrays.store import are_arrays_at_hand, ensure_arrays
from seqbench.data.errors import DataError

silent = lambda line: None


def sentence(call, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and ". " not in text.replace("... ", "")
    return text


@pytest.fixture
def raw(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    make_mnist(folder, monkeypatch)
    return folder


def test_an_idx_file_is_read_packed_or_not(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "plain", array)
    (tmp_path / "packed.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    numbers = np.array([1, -70_000], ">i4")
    (tmp_path / "numbers").write_bytes(b"\0\0\x0c\x01" + (2).to_bytes(4, "big") + numbers.tobytes())
    assert np.array_equal(read_idx(tmp_path / "plain"), array)
    assert np.array_equal(read_idx(tmp_path / "packed.gz"), array)
    assert read_idx(tmp_path / "numbers").tolist() == [1, -70_000]


NO_IDX = [
    b"",
    b"\0\0\x08",
    b"\0\0\x07\x01\0\0\0\0",  # no such type
    b"PK\x08\x01\0\0\0\0",
    b"\0\0\x08\x02\0\0\0\1",  # one axis of two
    b"\0\0\x08\x01\0\0\0\5abc",
    b"\0\0\x08\x01\0\0\0\2abc",
    b"\0\0\x08\x04" + b"\xff" * 16,  # 2^128 numbers
]


@pytest.mark.parametrize("content", NO_IDX)
def test_what_is_no_idx_file_is_said(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert (
        sentence(read_idx, tmp_path / "file") == f"{tmp_path}/file is not an IDX file, or is cut off; fetch it again."
    )
    (tmp_path / "file.gz").write_bytes(b"\x1f\x8b" + content)
    assert "file.gz cannot be read: " in sentence(read_idx, tmp_path / "file.gz")


def test_a_set_is_prepared_once_and_opened_again(raw, tmp_path):
    place = tmp_path / "data"
    arrays = ensure_arrays(mnist.MNIST, place, str(raw), silent)
    assert arrays["train_images"].shape == (41, 28, 28) and arrays["test_labels"].tolist() == [*range(10), *range(7)]
    before = {path.name: path.stat().st_mtime_ns for path in (place / "mnist").iterdir()}
    again = ensure_arrays(mnist.MNIST, place, None, silent)
    assert again.sha256 == arrays.sha256
    assert {path.name: path.stat().st_mtime_ns for path in (place / "mnist").iterdir()} == before
    assert ensure_arrays(mnist.MNIST, place, str(raw), silent, True).sha256 == arrays.sha256
    assert sorted(path.name for path in place.iterdir()) == [".mnist.lock", "mnist"]


def test_a_copy_in_data_dir_is_found(raw, tmp_path):
    assert not are_arrays_at_hand(mnist.MNIST, tmp_path / "data", None)
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    raw.rename(tmp_path / "data" / "MNIST" / "raw")  # where torchvision puts it
    assert are_arrays_at_hand(mnist.MNIST, tmp_path / "data", None)
    assert len(ensure_arrays(mnist.MNIST, tmp_path / "data", None, silent)["train_labels"]) == 41


def test_what_is_missing_is_said(raw, tmp_path):
    ensure = partial(ensure_arrays, mnist.MNIST, tmp_path / "data")
    files = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    place = f"put {files} (or .gz) into {tmp_path}/data/mnist, or name their folder as source=<folder>."
    assert sentence(ensure, None, silent) == f"MNIST is not at hand; {place}"
    assert sentence(ensure, "hub", silent) == f"MNIST cannot be fetched from the hub; {place}"
    text = f"source={tmp_path}/x is not a folder; name the folder that holds {files} (or .gz)."
    assert sentence(ensure, str(tmp_path / "x"), silent) == text
    (tmp_path / "empty").mkdir()
    text = f"{tmp_path}/empty holds no file of MNIST; it should hold {files} (or .gz)."
    assert sentence(ensure, str(tmp_path / "empty"), silent) == text
    (raw / "t10k-labels-idx1-ubyte").unlink()
    text = f"{raw} lacks t10k-labels-idx1-ubyte (or .gz), a file of MNIST."
    assert sentence(ensure, str(raw), silent) == text
    assert not (tmp_path / "data").exists()


def test_other_content_is_refused(raw, tmp_path):
    pinned = replace(mnist.MNIST, arrays={**mnist.MNIST.arrays, "test_labels": "0" * 64})
    text = sentence(ensure_arrays, pinned, tmp_path / "data", str(raw), silent)
    assert text.startswith(f"{raw} does not hold MNIST as it is published: test_labels differs (SHA-256 ")
    assert not (tmp_path / "data").exists()
    ensure_arrays(mnist.MNIST, tmp_path / "data", str(raw), silent)
    text = sentence(ensure_arrays, pinned, tmp_path / "data", None, silent)
    assert text.startswith(f"{tmp_path}/data/mnist was prepared from other data than MNIST; make it anew with ")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    assert "they should hold images of 28 by 28 and as many labels" in sentence(
        ensure_arrays, mnist.MNIST, tmp_path / "data", str(raw), silent, True
    )


def test_a_damaged_set_is_refused(raw, tmp_path):
    ensure_arrays(mnist.MNIST, tmp_path / "data", str(raw), silent)
    file = tmp_path / "data" / "mnist" / "train_images.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    text = sentence(ensure_arrays, mnist.MNIST, tmp_path / "data", None, silent)
    assert f"{file} is damaged" in text and "force=true" in text


def test_rolls_are_stored_one_after_another(tmp_path):
    rolls = write_rolls(tmp_path / "a.mat", {"traindata": [3, 2], "validdata": [2], "testdata": [4]})
    arrays = music.read_rolls(tmp_path / "a.mat")
    assert arrays["train_lengths"].tolist() == [3, 2]
    assert np.array_equal(arrays["train_frames"], np.concatenate(rolls["traindata"]))
    (tmp_path / "a.mat.gz").write_bytes(gzip.compress((tmp_path / "a.mat").read_bytes()))
    assert np.array_equal(music.read_rolls(tmp_path / "a.mat.gz")["train_frames"], arrays["train_frames"])


def test_what_are_no_rolls_is_said(tmp_path):
    (tmp_path / "a.mat").write_text("no MATLAB file, but long enough to look for a header of one in it" * 4)
    assert "a.mat cannot be read: it is not a MATLAB file" in sentence(music.read_rolls, tmp_path / "a.mat")
    write_rolls(tmp_path / "b.mat", {"traindata": [3], "validdata": [2]})
    assert "b.mat has no cells testdata of rolls" in sentence(music.read_rolls, tmp_path / "b.mat")
    write_rolls(tmp_path / "c.mat", {"traindata": [3], "validdata": [2], "testdata": [1]})
    assert "c.mat has no cells testdata of rolls" in sentence(music.read_rolls, tmp_path / "c.mat")


def test_reviews_are_the_same_from_lines_and_from_files(tmp_path, monkeypatch):
    (tmp_path / "lines").mkdir()
    make_imdb(tmp_path / "lines", monkeypatch)
    for part in imdb.PARTS:
        for line in (tmp_path / "lines" / f"{part}.jsonl").read_text().splitlines():
            row = json.loads(line)
            path = tmp_path / "aclImdb" / part / row["label"] / f"{row['id']}_7.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(row["text"])
    ensure = partial(ensure_arrays, imdb.IMDB)
    arrays = ensure(tmp_path / "a", str(tmp_path / "lines"), silent)
    assert ensure(tmp_path / "b", str(tmp_path), silent).sha256 == arrays.sha256
    assert arrays["train_labels"].tolist() == [0] * 12 + [1] * 12
    vocabulary = bytes(arrays["vocabulary"]).decode().split("\n")
    assert {"the", "wasn't", "caf\u00e9", "good"} <= set(vocabulary) and "br" not in vocabulary
    reviews = Ragged(arrays["train_words"], arrays["train_word_lengths"])
    first = json.loads((tmp_path / "lines" / "train.jsonl").read_text().splitlines()[0])["text"]
    assert [vocabulary[rank] for rank in reviews.padded(np.array([0]))[0][0]] == imdb.words(first)


def test_reviews_that_are_none_are_said(tmp_path, monkeypatch):
    make_imdb(tmp_path, monkeypatch)
    ensure = partial(ensure_arrays, imdb.IMDB, tmp_path / "data", str(tmp_path), silent)
    for line in ('{"id": 0, "label": "good", "text": "x"}', '{"id": 0, "label": "pos", "text": "\\ud800"}', "[]", "{"):
        (tmp_path / "train.jsonl").write_text(line)
        assert sentence(ensure).startswith(f"line 1 of {tmp_path}/train.jsonl is not a JSON object with ")
    (tmp_path / "train.jsonl").write_text('{"id": 0, "label": "pos", "text": "x"}\n')
    assert sentence(ensure) == f"{tmp_path}/train.jsonl does not hold both positive and negative reviews."


def test_padding_and_cutting():
    ragged = Ragged(np.arange(1, 10), np.array([2, 4, 3]))
    padded, valid = ragged.padded(np.array([1, 0]))
    assert padded.tolist() == [[3, 4, 5, 6], [1, 2, 0, 0]] and valid.sum(1).tolist() == [4, 2]
    assert ragged.padded(np.array([1, 2]), 3)[0].tolist() == [[3, 4, 5], [7, 8, 9]]
    assert ragged.padded(np.array([1, 2]), 3, from_end=True)[0].tolist() == [[4, 5, 6], [7, 8, 9]]


def test_an_epoch_holds_each_example_once_in_a_new_order():
    lengths = np.random.default_rng(0).integers(1, 50, 103)
    for order in (Shuffled(103, 10, 0), Shuffled(103, 10, 0, lengths), InOrder(103, 10, lengths)):
        epochs = [np.concatenate([order.examples(epoch * 11 + i) for i in range(11)]) for epoch in range(2)]
        assert [sorted(epoch) for epoch in epochs] == [[*range(103)]] * 2
        batches = [{frozenset(order.examples(epoch * 11 + i).tolist()) for i in range(11)} for epoch in range(2)]
        assert (batches[0] == batches[1]) == isinstance(order, InOrder)
    sizes = {
        len(order.examples(i)) for order in (Shuffled(103, 10, 0), Shuffled(103, 10, 0, lengths)) for i in range(11)
    }
    assert sizes == {9, 10}
    assert Shuffled(103, 10, 1).examples(0).tolist() != Shuffled(103, 10, 0).examples(0).tolist()


def test_a_batch_holds_sequences_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 100, 800)

    def padding(order):
        batches = [lengths[order.examples(index)] for index in range(order.n_batches)]
        return 1 - lengths.sum() / sum(len(batch) * batch.max() for batch in batches)

    assert padding(Shuffled(800, 10, 0, lengths)) < 0.2 < 0.4 < padding(Shuffled(800, 10, 0))


@pytest.mark.slow
def test_the_published_data_are_accepted(tmp_path):
    for published, folder, file in (
        (mnist.MNIST, "mnist", "train-images-idx3-ubyte.gz"),
        *((corpus, "music", "MuseData.mat") for corpus in music.CORPORA.values()),
        (imdb.IMDB, "imdb", "train.jsonl.gz"),
    ):
        source = real_data.folder(folder, file)
        ensure_arrays(published, tmp_path, str(source), silent)
        assert unpinned(published) != published
