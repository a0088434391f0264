"""The contract of a task as checks: each raises `AssertionError` with a sentence that says what does not hold.

For the project's own tasks and for a user's: `check_task(make)` calls all of them, `make` being a function that builds
the task anew. Every batch is looked at, so the task should be small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.task import SPLITS, Task

Make = Callable[[], Task]


def check_task(make: Make, regrouped: Make | None = None, fresh: bool = False) -> None:
    """All checks. `regrouped` builds the task of the same data with evaluation batches of another size, `fresh` says
    that training batches are new at every step."""
    task = make()
    check_version(task)
    check_number_of_batches(task)
    check_batch_first(task)
    check_inputs_and_outputs(task)
    check_pure(make)
    check_epochs(task, fresh)
    if regrouped is not None:
        check_remainder(task, regrouped())


def checks(make: Make) -> dict[str, Callable[[], None]]:
    """By name, what of the contract can be checked without knowing whether training data are new in each epoch."""
    return {
        "version": lambda: check_version(make()),
        "number of batches": lambda: check_number_of_batches(make()),
        "batch-first tensors": lambda: check_batch_first(make()),
        "inputs and outputs": lambda: check_inputs_and_outputs(make()),
        "batches are pure": lambda: check_pure(make),
    }


def check_version(task: Task) -> None:
    """The data have a name and a version that a record can keep."""
    for key in ("name", "version", "data_sha256"):
        assert key in task.version, f"version lacks {key}"
    assert json.loads(json.dumps(task.version)) == task.version, f"version is not JSON: {task.version}"
    for metric, value in task.baseline.items():
        assert isinstance(value, float), f"baseline {metric} is no number: {value!r}"


def check_number_of_batches(task: Task) -> None:
    """A pass has `n_batches` batches, none of them empty, and the one after them begins the next pass."""
    for split in SPLITS:
        n_batches = task.n_batches(split)
        assert type(n_batches) is int and n_batches >= 1, f"n_batches('{split}') is {n_batches!r}"
        for index, batch in enumerate(_one_pass(task, split)):
            assert batch.count() > 0, f"batch {index} of {split} scores nothing"
            begins = index == 0 or not task.continuous
            assert batch.reset == begins, f"batch {index} of {split} has reset={batch.reset}"
        assert task.batch(split, n_batches).reset, f"the pass after the first over {split} goes on with its state"
        if split != "train":
            again = task.batch(split, n_batches)
            assert same_batch(again, task.batch(split, 0)), f"batch {n_batches} of {split} is not its first one again"


def check_batch_first(task: Task) -> None:
    """The first axis of every tensor is the batch, and the second one of inputs, targets and their masks is time, which
    targets lack where there is one output a sequence."""
    for split in SPLITS:
        for index, batch in enumerate(_one_pass(task, split)):
            where = f"of batch {index} of {split}"
            for name, tensor in batch.tensors().items():
                assert tensor.shape[0] == batch.size, f"{name} {where} has {tuple(tensor.shape)}, not {batch.size} rows"
            steps = batch.inputs.shape[:2]
            if task.outputs.per == "step" and task.outputs.kind != "none":
                assert batch.targets.shape[:2] == steps, f"targets {where} are not one for each input"
            for name, mask_BT in (("valid_BT", batch.valid_BT), ("inputs_valid_BT", batch.inputs_valid_BT)):
                if mask_BT is not None:
                    assert mask_BT.dtype == torch.bool, f"{name} {where} is {mask_BT.dtype}"
                    assert mask_BT.shape == steps, f"{name} {where} is not one for each input"


def check_inputs_and_outputs(task: Task) -> None:
    """Inputs and targets are what the task says of them."""
    inputs, outputs = task.inputs, task.outputs
    n_axes = 2 if outputs.per == "step" else 1  # of targets that are classes
    for split in SPLITS:
        for index, batch in enumerate(_one_pass(task, split)):
            where = f"of batch {index} of {split}"
            if inputs.n_tokens is not None:
                _check_ids(batch.inputs, inputs.n_tokens, 2, f"inputs {where}")
            else:
                _check_reals(batch.inputs, inputs.n_features, 3, f"inputs {where}")
            if outputs.kind == "classes":
                _check_ids(batch.targets, outputs.size, n_axes, f"targets {where}")
            elif outputs.kind in ("reals", "densities", "bits"):
                _check_reals(batch.targets, outputs.size, n_axes + 1, f"targets {where}")
            if outputs.kind == "bits":
                bits = ((batch.targets >= 0) & (batch.targets <= 1)).all()
                assert bool(bits), f"targets {where} are not bits or probabilities of them, from 0 to 1"


def check_pure(make: Make) -> None:
    """A batch depends on its index alone: not on what was asked before, by whom, or done to an earlier copy."""
    forwards, backwards = make(), make()
    for split in SPLITS:
        indices = range(2 * forwards.n_batches(split))
        first = [forwards.batch(split, index).map(torch.clone) for index in indices]
        for index in reversed(indices):
            batch = backwards.batch(split, index)
            assert same_batch(batch, first[index]), f"batch {index} of {split} depends on what was asked before"
            batch.map(torch.Tensor.zero_)
            again = backwards.batch(split, index)
            assert same_batch(again, first[index]), f"batch {index} of {split} shares its memory with the task"


def check_epochs(task: Task, fresh: bool = False) -> None:
    """Each epoch of training has the same targets, in whatever order; or, where it is `fresh` or draws each batch by
    itself, others."""
    first, second = _targets(task, "train", 0), _targets(task, "train", task.n_batches("train"))
    if fresh or task.sampling is not None:
        assert first != second, "training batches are not new in the second epoch"
    else:
        assert first == second, "the second epoch has not the targets of the first"


def check_remainder(task: Task, regrouped: Task) -> None:
    """What is scored does not depend on the size of a batch: nothing is left out at the end, nothing comes twice."""
    for split in ("valid", "test"):
        assert _targets(task, split) == _targets(regrouped, split), f"the targets of {split} depend on the batch's size"


def same_batch(batch: Batch, other: Batch) -> bool:
    """Whether two batches have the same fields, tensors to the bit."""
    tensors, others = batch.tensors(), other.tensors()
    if type(batch) is not type(other) or tensors.keys() != others.keys():
        return False
    plain = [field.name for field in fields(batch) if field.name not in tensors]
    return all(getattr(batch, name) == getattr(other, name) for name in plain) and all(
        tensor.dtype == others[name].dtype and torch.equal(tensor, others[name]) for name, tensor in tensors.items()
    )


def _one_pass(task: Task, split: str, first: int = 0) -> Iterator[Batch]:
    for index in range(first, first + task.n_batches(split)):
        yield task.batch(split, index)


def _targets(task: Task, split: str, first: int = 0) -> list[list[float]]:
    """The scored targets of one pass: of a continuous split each row's in order, else each sequence's, sorted."""
    batches = [*_one_pass(task, split, first)]
    if task.continuous:
        return torch.cat([batch.targets for batch in batches], 1).tolist()
    rows = []
    for batch in batches:
        valid_BT = [...] * batch.size if batch.valid_BT is None else batch.valid_BT
        rows += [target[valid].flatten().tolist() for target, valid in zip(batch.targets, valid_BT, strict=True)]
    return sorted(rows)


def _check_ids(ids: Tensor, n_ids: int, n_axes: int, what: str) -> None:
    assert ids.dtype == torch.long, f"{what} are {ids.dtype}, not int64"
    assert ids.dim() == n_axes, f"{what} have {ids.dim()} axes, not {n_axes}"
    low, high = int(ids.min()), int(ids.max())
    assert low >= 0 and high < n_ids, f"{what} are from {low} to {high}, not below {n_ids}"


def _check_reals(reals: Tensor, n_features: int | None, n_axes: int, what: str) -> None:
    assert reals.dtype == torch.float32, f"{what} are {reals.dtype}, not float32"
    assert reals.dim() == n_axes, f"{what} have {reals.dim()} axes, not {n_axes}"
    assert reals.shape[-1] == n_features, f"{what} have {reals.shape[-1]} features, not {n_features}"
    assert bool(reals.isfinite().all()), f"{what} are not finite"
