"""`seqbench list`: what is in the ledger, at a glance."""

from seqbench.commands.results import list_all
from seqbench.report.ledger import write_record


def test_runs_of_one_experiment_stand_together_and_tell_of_other_evaluations(tmp_path, make_record, capsys):
    beam = {"test": {"category": "beam", "metrics": {"bleu": 38.914, "n_targets": 3}}}  # as older records have it
    frequency = {"test": [{"category": "static", "metrics": {"ppl": 2.0, "ppl_from_0": 4.0}}]}
    both = [
        {"category": "cache", "metrics": {"ppl": ppl}, "settings": {"size": size, "weight": 0.1}}
        for size, ppl in ((500, 2.5), (100, 3.5))
    ]
    changes = {
        "aaa": {"experiment": "multi30k_ende/gru", "evaluations": {"cache": {"test": both}}},
        "bbb": {"experiment": "copy/lstm", "seed": 10},
        "ccc": {"experiment": "copy/lstm", "seed": 2, "evaluations": {"beam": beam, "frequency": frequency}},
    }
    for name, changed in changes.items():
        metrics = {"test": {"nll": 0.5, "n_targets": 7}}
        write_record(make_record(name) | changed | {"metrics": metrics}, tmp_path / "runs")
    list_all([f"results_dir={tmp_path}"])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("run ")] == [
        "run ccc  copy/lstm          seed 2   10,000 steps  nll 0.5  beam: bleu 38.914",
        "run bbb  copy/lstm          seed 10   10,000 steps  nll 0.5",
        "run aaa  multi30k_ende/gru  seed 0   10,000 steps  nll 0.5"
        "  cache (size 500): ppl 2.5  cache (size 100): ppl 3.5",
    ]


def test_a_config_that_cannot_be_read_does_not_end_the_list(seqbench, tmp_path):
    for name, content in (("aaa", "{"), ("bbb", "seed: [1]\n")):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.yaml").write_text(content)
    code, said, errors = seqbench("list")
    assert (code, errors) == (0, "")
    assert [line[:8] for line in said.splitlines()[-2:]] == ["run aaa ", "run bbb "]
    assert said.count("cannot be read as a run's config") == 2
