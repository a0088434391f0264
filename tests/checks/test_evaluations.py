"""The contracts of evaluations and analyses: of every file of conf/, and of some that break them, which is noticed."""

import functools

import pytest
import torch

from seqbench.checks import analyses, evaluations
from seqbench.checks.subjects import SUBJECTS, sentences, words
from seqbench.checks.tasks import check_batch_first, check_inputs_and_outputs, check_number_of_batches, check_pure
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.contracts.analysis import Analysis, Figure, Outcome
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.engine.assemble import instantiate
from seqbench.errors import ConfigError, UserError
from seqbench.evaluation.scoring import score

FEW = {
    "automaton": ["analysis.n_lengths=3", "analysis.n_words=6"],
    "loss_modelling": ["analysis.n_points=2", "analysis.n_rows=20"],
}


@pytest.mark.parametrize("name", options("evaluation"))
def test_contract_of_an_evaluation(name):
    node = composed([f"evaluation={name}"]).evaluation
    for check in evaluations.checks(functools.partial(instantiate, "evaluation", node)).values():
        check()


@pytest.mark.parametrize("name", options("analysis"))
def test_contract_of_an_analysis(name):
    node = composed([f"analysis={name}", *FEW.get(name, [])]).analysis
    for check in analyses.checks(functools.partial(instantiate, "analysis", node)).values():
        check()


@pytest.mark.parametrize("make", SUBJECTS)
def test_what_they_are_tried_on_is_a_task(make):
    task = make().task
    for check in (check_number_of_batches, check_batch_first, check_inputs_and_outputs):
        check(task)
    check_pure(lambda: make().task)


class Loss(Evaluation):
    """The plain loss; wrong in one way."""

    category = "plain"
    context = "all"
    memory = "none"

    def __init__(self, fault=None):
        self.fault = fault
        if fault == "split":
            self.splits = ("valid", "dev")
        if fault == "category":
            self.category = None

    def __call__(self, task, learner, batches):
        whole = list(batches)
        sums = score(learner, whole, "loss" if self.fault == "name" else "nll")
        if self.fault == "random":
            sums["nll"] = (sums["nll"][0] + float(torch.rand(())), sums["nll"][1])
        if self.fault == "trains":
            with torch.no_grad():
                next(learner.parameters()).mul_(0.5)
        if self.fault == "mode":
            learner.train()
        if self.fault == "mean":
            sums["nll"] = (float("nan"), 0)
        if self.fault == "empty" and not whole:
            sums = {}
        return Findings(sums)


OF_EVALUATIONS = [
    ("category", "what it says of itself", "the evaluation does not state its category"),
    ("split", "what it says of itself", r"\('valid', 'dev'\) are not all splits"),
    ("mean", "sums", "the sum of nll is nan"),
    ("name", "sums", "the metrics lack nll, which selects"),
    ("random", "the same again", "a second evaluation comes to something else"),
    ("trains", "weights", "evaluating has changed backbone"),
    ("mode", "weights", "the evaluation leaves the learner in training mode"),
    ("empty", "a process without batches", "without a batch the sums are not the same names with zeros"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), OF_EVALUATIONS, ids=[fault for fault, _, _ in OF_EVALUATIONS])
def test_a_fault_of_an_evaluation_is_noticed(fault, name, sentence):
    evaluations.checks(Loss)[name]()
    with pytest.raises(AssertionError, match=sentence):
        evaluations.checks(lambda: Loss(fault))[name]()


class Norms(Analysis):
    """The norms of the weights; wrong in one way."""

    def __init__(self, fault=None):
        self.fault = fault

    def __call__(self, subject):
        numbers = {name: float(value.detach().norm()) for name, value in subject.learner.named_parameters()}
        if self.fault == "only for labels":
            raise UserError(f"Norms are for labels, not for the task {subject.task.version['name']}.")
        if self.fault == "random":
            numbers["luck"] = float(torch.rand(()))
        if self.fault == "prunes":
            with torch.no_grad():
                next(subject.learner.parameters()).zero_()
        if self.fault == "mode":
            subject.learner.train()
        if self.fault == "infinite":
            numbers["worst"] = float("inf")
        points = [] if self.fault == "no points" else [(0.0, torch.ones(()) if self.fault == "tensor" else 1.0)]
        return Outcome({} if self.fault == "nothing" else numbers, {"norms": Figure("step", "norm", {"all": points})})


OF_ANALYSES = [
    ("nothing", "numbers and figures", "no numbers come out"),
    ("infinite", "numbers and figures", "worst is inf, not a finite number"),
    ("no points", "numbers and figures", "the figure norms has a line without points"),
    ("tensor", "numbers and figures", "the figure norms cannot be kept in a record: .*Tensor is not JSON serializable"),
    ("random", "the same again", "a second analysis comes to something else"),
    ("prunes", "weights", "the analysis has changed backbone"),
    ("mode", "weights", "the analysis leaves the learner in training mode"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), OF_ANALYSES, ids=[fault for fault, _, _ in OF_ANALYSES])
def test_a_fault_of_an_analysis_is_noticed(fault, name, sentence):
    analyses.checks(Norms)[name]()
    with pytest.raises(AssertionError, match=sentence):
        analyses.checks(lambda: Norms(fault))[name]()


def test_what_suits_none_of_the_tasks_is_told_how_to_name_one():
    with pytest.raises(ConfigError, match=r"no task for this class \(Norms are for .* words\. .*name one, and a model"):
        analyses.checks(lambda: Norms("only for labels"), (words, sentences))["weights"]()
