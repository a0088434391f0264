"""`seqbench list`: the runs there are, and what can be chosen."""

import os

import pytest

from seqbench.commands.describe import described
from seqbench.commands.list import list_runs_or_options, plurals
from seqbench.config.nodes import options
from seqbench.report.ledger import write_record


def test_runs_of_an_experiment_stand_together_the_best_first(tmp_path, make_record, capsys):
    beam = {
        "test": {"category": "beam", "metrics": {"bleu": 38.914, "nll": 0.5, "n_targets": 3}}
    }  # as old records have
    frequency = {"test": [{"category": "static", "metrics": {"ppl": 2.0, "ppl_from_0": 4.0}}]}
    caches = [
        {"category": "cache", "metrics": {"ppl": ppl}, "settings": {"size": size, "weight": 0.1}}
        for size, ppl in ((500, 2.5), (100, 3.5))
    ]
    changes = {
        "aaa": {"experiment": "multi30k_ende/gru", "evaluations": {"cache": {"test": caches}}},
        "bbb": {"experiment": "copy/lstm", "seed": 10},
        "ccc": {"experiment": "copy/lstm", "seed": 2, "evaluations": {"beam": beam, "frequency": frequency}},
        "ddd": {"experiment": None, "steps": 5, "status": "diverged"},
        "eee": {"experiment": "copy/lstm", "seed": 3},
    }
    tests = {
        "aaa": {"nll": 0.5, "ppl": 1.6487},
        "bbb": {"nll": 0.75, "accuracy": 1.0},
        "ccc": {"nll": 0.5, "n_targets": 7},
        "ddd": {"bpc": 1.25, "nll": 0.87},
        "eee": {"nll": None},
    }
    for name, changed in changes.items():
        write_record(make_record(name) | changed | {"metrics": {"test": tests[name]}}, tmp_path / "runs")
    list_runs_or_options([f"results_dir={tmp_path}", f"output_dir={tmp_path / 'none'}"])
    assert capsys.readouterr().out.splitlines() == [
        "run  experiment         seed   steps  status    test                  other evaluations of test",
        "ccc  copy/lstm             2  10,000            nll 0.5               beam: bleu 38.914",
        "bbb  copy/lstm            10  10,000            accuracy 1  nll 0.75",
        "ddd  copy/lstm             0       5  diverged  bpc 1.25",
        "eee  copy/lstm             3  10,000            nll –",
        "aaa  multi30k_ende/gru     0  10,000            ppl 1.6487            "
        "cache (size 500): ppl 2.5  cache (size 100): ppl 3.5",
    ]


def test_unfinished_runs_follow_the_latest_first(seqbench, tmp_path):
    config = seqbench("show", "task=copy", "model=scornn")[1].partition("\n")[2]
    for number, name in enumerate(("aaa", "bbb")):
        (tmp_path / "outputs" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.yaml").write_text(config)
        (tmp_path / "outputs" / name / "checkpoints" / f"step-{1500 * number}-0.pt").touch()
        os.utime(tmp_path / "outputs" / name, (number, number))
    assert seqbench("list") == (
        0,
        "Not finished (seqbench train run=<id> resumes one):\n"
        "run  experiment   seed  saved step\n"
        "bbb  copy/scornn     0       1,500\n"
        "aaa  copy/scornn     0           0\n",
        "",
    )


def test_without_any_run(seqbench):
    nothing = "There is no run in results/runs or outputs; seqbench list models shows what can be trained.\n"
    assert seqbench("list") == (0, nothing, "")


def test_a_config_that_cannot_be_read_does_not_end_the_list(seqbench, tmp_path):
    for name, content in (("aaa", "{"), ("bbb", "seed: [1]\n")):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.yaml").write_text(content)
    code, said, errors = seqbench("list")
    assert (code, errors) == (0, "")
    assert sorted(line[:5] for line in said.splitlines()[-2:]) == ["aaa  ", "bbb  "]
    assert said.count("cannot be read as a run's config") == 2


@pytest.mark.parametrize("kind", ["schedules", "schedule"])
def test_what_can_be_chosen(seqbench, kind):
    assert seqbench("list", kind) == (
        0,
        "schedule:\n"
        "  constant      The same learning rate throughout\n"
        "  cosine        A linear warm-up, then half a cosine down to `final` (Loshchilov and Hutter 2017, arXiv "
        "1608.03983)\n"
        "  epoch_decay   Constant for some epochs, then divided once an epoch (Zaremba, Sutskever, Vinyals 2014, arXiv "
        "1409.2329)\n"
        "  inverse_sqrt  A linear warm-up, then the inverse square root of the step (Vaswani et al. 2017, arXiv "
        "1706.03762)\n"
        "  plateau       Divided whenever valid has not improved for some evaluations\n",
        "",
    )


def test_models_stand_by_family(seqbench):
    code, said, errors = seqbench("list", "models", "logs")
    assert (code, errors) == (0, "")
    assert "model, recurrent:\n  arma " in said
    assert "\n  lstm                     Long short-term memory (Hochreiter and Schmidhuber 1997)\n" in said
    assert said.endswith('in addition to metrics.jsonl; needs pip install "seqbench[wandb]"\n')


def test_every_option_has_a_line_that_stands_alone():
    for group in plurals().values():
        entries = described(group)
        assert sorted(entry.name for entry in entries) == options(group)
        for entry in entries:
            assert 0 < len(entry.line) <= 140, (group, entry)
            assert entry.line.count("(") == entry.line.count(")"), (group, entry)


def test_a_kind_that_does_not_exist(seqbench):
    code, said, errors = seqbench("list", "modles")
    assert (code, said) == (2, "")
    kinds = ", ".join(plurals())
    assert errors == f"seqbench: There is no kind 'modles' (did you mean models?); seqbench list takes {kinds}.\n"
