"""Tasks of earlier versions: settings that they had no word for, and language modelling in the first edition, a class
for each corpus, where one class has an argument `corpus` now."""

from __future__ import annotations

from typing import Any

LANGUAGE_MODELING = "seqbench.tasks.text.language_modeling.LanguageModeling"
_CORPORA = {  # class in the first edition -> corpus
    "seqbench.tasks.penn_treebank.PennTreebankWord": "ptb_word",
    "seqbench.tasks.penn_treebank.PennTreebankChar": "ptb_char",
    "seqbench.tasks.wikitext.WikiText2": "wikitext2",
    "seqbench.tasks.wikitext.WikiText103": "wikitext103",
    "seqbench.tasks.large_text.Text8": "text8",
    "seqbench.tasks.large_text.Enwik8": "enwik8",
}
_LATER_OF_TEXT = {"carries_state": True}  # settings added since, left out at their defaults
_LATER = {
    "seqbench.tasks.mnist.MNIST": {"binary": False},
    "seqbench.tasks.mnist_poisson.MNISTPoisson": {"public": None, "n_public": 128},
    "seqbench.tasks.imdb.IMDB": {"pad": "behind", "n_train": None},
}
_CLASSES = {corpus: target for target, corpus in _CORPORA.items()}


def former_corpus(target: str) -> str | None:
    """The corpus that a class stood for in the first edition, wherever in the tree it lay; None for another class."""
    return _CORPORA.get(_without_family(target))


def first_task(task: dict[str, Any]) -> dict[str, Any]:
    """A task's section as the first edition had it, in which it is hashed."""
    corpus = task.get("corpus")
    if _without_family(task["_target_"]) != _without_family(LANGUAGE_MODELING) or corpus not in _CLASSES:
        return _without(_LATER.get(task["_target_"], {}), task)
    settings = {key: value for key, value in task.items() if key not in ("_target_", "corpus")}
    return {"_target_": _CLASSES[corpus], **_without(_LATER_OF_TEXT, settings)}


def current_task(task: dict[str, Any]) -> dict[str, Any]:
    """A task's section as this version has it, of a config that may be the first edition's."""
    corpus = former_corpus(task["_target_"])
    if corpus is None:
        return task
    settings = {key: value for key, value in task.items() if key != "_target_"}
    return {"_target_": LANGUAGE_MODELING, "corpus": corpus, **settings}


def _without(later: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if (key, value) not in later.items()}


def _without_family(target: str) -> str:
    return target.replace("seqbench.tasks.text.", "seqbench.tasks.")
