"""How long to wait before a request is made again, and the clocks for it.

Waits grow by a factor of two, each times a random number from 1/2 to 3/2, so that requests that failed together are
not made again together. Where the system says how long to wait, no request is made before.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from smalti.progress import duration
from smalti.temperature.reply import AskError

__all__ = ["LONGEST_WAIT", "Clocks", "asked_again", "tries_of", "wait_before"]

LONGEST_WAIT = 600.0
"""Most seconds that a system may ask to wait; whoever must wait longer comes back later."""

_FIRST, _MOST = 0.5, 60.0
_PAID_TRIES = 3

Answered = TypeVar("Answered")


@dataclass(frozen=True)
class Clocks:
    """Where time comes from.

    Attributes:
        wall: seconds since the epoch; may go backwards, and is only shown.
        steady: seconds that never go back.
        rest: waits a number of seconds, or less if the event is set.
        stop: ends all waiting.
    """

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    rest: Callable[[float, threading.Event], object] = lambda seconds, stop: stop.wait(seconds)
    stop: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Waits, or returns at once when all waiting was ended."""
        if seconds > 0:
            self.rest(seconds, self.stop)


def tries_of(error: AskError, tries: int) -> int:
    """How often a request that failed in this way is made: once if that is for good, and a few times where an answer
    may have been paid for.
    """
    if not error.passing:
        return 1
    return tries if error.free else min(tries, _PAID_TRIES)


def wait_before(error: AskError, tried: int) -> float:
    """Seconds to wait before a request is made again.

    Args:
        error: how it failed.
        tried: how often it was made, from 1.

    Raises:
        AskError: the system asks to wait longer than `LONGEST_WAIT`.
    """
    asked = error.wait or 0.0
    if asked > LONGEST_WAIT:
        sentence = f"{error}; it asks to come back in {duration(asked)}"
        raise AskError(error.kind, sentence, status=error.status, body=error.body) from error
    return max(asked, min(_MOST, _FIRST * 2.0 ** (tried - 1)) * random.uniform(0.5, 1.5))


def asked_again(ask: Callable[[], Answered], *, tries: int, clocks: Clocks) -> Answered:
    """Asks until there is an answer, or the failures are too many or for good.

    Args:
        ask: asks once.

    Keyword Args:
        tries: most requests, see `tries_of`.
        clocks: where time comes from.

    Raises:
        AskError: the last failure.
    """
    tried = 0
    while True:
        try:
            return ask()
        except AskError as error:
            tried += 1
            if tried >= tries_of(error, tries) or clocks.stop.is_set():
                raise
            clocks.wait(wait_before(error, tried))
