"""What an optimizer spends stands in the record; what it cannot account for is refused before anything is written."""

import json

import pytest
import real_data as real_data_files

from seqbench.optim.accountant import epsilon

pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (pip install 'seqbench[privacy]')")


@pytest.fixture
def images():
    return real_data_files.folder("mnist", "train-images-idx3-ubyte.gz")


def test_epsilon_and_delta_are_recorded_and_shown(seqbench, tmp_path, images):
    small = ["train.max_steps=4", "train.eval_every=2", "task.batch_size=20", "task.eval_batch_size=5000"]
    code, printed, said = seqbench("train", "experiment=mnist_dp/lenet", *small, f"source={images}", "data_dir=data")
    assert code == 0, printed + said
    (path,) = (tmp_path / "results" / "runs").iterdir()
    record = json.loads(path.read_text())
    spent = epsilon(0.907, 20 / 55_000, 4, 1e-5, "rdp")
    assert record["metrics"]["test"]["epsilon"] == pytest.approx(spent) and record["metrics"]["test"]["delta"] == 1e-5
    rows = [json.loads(row) for row in next(tmp_path.glob("outputs/*/metrics.jsonl")).read_text().splitlines()]
    halfway = next(row["valid"]["epsilon"] for row in rows if row["step"] == 2 and "valid" in row)
    assert halfway == pytest.approx(epsilon(0.907, 20 / 55_000, 2, 1e-5, "rdp")) and halfway < spent
    code, printed, _ = seqbench("show", f"run={record['run_id']}")
    assert code == 0 and '"epsilon"' in printed and '"delta"' in printed


def test_a_task_that_shuffles_is_refused(seqbench, tmp_path):
    code, _, said = seqbench("train", "model=lstm", "task=copy", "optimizer=dp_sgd")
    assert code == 2 and said.count("\n") == 1 and "task=mnist_poisson does" in said
    assert not list(tmp_path.iterdir())
