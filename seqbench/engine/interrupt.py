"""Ctrl-C, a scheduler's SIGTERM or a terminal's SIGHUP: a run that is told to stop saves its step first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

STOP_AT = "SEQBENCH_STOP_AT"  # seconds since 1970: environment variables reach a launcher's processes, too
PASSED_ON = signal.SIGUSR1  # to the process that trains: a SIGTERM to all of a group would be its second one
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, PASSED_ON)


def out_of_time() -> str:
    """Why to stop: "" unless the environment sets a time and it has come."""
    stop_at = os.environ.get(STOP_AT)
    return "Out of time" if stop_at and time.time() >= float(stop_at) else ""


@contextlib.contextmanager
def stop_signals(heeded: bool) -> Iterator[Callable[[], str]]:
    """Why to stop, as a function: "" until a signal has come or the time is over; a second signal of its kind stops at
    once, by `KeyboardInterrupt`. One that was ignored stays so; unless `heeded`, all do as before: several processes
    would have to agree on a step."""
    seen: set[int] = set()

    def note(number: int, frame: FrameType | None) -> None:
        if number in seen:
            raise KeyboardInterrupt
        seen.add(number)

    if not heeded:
        yield lambda: ""
    elif threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield out_of_time
    else:
        with _handled(SIGNALS, note):
            yield lambda: "Interrupted" if seen else out_of_time()


@contextlib.contextmanager
def passed_on(process: subprocess.Popen, number: int) -> Iterator[Callable[[], bool]]:
    """SIGTERM and SIGHUP to this process alone, as `kill` sends them, reach the one that trains, as `number`. The value
    tells whether any has come."""
    seen: set[int] = set()

    def pass_on(received: int, frame: FrameType | None) -> None:
        if not seen:
            process.send_signal(number)
        seen.add(received)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    with _handled((signal.SIGTERM, signal.SIGHUP), pass_on):
        yield lambda: bool(seen)


@contextlib.contextmanager
def _handled(numbers: tuple[int, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def stop_with_parent() -> None:
    """From now on, once the process that started this one is gone, killed even, SIGTERM this one, and end it as soon as
    what it runs has saved its step."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)  # whose handler, while a run has one, passes it on
    while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        time.sleep(0.05)
    os._exit(1)
