"""Omniglot's archives: what is stored of a drawing, which count once, and what is refused, in one sentence."""

import io
import zipfile

import numpy as np
import pytest
from made_arrays import make_mnist, unpinned

from seqbench.contracts.task import SPLITS
from seqbench.data.arrays import omniglot
from seqbench.data.arrays.store import ensure_arrays
from seqbench.data.errors import DataError
from seqbench.tasks.sequences import mnist_poisson
from seqbench.tasks.sequences.mnist import MNIST

Image = pytest.importorskip("PIL.Image", reason="pillow is not installed (pip install 'seqbench[images]')")
silent = lambda line: None


def write_archive(path, number, drawings, side=105):
    """Drawings by alphabet, character and person; the ink of each is a square of a size of its own."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"images_background_small{number}/", "")
        for index, (alphabet, character, person) in enumerate(drawings):
            pixels = np.full((side, side), 255, np.uint8)
            pixels[10 : 20 + index, 10:40] = 0
            packed = io.BytesIO()
            Image.fromarray(pixels).convert("1").save(packed, "PNG")
            name = f"images_background_small{number}/{alphabet}/character{character:02}/0001_{person:02}.png"
            archive.writestr(name, packed.getvalue())


@pytest.fixture
def raw(tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "omniglot"
    folder.mkdir(parents=True)
    first = [("Greek", 1, 1), ("Greek", 1, 2), ("Latin", 3, 1)]
    write_archive(folder / "images_background_small1.zip", 1, first)
    write_archive(folder / "images_background_small2.zip", 2, [*first, ("Greek", 2, 20)])
    monkeypatch.setattr(omniglot, "OMNIGLOT", unpinned(omniglot.OMNIGLOT))
    monkeypatch.setattr(mnist_poisson, "OMNIGLOT", omniglot.OMNIGLOT)
    return folder.parent


def test_drawings_in_both_archives_count_once(raw, tmp_path):
    arrays = ensure_arrays(omniglot.OMNIGLOT, tmp_path / "data", str(raw), silent)
    assert arrays["characters"].tolist() == [0, 0, 1, 2] and arrays["alphabets"].tolist() == [0, 0, 0, 1]
    assert arrays["drawers"].tolist() == [0, 1, 19, 0] and arrays["images"].shape == (4, 28, 28)


def test_a_pixel_is_the_mean_of_what_it_covers():
    ink = (np.random.default_rng(0).random((105, 105)) < 0.2).astype(np.int64)
    fine = np.kron(ink, np.ones((4, 4)))  # 105 is 3.75 x 28: quarters of a pixel are whole
    means = fine.reshape(28, 15, 28, 15).mean((1, 3))
    assert np.array_equal(omniglot.shrink(ink), np.floor(255 * means + 0.5).astype(np.uint8))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"no archive"), "is no archive of PNG files, or a damaged one."),
        (lambda path: write_archive(path, 1, []), "holds none of Omniglot's drawings."),
        (lambda path: write_archive(path, 1, [("Greek", 1, 1)], 50), "is not of 105 by 105 pixels."),
    ],
)
def test_what_is_no_omniglot_is_said(raw, tmp_path, damage, said):
    damage(raw / "omniglot" / "images_background_small1.zip")
    with pytest.raises(DataError) as caught:
        ensure_arrays(omniglot.OMNIGLOT, tmp_path / "data", str(raw), silent)
    assert str(caught.value).endswith(said)


def poisson(raw, data_dir, **settings):
    return mnist_poisson.MNISTPoisson("vector", 5, "first", 8, 20, 0, data_dir, str(raw), **settings)


def test_public_images_are_of_other_data_and_the_same_in_each_run(raw, tmp_path, monkeypatch):
    make_mnist(raw, monkeypatch)
    settings = {"public": "omniglot"}
    said = mnist_poisson.MNISTPoisson.prepare(tmp_path / "data", str(raw), False, settings)
    assert "4 public images" in said
    assert mnist_poisson.MNISTPoisson.at_hand(tmp_path / "data", None, settings)
    one, two = (poisson(raw, tmp_path / "data", public="omniglot", n_public=3) for _ in range(2))
    assert one.public is not None and two.public is not None and one.public.shape == (3, 1, 784)
    assert one.public.equal(two.public) and 0 < float(one.public.mean()) < 1 and float(one.public.max()) == 1
    assert poisson(raw, tmp_path / "data").public is None
    with pytest.raises(ValueError, match=r"task.n_public is at most the 4 public images, not 5"):
        poisson(raw, tmp_path / "data", public="omniglot", n_public=5)


def test_binary_pixels_are_0_or_1(tmp_path, monkeypatch):
    make_mnist(tmp_path, monkeypatch)
    grey, binary = (
        MNIST("vector", None, 5, "first", 8, 20, 0, tmp_path / "data", str(tmp_path), binary=flag)
        for flag in (False, True)
    )
    for split in SPLITS:
        pixels, bits = (task.batch(split, 0).inputs for task in (grey, binary))
        assert bits.equal((pixels >= 0.5).float())
    assert 0 < float(bits.mean()) < 1
    assert (grey.version["name"], binary.version["name"]) == ("mnist", "binary_mnist")
