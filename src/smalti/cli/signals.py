"""How a command ends when a person or the system asks it to: at once, or at the next good place."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

__all__ = ["asked_to_stop", "terminated_as_interrupted"]


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM end what is under way as Ctrl-C does."""
    with _handled(_interrupt, signal.SIGTERM):
        yield


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has asked to stop; asked twice, what is under way is interrupted."""
    asked = False

    def ask() -> None:
        nonlocal asked
        if asked:
            _interrupt()
        asked = True

    with _handled(ask, signal.SIGINT, signal.SIGTERM):
        yield lambda: asked


def _interrupt() -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _handled(handle: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    try:
        before = {number: signal.signal(number, lambda *_: handle()) for number in numbers}
    except ValueError:  # not the main thread, where no signal comes
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
