"""How long work tells a person that it goes on.

Library functions that can take long accept a `Progress` and say nothing by default (`SILENT`). The command line
passes what fits its stream (`progress_for`): a bar with the time left on a terminal, plain lines at intervals
elsewhere, as in a log file. Time left is the time so far times the share of the work still to do; it is an estimate
and stays out of every record.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

__all__ = ["SILENT", "Plain", "Progress", "Silent", "Task", "Terminal", "progress_for"]


class Task(Protocol):
    """One piece of work with a known number of units."""

    def advance(self, count: float = 1) -> None:
        """Tells that `count` more units are done; parts of a unit add up."""
        ...


class Progress(Protocol):
    """Something that can show tasks."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """Shows a task from entry to exit.

        Args:
            title: what is being done, in a few words.
            total: number of units of work.
        """
        ...


class Silent:
    """Shows nothing: what the library uses unless told otherwise."""

    class _Task:
        def advance(self, count: float = 1) -> None:
            """Does nothing."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """A task that is not shown."""
        yield Silent._Task()


SILENT = Silent()


class Plain:
    """Plain lines, at most one every `interval` seconds and one at the end; for files and pipes."""

    def __init__(self, stream: TextIO, *, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Writes to a stream.

        Args:
            stream: where the lines go.
            interval: least seconds between two lines of one task.
            clock: seconds, never going back.
        """
        self._stream = stream
        self._interval = interval
        self._clock = clock

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """A task shown by lines such as `generating: 120 of 320, 12 s so far, about 20 s left`."""
        task = _PlainTask(self._stream, title, total, self._interval, self._clock)
        try:
            yield task
        except BaseException:
            task.line(f"stopped at {task.whole} of {total}")
            raise
        task.line(f"{task.whole} of {total}, {duration(task.elapsed)}")


class _PlainTask:
    def __init__(self, stream: TextIO, title: str, total: int, interval: float, clock: Callable[[], float]) -> None:
        self.done = 0.0
        self._stream, self._title, self._total, self._interval, self._clock = stream, title, total, interval, clock
        self._start = self._last = clock()

    @property
    def elapsed(self) -> float:
        return self._clock() - self._start

    @property
    def whole(self) -> int:
        return int(self.done + 1e-6)  # parts such as 1/3 need not add up to a whole number exactly

    def advance(self, count: float = 1) -> None:
        self.done += count
        now = self._clock()
        if now - self._last < self._interval or not 0 < self.done < self._total:
            return
        self._last = now
        left = self.elapsed / self.done * (self._total - self.done)
        self.line(f"{self.whole} of {self._total}, {duration(self.elapsed)} so far, about {duration(left)} left")

    def line(self, text: str) -> None:
        self._stream.write(f"{self._title}: {text}\n")
        self._stream.flush()


class Terminal:
    """A bar on a terminal, drawn by rich, with the time left."""

    def __init__(self, stream: TextIO) -> None:
        """Draws on a stream that is a terminal.

        Args:
            stream: the terminal.
        """
        self._stream = stream

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """A task shown as one line that is drawn again as it advances."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(file=self._stream)) as bars:
            bar = bars.add_task(title, total=total)
            yield _TerminalTask(lambda count: bars.advance(bar, count))


class _TerminalTask:
    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance = advance

    def advance(self, count: float = 1) -> None:
        self._advance(count)


def progress_for(stream: TextIO | None = None) -> Progress:
    """What fits a stream: a bar on a terminal, plain lines otherwise.

    Args:
        stream: where progress goes; standard error unless given, so that standard output keeps to results.

    Returns:
        The progress to pass on.
    """
    where: TextIO = sys.stderr if stream is None else stream
    return Terminal(where) if where.isatty() else Plain(where)


def duration(seconds: float) -> str:
    """A length of time in words for a person: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
