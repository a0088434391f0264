"""Checkpoints when the process dies between two steps of saving one."""

import os

import pytest
import torch

from seqbench.engine import checkpoint
from seqbench.engine.checkpoint import Checkpoints


def payload(value):
    return {"weight": torch.full((3,), float(value))}


def value(loaded):
    return float(loaded["weight"][0])


class Killed(BaseException):
    pass


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "copies"])
def test_whatever_moment_it_dies_the_best_is_never_behind_the_last(tmp_path, monkeypatch, links):
    def no_links(*paths):
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    saved = Checkpoints(tmp_path)
    saved.save(payload(1), 1, best=True)
    real, moments = os.replace, 0
    while True:
        calls = 0

        def replace(*paths, moment=moments):
            nonlocal calls
            if calls == moment:
                raise Killed
            calls += 1
            real(*paths)

        monkeypatch.setattr(checkpoint.os, "replace", replace)
        try:
            saved.save(payload(2), 2, best=True)
        except Killed:
            moments += 1
        else:
            break
        finally:
            monkeypatch.setattr(checkpoint.os, "replace", real)
        last, best = value(saved.load_last()), value(saved.load_best())
        assert best >= last  # a best of a step yet to come is made again; one of long ago would be tested
    assert moments == (1 if links else 2)
    assert value(saved.load_last()) == value(saved.load_best()) == 2
    assert sorted(path.name[:15] for path in tmp_path.iterdir()) == [
        "best-0000000002",
        "step-0000000001",
        "step-0000000002",
    ]
