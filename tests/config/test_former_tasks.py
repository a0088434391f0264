"""Configs of the first edition, in which each text corpus had a class of its own."""

import pytest

from seqbench.config.compat import fill_defaults
from seqbench.config.compose import composed
from seqbench.config.identity import hashed, run_id
from seqbench.config.schema import load, save
from seqbench.config.targets import check_node

FIRST = {
    "ptb_word": "penn_treebank.PennTreebankWord",
    "ptb_char": "penn_treebank.PennTreebankChar",
    "wikitext2": "wikitext.WikiText2",
    "wikitext103": "wikitext.WikiText103",
    "text8": "large_text.Text8",
    "enwik8": "large_text.Enwik8",
}


@pytest.mark.parametrize("corpus", FIRST)
def test_a_corpus_is_hashed_as_the_class_that_it_was(corpus):
    config = composed([f"task={corpus}", "model=lstm", "model.hidden_size=8"])
    task = hashed(config)["task"]
    assert task["_target_"] == f"seqbench.tasks.{FIRST[corpus]}"
    assert "corpus" not in task and task["bptt"] == config.task["bptt"]


@pytest.mark.parametrize("folder", ["seqbench.tasks", "seqbench.tasks.text"])
@pytest.mark.parametrize("corpus", FIRST)
def test_a_saved_config_of_then_is_one_of_now(folder, corpus, tmp_path):
    config = composed([f"task={corpus}", "model=lstm", "model.hidden_size=8"])
    former = composed([f"task={corpus}", "model=lstm", "model.hidden_size=8"])
    del former.task["corpus"], former.task["data_seed"], former.task["carries_state"]  # they came to be later
    former.task["_target_"] = f"{folder}.{FIRST[corpus]}"
    save(former, tmp_path / "config.yaml")
    loaded = fill_defaults(load(tmp_path / "config.yaml"))
    assert loaded.task == config.task
    check_node("task", loaded.task)
    assert run_id(loaded) == run_id(config)


def test_a_corpus_that_came_later_is_hashed_as_it_is():
    config = composed(["task=ptb_word", "model=lstm", "model.hidden_size=8"])
    config.task["corpus"] = "another"
    task = hashed(config)["task"]
    assert (task["_target_"], task["corpus"]) == ("seqbench.tasks.language_modeling.LanguageModeling", "another")
