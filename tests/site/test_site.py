"""The site of a small ledger: what its pages say, that their links lead somewhere, that it comes out the same again."""

import itertools
import json
import re
import shutil

import pytest
from made_results import build
from parsed_pages import broken_links, parsed


def page(results, path):
    return parsed(results / "site" / path)


def runs(results):
    """(run_id, record) by experiment and seed."""
    records = [json.loads(path.read_text()) for path in sorted((results / "runs").glob("*.json"))]
    return {(one["experiment"], one["seed"], one["config"]["train"]["max_steps"]): one["run_id"] for one in records}


def test_every_link_leads_somewhere(results):
    assert broken_links(results / "site") == []


def test_a_link_that_leads_nowhere_is_found(results, tmp_path):
    shutil.copytree(results / "site", tmp_path / "site")
    (tmp_path / "site" / "tables" / "empty.html").unlink()
    assert "index.html: tables/empty.html" in broken_links(tmp_path / "site")


def test_pages_are_sound(results):
    """Closed elements, ids of one element each, one first heading, none skipped, nothing from a network."""
    paths = sorted((results / "site").rglob("*.html"))
    assert len(paths) > 50
    for path in paths:
        found = parsed(path)
        assert found.open == [], path
        assert len(set(found.ids)) == len(found.ids), path
        levels = [int(heading[1]) for heading in found.headings]
        assert levels[0] == 1 and levels.count(1) == 1, path
        assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels)), path
        loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]*)"', path.read_text())
        assert loaded and not [link for link in loaded if link.startswith(("http", "//"))], path


def test_building_again_changes_nothing_and_removes_what_is_no_more(results, tmp_path):
    first = {path.relative_to(results): path.read_bytes() for path in sorted((results / "site").rglob("*.*"))}
    folder = tmp_path / "again"
    shutil.copytree(results, folder)
    (folder / "site" / "runs" / "0123456789ab.html").write_text("a run that has been removed")
    paths = build(folder)
    second = {path.relative_to(folder): path.read_bytes() for path in sorted((folder / "site").rglob("*.*"))}
    assert second == first
    assert {path.relative_to(folder) for path in paths} == first.keys()


def test_the_front_page_counts_verdicts(results):
    text = page(results, "index.html").text
    assert "reproduced 1 better 0 not reproduced 1 partial 0 not run 1" in text
    assert "5 runs of 2 models on 1 task, in 2 tables" in text
    assert "Copying <memory> & more" in text


def test_a_table_has_verdicts_sources_claims_and_curves(results):
    found = page(results, "tables/copying.html")
    assert "reproduced (+0.6 %)" in found.text and "not reproduced (×3)" in found.text and "not run" in found.text
    assert "Bai 2018, arXiv 1803.01271 (checked in the paper)" in found.text
    assert "not tested: LSTM beats TCN in test.nll; behind on the only seed, by -0.0204 in the mean." in found.text
    assert "LSTM (2 seeds)" in found.text and "baseline without memory" in found.text
    assert "LSTM (2 seeds), mean: from 0.2 to 0.0503 at 30" in found.text  # for who does not see the drawing
    assert "None of its rows has a finished run yet." in page(results, "tables/empty.html").text


def test_a_run_has_its_command_and_its_seeds(results):
    first, second = runs(results)["copy_t400/lstm", 0, 10000], runs(results)["copy_t400/lstm", 1, 10000]
    found = page(results, f"runs/{second}.html")
    assert "seqbench train experiment=copy_t400/lstm seed=1" in found.text
    assert f"../runs/{first}.html" in found.links
    assert "nll on test over 2 seeds: 0.0503 ± 0.00014" in found.text
    assert "All as experiment=copy_t400/lstm has them" in found.text
    assert "loss modelling" in found.text and "valid.linear 2.3" in found.text
    assert "1 h 7 min" in found.text and "AMD EPYC" in found.text and "torch 2.13.0" in found.text
    evaluated = page(results, f"runs/{first}.html").text
    assert f"seqbench eval run={first} evaluation=dynamic evaluation.lr=0.1" in evaluated


def test_a_run_of_no_row_says_what_differs(results):
    found = page(results, f"runs/{runs(results)['copy_t400/tcn', 0, 77]}.html").text
    assert "seqbench train experiment=copy_t400/tcn train.max_steps=77" in found
    assert "1 setting other than experiment=copy_t400/tcn has" in found
    assert "train.max_steps 77 10000" in found


def test_a_run_of_no_experiment_has_its_config_in_full(results):
    found = page(results, f"runs/{runs(results)[None, 0, 77]}.html").text
    assert "No experiment of this version has these settings." in found
    assert "head.bias false" in found


def test_a_model_has_its_equations_size_tables_and_speed(results):
    found = page(results, "models/lstm.html")
    assert "c_t = f * c_{t-1} + i * g" in found.text
    assert "so a layer holds 4 (H D + H^2 + 2 H) parameters." in found.text
    assert "../tables/copying.html#row-1" in found.links
    assert "torch.nn.LSTM 137.9 4.79 [4.58, 5.32]" in found.text
    assert "It stands in no table." in page(results, "models/indrnn.html").text
    assert "4.79" not in page(results, "models/tcn.html").text


def test_a_task_has_its_tables_and_baselines(results):
    found = page(results, "tasks/copy.html")
    assert {"../tables/copying.html#row-1", "../tables/empty.html#row-1"} <= set(found.links)
    assert "copy_t400/lstm 0.0495 nll" in found.text


def test_a_paper_is_a_link(results):
    assert "https://arxiv.org/abs/1803.01271" in page(results, "tables/copying.html").links


def test_the_command(results, seqbench_in, tmp_path):
    shutil.copytree(results, tmp_path / "results", ignore=shutil.ignore_patterns("site"))
    code, printed, errors = seqbench_in(tmp_path, "report")
    assert (code, errors) == (0, "")
    n_files = len([path for path in (results / "site").rglob("*") if path.is_file()])
    assert printed == f"results/site/index.html: {n_files} files\n"
    for path in (results / "site").rglob("*.html"):
        assert (tmp_path / "results" / "site" / path.relative_to(results / "site")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("arguments", [["copy"], ["results_dir=nowhere"]])
def test_a_mistake_is_one_sentence(seqbench, tmp_path, arguments):
    code, printed, errors = seqbench("report", *arguments)
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert not (tmp_path / "nowhere").exists()
