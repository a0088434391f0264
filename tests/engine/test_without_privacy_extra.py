"""dp_sgd where its accountant is not installed: one sentence that says what to install, before anything is written."""

from pathlib import Path

from said import left, one_sentence

ROOT = Path(__file__).parents[2]
TASK = """
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.task import Sampling, Task
from seqbench.evaluation.scoring import score


class Drawn(Task):
    equal_batches = False

    def __init__(self):
        self.inputs, self.outputs = Inputs(n_tokens=2), Outputs("classes", 2)
        self.version = {"name": "drawn", "version": 1, "data_sha256": None}
        self.sampling = Sampling(n_rows=40, rows_per_step=4)

    def n_batches(self, split):
        return 1

    def batch(self, split, index):
        bits_BT = torch.randint(0, 2, (4, 5), generator=torch.Generator().manual_seed(index))
        return Batch(bits_BT, bits_BT)

    def evaluate(self, learner, batches):
        return score(learner, batches, "nll")

    def metrics(self, sums):
        return {"nll": sums["nll"][0] / sums["nll"][1]}
"""
RUN = ["task._target_=mine.Drawn", "plugins=[mine]", "model=lstm", "model.hidden_size=4", "optimizer=dp_sgd"]
RUN += ["train.max_steps=2", "train.eval_every=1"]


def test_it_says_what_to_install(seqbench, tmp_path):
    (tmp_path / "mine.py").write_text(TASK)
    absent = tmp_path / "absent" / "dp_accounting.py"
    absent.parent.mkdir()
    absent.write_text("raise ModuleNotFoundError(\"No module named 'dp_accounting'\", name='dp_accounting')\n")
    before = left(tmp_path)
    without = {"PYTHONPATH": f"{ROOT}:{absent.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
    code, printed, said = seqbench("train", *RUN, **without)
    expected = "dp_sgd accounts by dp-accounting: pip install 'seqbench[privacy]'."
    assert (code, printed, one_sentence(said)) == (2, "", expected)
    assert left(tmp_path) == before
    code, _, said = seqbench("train", *RUN, "optimizer.noise=0", **without)  # nothing to account for
    assert code == 0, said
