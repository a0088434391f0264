"""The training loop.

A step is a pure function of the weights, the optimizer's state, the carried state and the step's number: randomness is
seeded from them, the batch and the learning rate are looked up by number. So a run can stop after any step, and what a
checkpoint holds is the whole of it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from seqbench.contracts.evaluation import Findings
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.pytree import detach
from seqbench.engine.runtime import Run, save
from seqbench.errors import RunError
from seqbench.evaluation.protocols import Spelled


def fit(run: Run, stopping: Callable[[], str] = lambda: "") -> None:
    """Train from where `run.progress` stands to the end, or until `stopping()` says why; then it is saved and
    a `KeyboardInterrupt` tells so."""
    progress = run.progress
    started = time.perf_counter() - progress.seconds
    run.log.start(progress.step, run.max_steps, progress.n_tokens)
    while progress.step < run.max_steps and not _ends_early(run):
        with _stopping():
            loss_sum, count, norm = train_step(run)
        progress.step += 1
        evaluates = progress.step % run.eval_every == 0 or progress.step == run.max_steps
        stops = stopping()
        saves = evaluates or bool(stops) or (run.save_every is not None and progress.step % run.save_every == 0)
        logs = progress.step % run.log_every == 0
        run.log.advance(progress.step)
        if logs or saves:
            (total,) = run.world.sum([float(loss_sum)])
            _check_finite(run, norm)
        if logs:
            row = {"step": progress.step, "loss": total / count, "lr": run.optimizer.lr(), "grad_norm": float(norm)}
            run.log.train({**row, **_diagnostics(run)}, progress.n_tokens)
        if evaluates:
            _evaluate(run)
        if saves:
            progress.seconds = time.perf_counter() - started
            save(run, evaluates, best=evaluates and progress.best_step() == progress.step)
        if stops:
            raise KeyboardInterrupt(f"{stops} at step {progress.step:,}, which is saved; the same command resumes.")


def train_step(run: Run) -> tuple[torch.Tensor, int, torch.Tensor]:
    """One optimizer step: (this process's loss sum, all processes' target count, gradient norm)."""
    progress, world = run.progress, run.world
    seed = (run.seed << 44) + (progress.step << 12)
    torch.manual_seed(seed + world.rank)
    accumulate = run.settings.accumulate
    batches = [run.task.batch("train", progress.step * accumulate + index) for index in range(accumulate)]
    lr_scale = sum(batch.lr_scale for batch in batches) / accumulate
    run.optimizer.set_factor(run.schedule(progress.step, progress.history) * lr_scale)
    count = sum(batch.count() for batch in batches) or 1  # rows that are drawn at random may be none
    loss_scale = run.scaler.get_scale() * world.size / count
    run.optimizer.begin(StepFacts(progress.step, progress.history, count, loss_scale, seed))
    run.trained.train()
    run.learner.diagnostics()  # of this step alone, as the loss is: nothing more for a checkpoint to hold
    run.optimizer.zero_grad()
    step_loss = torch.zeros((), dtype=torch.float64, device=world.device)
    for index, batch in enumerate(map(world.shard, batches)):
        carry = None if batch.reset else detach(progress.carry)  # this line is truncated back-propagation through time
        later = index < accumulate - 1 or run.optimizer.reduces_gradients  # processes add gradients up
        with world.unreduced(run.trained) if later else contextlib.nullcontext():
            with run.autocast():
                loss_sum, progress.carry, aux = run.trained(batch, carry)
            loss = loss_sum * (world.size / count)
            if aux is not None and batch.size:  # a mean over this process's rows
                loss = loss + aux * (batch.size * world.size / batches[index].size / accumulate)
            if loss.requires_grad:  # some learners have no gradient
                run.scaler.scale(loss).backward()
        step_loss += loss_sum.detach()
    run.optimizer.restore()
    for optimizer in run.optimizer.all():
        run.scaler.unscale_(optimizer)
    limit = run.settings.grad_clip
    norm = nn.utils.clip_grad_norm_(run.learner.parameters(), math.inf if limit is None else limit)
    for optimizer in run.optimizer.all():
        run.scaler.step(optimizer)
    run.scaler.update()
    run.learner.after_step(world.peers)
    progress.running = [progress.running[0] + step_loss, progress.running[1] + count]
    progress.n_tokens += sum(batch.n_positions() for batch in batches)
    return step_loss, count, norm


def evaluate(run: Run, split: str) -> tuple[dict[str, float], Findings]:
    """The metrics of a split, over all processes, and what the evaluation has to tell beside them."""
    train = (run.world.shard(run.task.batch("train", index)) for index in range(run.task.n_batches("train")))
    run.learner.prepare_evaluation(train, run.world.peers)
    run.learner.eval()
    run.learner.diagnostics()
    shards = (run.world.shard(run.task.batch(split, index)) for index in range(run.task.n_batches(split)))
    with _stopping(), run.autocast():
        findings = run.evaluation(run.task, run.learner, (batch for batch in shards if batch.size))
    names = sorted(findings.sums)
    total = run.world.sum([number for name in names for number in findings.sums[name]])
    sums = {name: (total[2 * i], round(total[2 * i + 1])) for i, name in enumerate(names)}
    metrics, task = run.evaluation.metrics(run.task, sums), run.task
    if isinstance(task, Spelled) and "nll" in metrics:
        metrics |= task.text_metrics(split, metrics["nll"])
    return {**metrics, **_diagnostics(run)}, findings


def _diagnostics(run: Run) -> dict[str, float]:
    """The model's diagnostics since they were last read, over all processes: means."""
    sums = run.learner.diagnostics()
    total = run.world.sum([number for pair in sums.values() for number in pair])
    return {name: total[2 * i] / total[2 * i + 1] for i, name in enumerate(sums) if total[2 * i + 1]}


