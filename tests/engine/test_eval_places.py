"""What `seqbench eval` leaves, and says, where it cannot keep or find anything."""

import shutil
from pathlib import Path

import pytest
import small_run
from said import one_sentence

from seqbench.commands.evaluate import evaluate
from seqbench.errors import UserError
from seqbench.tasks.synthetic import counted

SMALL = [*small_run.SMALL, "train.max_steps=2", "train.eval_every=2"]


@pytest.fixture
def finished(seqbench, tmp_path) -> Path:
    """The folder of a finished run."""
    code, _, errors = seqbench("train", *SMALL, "output_dir=runs", "results_dir=kept")
    assert code == 0, errors
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_the_plain_evaluation_makes_no_ledger(seqbench, tmp_path, finished):
    code, _, errors = seqbench("eval", f"run={finished.name}", "output_dir=runs")  # results_dir: results
    assert code == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "runs"]


@pytest.mark.parametrize("select", ["best", "last"])
def test_a_finished_run_without_checkpoints(seqbench, tmp_path, select):
    code, _, errors = seqbench("train", *SMALL, f"train.select={select}")
    assert code == 0, errors
    (folder,) = (tmp_path / "outputs").iterdir()
    shutil.rmtree(folder / "checkpoints")
    code, _, errors = seqbench("eval", f"run={folder.name}")
    assert code == 2 and one_sentence(errors).endswith("; force=true trains the run again.")
    (folder / "record.json").unlink()
    code, _, errors = seqbench("eval", f"run={folder.name}")
    assert code == 2 and one_sentence(errors).endswith(f"; seqbench train run={folder.name} makes one.")


def test_a_run_that_does_not_fit_here(tmp_path, finished, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(counted, "memory", lambda: 0, raising=False)
    with pytest.raises(UserError, match="This run does not fit in memory"):
        evaluate([f"run={finished.name}", "output_dir=runs"])
