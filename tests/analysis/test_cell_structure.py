"""The analysis of structures, of a network whose choices are known, and of the real ones."""

import pytest
import torch

from seqbench.analysis.cell_structure import CellStructure
from seqbench.checks.analyses import check_analysis
from seqbench.checks.subjects import searched_words, words
from seqbench.config.compose import composed
from seqbench.contracts.analysis import Subject
from seqbench.engine.assemble import assemble_learner, assemble_task
from seqbench.errors import UserError
from seqbench.models.cells.structure.candidates import Chosen


def subject_of(made):
    return Subject(made.task, made.learner, 0, made.trajectory)


def of_task(*settings):
    config = composed([*settings])
    task = assemble_task(config)
    torch.manual_seed(0)
    return Subject(task, assemble_learner(config, task).eval(), seed=0, trajectory=lambda: iter(()))


def test_shares_are_counted():
    """A backbone that takes k1 of the first node at every third step, and k2 at the others."""
    subject = subject_of(searched_words())

    def structure(x, state=None):
        ks = ["k1" if t % 3 == 0 else "k2" for t in range(x.shape[1])]
        return [[Chosen(f"cell of {k}", (("first", k), ("second", "k0"), ("second", k))) for k in ks] for _ in x]

    subject.learner.backbone.structure = structure
    outcome = CellStructure(n_sequences=2, n_steps=9, n_printed=1)(subject)
    assert outcome.numbers == pytest.approx(
        {
            "first.k1": 1 / 3,
            "first.k2": 2 / 3,
            "second.k0": 1 / 2,
            "second.k1": 1 / 6,
            "second.k2": 1 / 3,
            "expressions": 2,
            "most_common": 2 / 3,
            "steps": 18,
        }
    )
    text = outcome.texts["cells"]
    assert " 66.67%  cell of k2" in text and "33.33%  first: k1" in text
    ids = subject.task.batch("test", 0).inputs[0, :9].tolist()
    steps = text.partition("Sequence 0")[2].splitlines()[1:]
    assert [line.split() for line in steps] == [
        [str(token), "cell", "of", "k1" if t % 3 == 0 else "k2"] for t, token in enumerate(ids)
    ]


def test_tokens_are_printed_by_their_names():
    subject = subject_of(searched_words())
    subject.task.vocabulary = [f"word {index}" for index in range(9)]
    ids = subject.task.batch("test", 0).inputs[0].tolist()
    assert f"'word {ids[0]}'  [" in CellStructure(n_sequences=1)(subject).texts["cells"]


def test_every_node_of_a_merged_search_has_shares_that_add_up():
    numbers = CellStructure(n_sequences=3)(subject_of(searched_words())).numbers
    for node in ("reset", "complement", "kept", "candidate", "new", "output"):
        assert sum(value for name, value in numbers.items() if name.startswith(f"{node}.")) == pytest.approx(1)


def test_a_tree_and_a_task_of_numbers():
    task = ["task=adding", "task.length=6", "task.train_size=20", "task.valid_size=10", "task.test_size=10"]
    subject = of_task(*task, "model=cell_search", "model.hidden_size=4", "model.search=tree")
    analysis = CellStructure(n_sequences=4, n_steps=5)
    check_analysis(analysis, subject)
    outcome = analysis(subject)
    assert outcome.numbers["steps"] == 20
    for question in ("triple", "operation", "function"):
        parts = [value for name, value in outcome.numbers.items() if name.startswith(f"{question}.")]
        assert sum(parts) == pytest.approx(1)
    assert outcome.texts["cells"].count("Sequence") == 3


def test_what_it_is_not_for():
    with pytest.raises(UserError, match="for a model that chooses its cell at each step"):
        CellStructure()(subject_of(words()))
