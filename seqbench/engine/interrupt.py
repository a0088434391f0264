"""Ctrl-C, a scheduler's SIGTERM or a terminal's SIGHUP: a run that is told to stop saves its step first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals(heeded: bool) -> Iterator[Callable[[], bool]]:
    """Whether a signal to stop has come, as a function; a second one of its kind stops at once, by
    `KeyboardInterrupt`. One that was ignored stays so; unless `heeded`, all do as before: several processes would have
    to agree on a step."""
    seen: set[int] = set()

    def note(number: int, frame: FrameType | None) -> None:
        if number in seen:
            raise KeyboardInterrupt
        seen.add(number)

    if not heeded or threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield lambda: False
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
