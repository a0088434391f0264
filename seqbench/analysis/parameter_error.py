"""How far learned weights are from those that made the data, over the sequences seen.

For a network whose hidden units may come in any order, and with both signs of a unit's incoming weights turned, as
those of a quadratic recurrent network may (Sedghi and Anandkumar 2016, arXiv 1603.00954).
"""

from __future__ import annotations

import itertools
import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from seqbench.contracts.analysis import Analysis, Figure, Outcome, Subject, Weights
from seqbench.contracts.ranges import Count
from seqbench.errors import UserError

NAMES = ("input_weight", "output_weight", "recurrent_weight")
MOST_UNITS = 8  # all orders of them are tried


@runtime_checkable
class Teacher(Protocol):
    """A task whose data a network has made."""

    def teacher(self) -> dict[str, Tensor]:
        """Its weights, by the names that a learner of its kind gives them."""
        ...


class ParameterError(Analysis):
    """Relative Frobenius errors of the weights at each checkpoint, and the slope of their logarithms over that of the
    number of sequences, by least squares: -1/2 where the method is consistent at the usual rate.

    - n_points: checkpoints that are compared, evenly spaced in the logarithm of the sequences.
    """

    needs_trajectory = True

    def __init__(self, n_points: Count = 40):
        self.n_points = n_points

    def __call__(self, subject: Subject) -> Outcome:
        task = subject.task
        if not isinstance(task, Teacher):
            raise UserError(
                "analysis=parameter_error is for data that a network has made, not for the task "
                f"{task.version['name']}."
            )
        teacher = task.teacher()
        shapes = {name: tuple(value.shape) for name, value in subject.learner.named_parameters()}
        if any(shapes.get(name) != tuple(teacher[name].shape) for name in NAMES):
            raise UserError(
                "analysis=parameter_error compares networks of one kind and size; this model's parameters are not "
                "those of the network that made the data."
            )
        if shapes["recurrent_weight"][0] > MOST_UNITS:
            raise UserError(f"analysis=parameter_error tries all orders of the hidden units, at most {MOST_UNITS}.")
        size = task.batch("train", 0).size
        points = [(step * size, errors(weights, teacher)) for step, weights in subject.trajectory()]
        points = spaced(points, self.n_points)
        lines = {name: [(float(n), found[name]) for n, found in points] for name in NAMES}
        numbers = {f"{name}.error": lines[name][-1][1] for name in NAMES}
        if len(points) > 1:
            numbers |= {f"{name}.slope": slope(lines[name]) for name in NAMES}
        numbers["n_sequences"] = float(points[-1][0])
        figure = Figure("sequences", "relative error", lines, log=("x", "y"))
        return Outcome(numbers, {"errors": figure})


def errors(weights: Weights, teacher: Weights) -> dict[str, float]:
    """The errors in the order and with the signs of the hidden units that fit the input weights best."""
    a_HX, truth_HX = weights["input_weight"].double(), teacher["input_weight"].double()
    similarity_HH = truth_HX @ a_HX.T
    n_units = len(a_HX)
    order = max(
        itertools.permutations(range(n_units)),
        key=lambda order: sum(abs(float(similarity_HH[j, k])) for j, k in enumerate(order)),
    )
    sign_H = torch.stack([similarity_HH[j, k].sign() for j, k in enumerate(order)])
    aligned = {
        "input_weight": a_HX[list(order)] * sign_H[:, None],
        "output_weight": weights["output_weight"].double()[list(order)],
        "recurrent_weight": weights["recurrent_weight"].double()[list(order)][:, list(order)] * sign_H[:, None],
    }
    return {name: float((aligned[name] - teacher[name]).norm() / teacher[name].norm()) for name in NAMES}


def spaced(points: list, n_points: int) -> list:
    """So many of the points (n, ...), or fewer, nearest to even spaces in log n, the first and the last among them."""
    logs = [math.log(n) for n, _ in points]
    wanted = [logs[0] + (logs[-1] - logs[0]) * i / max(n_points - 1, 1) for i in range(n_points)]
    nearest = [min(range(len(logs)), key=lambda index, x=x: abs(logs[index] - x)) for x in wanted]
    return [points[index] for index in sorted({*nearest, len(points) - 1})]


def slope(points: list[tuple[float, float]]) -> float:
    """Of log y over log x, by least squares."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return covariance / sum((x - mean_x) ** 2 for x in xs)