def _evaluate(run: Run) -> None:
    progress, selection = run.progress, run.task.selection
    (total,) = run.world.sum([float(progress.running[0])])
    with run.optimizer.averaged():
        metrics = {**evaluate(run, "valid")[0], **run.optimizer.spent()}
    if not math.isfinite(metrics[selection]):
        raise _not_finite(run, f"The {selection} on valid is not finite ({metrics[selection]}) at")
    run.log.evaluation(
        {"step": progress.step, "train": total / progress.running[1], "valid": metrics}, progress.n_tokens
    )
    progress.history.append(metrics[selection])
    progress.history_steps.append(progress.step)
    progress.running = [0.0, 0]


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """A model that cannot go on says why in a `FloatingPointError`."""
    try:
        yield
    except FloatingPointError as error:
        raise RunError(f"{error} The last good checkpoint is kept.") from error


def _ends_early(run: Run) -> bool:
    """Whether valid has reached its target, or has not improved for `patience` evaluations. It follows from the history
    alone, so a run that is resumed at its end stays there."""
    history, target, patience = run.progress.history, run.settings.stop_below, run.settings.patience
    if not history:
        return False
    reached = target is not None and history[-1] < target
    since_best = len(history) - 1 - history.index(min(history))
    return reached or (patience is not None and since_best >= patience)


def _check_finite(run: Run, norm: torch.Tensor) -> None:
    (total,) = run.world.sum([float(run.progress.running[0])])
    if not math.isfinite(total):
        raise _not_finite(run, f"The loss is not finite ({total}) by")
    if not run.scaler.is_enabled() and not math.isfinite(norm):  # the scaler leaves such a step out, and goes on
        raise _not_finite(run, f"The gradient is not finite (norm {float(norm)}) at")


def _not_finite(run: Run, what: str) -> RunError:
    return RunError(
        f"{what} step {run.progress.step}; the last good checkpoint is kept. A lower learning rate (optimizer.lr) or "
        "train.grad_clip may help."
    )
