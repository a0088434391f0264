"""Compiling at first use: what is said where it cannot be done, a library cut short, a signal in the middle."""

import os
import signal
import subprocess
import sys
import time

import pytest
from small_run import SMALL

from seqbench import compiled

SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    monkeypatch.setattr(compiled, "FLAGS", ["-O0"])
    path = tmp_path / "source" / "small.cpp"
    path.parent.mkdir()
    path.write_text(SOURCE)
    compiled.library.cache_clear()
    yield path
    compiled.library.cache_clear()


def script(folder, text):
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_library_is_built_once(source, capsys):
    assert compiled.library(source, "the answers").answer() == 42
    compiled.library.cache_clear()
    assert compiled.library(source, "the answers").answer() == 42
    assert capsys.readouterr().err == "seqbench: compiling the answers, once on this machine.\n"


@pytest.mark.parametrize("keep", [0, 100])
def test_a_library_that_was_cut_short_is_built_again(source, capsys, tmp_path, keep):
    path = tmp_path / "extensions" / compiled._built(source, "the answers")
    path.write_bytes(path.read_bytes()[:keep])
    assert compiled.library(source, "the answers").answer() == 42  # a SIGBUS or an error without the checksum
    assert capsys.readouterr().err.count("compiling") == 2


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        (None, "no C++ compiler (no-such-compiler) found"),
        ("echo 'warning: old' >&2; echo 'cc1plus: nonsense: not found' >&2; exit 1", "cc1plus: nonsense: not found"),
        ("echo 'a.cpp:1: error: no answer' >&2; echo 'compilation terminated.'; exit 1", "a.cpp:1: error: no answer"),
    ],
)
def test_why_it_cannot_be_compiled_is_said(source, capsys, tmp_path, monkeypatch, compiler, reason):
    monkeypatch.setenv("CXX", script(tmp_path, compiler) if compiler else "no-such-compiler")
    assert compiled.library(source, "the answers") is None
    assert capsys.readouterr().err.splitlines() == [
        "seqbench: compiling the answers, once on this machine.",
        f"seqbench: the answers run in plain PyTorch, since they cannot be compiled ({reason}).",
    ]


@pytest.mark.usefixtures("stop_signals_are_heard")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGTERM, signal.SIGHUP))]
)
def test_a_signal_while_compiling_stops_at_once(tmp_path, number):
    """And is not taken for a compiler that fails, after which the step would be computed by another kernel."""
    environment = {
        **os.environ,
        "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions"),
        "CXX": script(tmp_path, f"touch {tmp_path}/began; sleep 100"),
    }
    command = [sys.executable, "-m", "seqbench", "train", *SMALL]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "began").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "seqbench: Interrupted; what has been saved is kept."
    assert "plain PyTorch" not in said
    assert not list(tmp_path.glob("outputs/*/checkpoints/*"))
