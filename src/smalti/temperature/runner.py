"""Asks what a plan says, and keeps every response.

Requests of a round run in threads, as many at a time as the round's width. A request that fails in passing is made
again after a while; where a system says that there are too many requests, all of them wait. A failure that any other
request would meet too ends the measurement; one that belongs to the request is counted, and the measurement goes on.
Whatever happens, what was answered is in the folder, and the measurement can go on from there.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.progress import SILENT, Progress, Task
from smalti.temperature.backoff import Clocks, tries_of, wait_before
from smalti.temperature.plan import Budget, Plan, Request, Round, budget_of
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Recording
from smalti.temperature.reply import AskError, Dialect, Reply
from smalti.temperature.store import Attempt, Measurement, Setup, is_measurement

__all__ = ["Asked", "System", "ask_missing", "measure"]

_FAREWELL = 0.5  # seconds in which what has come may be kept, when no more is asked
_MOST_IN_A_ROW = 10
_MOST_BROKEN = 3
"""Requests that may fail one after the other before the measurement ends: of any kind, and by errors of the server or
for want of an answer in time, each of which was asked several times before."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One answer of a system.

    Attributes:
        reply: what it says.
        body: the response as it came, which `reply` can be read from again.
        status: status of the response; None where there is no such thing.
        cached: whether the system said that a cache answered; None where it said nothing of it.
    """

    reply: Reply
    body: bytes
    status: int | None = None
    cached: bool | None = None


class System(Protocol):
    """What can be measured."""

    dialect: Dialect
    notes: tuple[str, ...]

    @property
    def about(self) -> dict[str, str]:
        """What it is, by name; never a key."""
        ...

    def ask(self, prompt: Prompt) -> Asked:
        """Asks once, with as little randomness as the system allows; called from several threads.

        Raises:
            AskError: there is no answer.
        """
        ...

    def close(self) -> None:
        """Ends all requests that are under way, if it can; there will be no others."""
        ...


def measure(
    folder: str | Path,
    system: System,
    prompts: Sequence[Prompt],
    plan: Plan,
    *,
    existing: Literal["refuse", "resume"] = "refuse",
    budget: Budget | None = None,
    command: Sequence[str] = (),
    tries: int = 8,
    clocks: Clocks | None = None,
    progress: Progress = SILENT,
) -> Recording:
    """Carries out a measurement in a folder. Tier: *statistical*: what a system answers is its own.

    Args:
        folder: the folder of the measurement, see `smalti.temperature.store`.
        system: what is asked.
        prompts: the prompts of the plan.
        plan: the requests.

    Keyword Args:
        existing: what to do if the folder holds this measurement: "refuse", or "resume", which asks what has no
            answer yet. A folder without one is begun in both cases.
        budget: how many answers may be paid for; that of the missing requests unless given.
        command: the command line, kept in measure.json.
        tries: how often a request that fails in passing is made; fewer times where an answer may be paid for.
        clocks: where time comes from.
        progress: where progress is shown.

    Returns:
        What was answered, earlier answers included.

    Raises:
        InputError: the folder holds something else or cannot be written; the system fails for good, or nothing was
            answered. What was answered is in the folder.
        UsageError: the plan is for another number of prompts.
    """
    folder = Path(folder)
    if plan.prompts != len(prompts):
        raise UsageError(f"The plan is for {plan.prompts:,} prompts, but there are {len(prompts):,}.")
    setup = Setup(
        system=system.about,
        dialect=system.dialect,
        prompts=tuple(prompts),
        plan=plan,
        notes=system.notes,
        command=tuple(command),
    )
    if existing == "resume" and is_measurement(folder):
        measurement = Measurement.opened(folder)
        changed = measurement.setup.changed_from(setup)
        if changed:
            raise InputError(
                f"'{shown(folder)}' holds a measurement with other settings ({', '.join(changed)}): choose another "
                "folder, or repeat the settings in its measure.json"
            )
    else:
        measurement = Measurement.begun(folder, setup)
    ask_missing(measurement, system, budget=budget, tries=tries, clocks=clocks, progress=progress)
    return measurement.recording()


def ask_missing(
    measurement: Measurement,
    system: System,
    *,
    budget: Budget | None = None,
    tries: int = 8,
    clocks: Clocks | None = None,
    progress: Progress = SILENT,
) -> None:
    """Asks whatever has no answer yet; arguments and errors as `measure`."""
    with measurement.adding():
        missing = measurement.missing()
        if not missing:
            return
        setup = measurement.setup
        budget = budget_of(missing, setup.prompts, max_tokens=setup.dialect.max_tokens) if budget is None else budget
        with progress.task("asking", len(missing)) as task:
            run = _Run(measurement, system, budget, tries, Clocks() if clocks is None else clocks, task)
            run.all(set(missing))


class _Run:
    """The state of one go at a measurement."""

    def __init__(
        self, measurement: Measurement, system: System, budget: Budget, tries: int, clocks: Clocks, task: Task
    ) -> None:
        self._measurement, self._system, self._tries, self._clocks, self._task = (
            measurement,
            system,
            tries,
            clocks,
            task,
        )
        self._order = measurement.next_order
        self._left = budget.requests + budget.spare
        self._most = self._left
        self._not_before = float("-inf")
        self._in_a_row = 0
        self._answered = 0
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._over = False

    def all(self, missing: set[Request]) -> None:
        """Asks these requests in the order of the plan."""
        plan = self._measurement.setup.plan
        begun = False
        for block in sorted({request.block for request in missing}):
            if begun:
                self._clocks.wait(plan.pause)
            begun = True
            for each in plan.rounds(block):
                left = Round(tuple(request for request in each.requests if request in missing), each.width)
                if left.requests:
                    self._round(left)

    def _round(self, each: Round) -> None:
        # Threads that nobody waits for at the end: a callable that is under way cannot be ended.
        waiting, ends = iter(each.requests), queue.SimpleQueue[BaseException | None]()
        threads = [
            threading.Thread(target=self._several, args=(waiting, ends), daemon=True)
            for _ in range(min(each.width, len(each.requests)))
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                failure = ends.get()
                if failure is not None:
                    raise failure
        except BaseException:
            # What is under way is given up: a person who stops this does not want to wait for it.
            self._clocks.stop.set()
            self._system.close()
            over = time.monotonic() + _FAREWELL
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, over - time.monotonic()))
            raise
        finally:
            if self._clocks.stop.is_set():
                # An answer that is being kept is kept whole; one that comes later is none.
                with self._keeping:
                    self._over = True

    def _several(self, waiting: Iterator[Request], ends: queue.SimpleQueue[BaseException | None]) -> None:
        """Asks one request after the other until there are no more; says how it ended."""
        try:
            while not self._clocks.stop.is_set():
                with self._lock:
                    request = next(waiting, None)
                if request is None:
                    break
                self._request(request)
        except BaseException as failure:
            ends.put(failure)
        else:
            ends.put(None)

    def _request(self, request: Request) -> None:
        """Asks until there is an answer, or a failure for good."""
        tried = 0
        while not self._clocks.stop.is_set():
            self._hold()
            try:
                self._attempt(request)
            except AskError as error:
                tried += 1
                if self._clocks.stop.is_set():
                    return
                if tried < tries_of(error, self._tries):
                    self._put_off(error, tried)
                    continue
                if error.of_system:
                    raise self._ended(str(error)) from error
                self._failed(error)
            self._task.advance()
            return

    def _attempt(self, request: Request) -> None:
        """Asks once, and keeps what came."""
        with self._lock:
            if self._left == 0:
                raise self._ended(f"the budget of {self._most:,} answers is used up, since some were of no use")
            # Taken before it is asked: requests under way together would use up more than there is.
            self._left -= 1
            order = self._order
            self._order += 1
        started, begun = self._clocks.wall(), self._clocks.steady()
        failure, answer = None, None
        try:
            answer = self._system.ask(self._measurement.setup.prompts[request.prompt])
        except AskError as error:
            failure = error
        seconds = max(0.0, self._clocks.steady() - begun)
        came = failure if answer is None else answer
        assert came is not None
        if failure is not None and self._clocks.stop.is_set() and not failure.body:
            raise failure  # cut off by ourselves
        status, body = came.status, came.body
        attempt = Attempt(
            order=order,
            request=request,
            started=started,
            seconds=seconds,
            status=status,
            digest=hashlib.sha256(body).hexdigest() if body or answer is not None else None,
            cached=None if answer is None else answer.cached,
            error=None if failure is None else (failure.kind, str(failure)),
        )
        with self._keeping:
            if self._over:
                return
            self._measurement.add(attempt, body)
        with self._lock:
            # An answer that came, or began to, may have been paid for; an error of the system is not.
            if answer is None and status != 200 and failure is not None and failure.kind not in ("slow", "truncated"):
                self._left += 1
            if answer is not None:
                self._answered += 1
                self._in_a_row = 0
        if failure is not None:
            raise failure

    def _hold(self) -> None:
        """Waits while the system has asked for it."""
        with self._lock:
            seconds = self._not_before - self._clocks.steady()
        self._clocks.wait(seconds)

    def _put_off(self, error: AskError, tried: int) -> None:
        """Waits after a failure in passing; all requests wait where the system as a whole has failed."""
        try:
            seconds = wait_before(error, tried)
        except AskError as longer:
            raise self._ended(str(longer)) from error
        if not error.free:
            self._clocks.wait(seconds)
            return
        with self._lock:
            self._not_before = max(self._not_before, self._clocks.steady() + seconds)

    def _failed(self, error: AskError) -> None:
        """Counts a request that failed for good."""
        with self._lock:
            self._in_a_row += 1
            failed = self._in_a_row
        if failed >= (_MOST_BROKEN if error.kind in ("server", "slow") else _MOST_IN_A_ROW):
            raise self._ended(f"{failed} requests in a row failed, the last because {error}")

    def _ended(self, why: str) -> InputError:
        """The error of a measurement that cannot go on now."""
        asked = self._measurement.setup.plan.asked
        kept = len({attempt.request for attempt in self._measurement.attempts if attempt.error is None})
        return InputError(
            f"{why}; {kept:,} of {asked:,} answers are kept in '{shown(self._measurement.folder)}': repeat the command "
            "with --resume to go on"
        )
