"""The engine: one thread that answers what all open requests want to know, together.

A job is a generator that yields what it wants to know next (`Turn`) and is sent the probabilities. Every round takes in
the jobs that have arrived, gathers the questions of all jobs, and asks the machine once; so load makes real batches,
and a job's answers are a function of its own questions. Windows that were asked about before are remembered, which
changes time only.

Hidden noise is put on the logarithms of the probabilities here. Under `batch` noise the configuration of a round is the
number of its questions, less one: alone a request always meets the first one, under load it meets others.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, exp2
from smalti.engine.text_query import windows_of
from smalti.errors import SmaltiError
from smalti.sampling.text import TextDenoiser
from smalti.sampling.tokens import Question
from smalti.serve.model import ServedModel
from smalti.temperature.noise import logarithms

__all__ = ["Asking", "BusyError", "Engine", "Job", "Turn"]

MOST_ROWS = 512
"""Most rows of tokens that are written at a time."""

_KEPT = 8_000_000  # numbers, of 8 bytes each, that are remembered

Floats = NDArray[np.float64]


class BusyError(SmaltiError):
    """There is more to do than the engine takes on."""


@dataclass(frozen=True, eq=False)
class Turn:
    """What a job wants to know, and what it has found since its last turn.

    Attributes:
        questions: each about one site of a row; none: the job only reports.
        found: anything, for whoever waits for the job.
    """

    questions: Sequence[Question] = ()
    found: Any = None


Asking: TypeAlias = Generator[Turn, Sequence[Floats], None]
"""A job's work: is sent as many distributions (V,) as its last turn had questions."""


@dataclass(eq=False)
class Job:
    """One request at work.

    Attributes:
        rows: how many questions it has at most at a time.
    """

    work: Asking
    rows: int
    _found: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue, init=False, repr=False)
    _open: bool = field(default=True, init=False)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._open = False

    def found(self, patience: float) -> Iterator[Any]:
        """What its turns have found, as it comes; None whenever nothing came for `patience` seconds.

        Raises:
            Exception: whatever its work raised.
        """
        while True:
            try:
                kind, value = self._found.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value

    def tell(self, kind: str, value: Any = None) -> None:
        """For the engine: `found` and what, `error` and which, or `end`."""
        self._found.put((kind, value))

    @property
    def open(self) -> bool:
        """Whether somebody waits for it."""
        return self._open


class Engine:
    """Answers the questions of jobs. Tier: *bitwise* without hidden noise: what else is at work changes no answer.

    Args:
        model: what is asked.

    Keyword Args:
        threads: worker threads of the kernel; all processors unless given.
        noise_seed: seed of hidden noise; another one each time unless given.
    """

    def __init__(self, model: ServedModel, *, threads: int | None = None, noise_seed: int | None = None) -> None:
        self.model = model
        self.rounds = self.answered = 0
        self._denoiser = TextDenoiser(model.machine, threads=threads)
        self._generator = np.random.default_rng(noise_seed)
        self._memory: OrderedDict[tuple[int, bytes], Floats] = OrderedDict()
        self._arrived: list[Job] = []
        self._rows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def rows(self) -> int:
        """Rows that are being written or wait to be."""
        return self._rows

    def open(self, work: Asking, rows: int) -> Job:
        """Takes a job on.

        Raises:
            BusyError: there is too much to do already.
        """
        job = Job(work, rows)
        with self._changed:
            if self._closed or self._rows + rows > MOST_ROWS:
                raise BusyError(
                    f"{self._rows:,} answers are being written, and at most {MOST_ROWS} may be: ask again in a moment"
                )
            self._rows += rows
            self._arrived.append(job)
            self._changed.notify()
        return job

    def close(self) -> None:
        """Ends the thread; jobs that are open fail with `BusyError`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        at_work: dict[Job, Sequence[Question]] = {}
        while True:
            with self._changed:
                while not self._arrived and not at_work and not self._closed:
                    self._changed.wait()
                arrived, self._arrived = self._arrived, []
                closed = self._closed
            if closed:
                for job in (*at_work, *arrived):
                    job.tell("error", BusyError("the server is shutting down"))
                return
            for job in arrived:
                self._advance(job, None, at_work)
            for job in [job for job in at_work if not job.open]:
                job.work.close()
                self._leave(job, at_work)
            if not at_work:
                continue
            jobs = list(at_work.items())
            try:
                answers = self._answer([question for _, questions in jobs for question in questions])
            except Exception as error:
                # One of the jobs asked for what cannot be answered; which one is not known.
                for job, _ in jobs:
                    job.tell("error", error)
                    self._leave(job, at_work)
                continue
            begin = 0
            for job, questions in jobs:
                self._advance(job, answers[begin : begin + len(questions)], at_work)
                begin += len(questions)

    def _advance(self, job: Job, answers: Sequence[Floats] | None, at_work: dict[Job, Sequence[Question]]) -> None:
        """Sends a job its answers, and takes its next questions."""
        try:
            turn = next(job.work) if answers is None else job.work.send(answers)
            while True:
                if turn.found is not None:
                    job.tell("found", turn.found)
                if turn.questions:
                    break
                turn = job.work.send(())
            at_work[job] = turn.questions
        except StopIteration:
            job.tell("end")
            self.answered += 1
            self._leave(job, at_work)
        except Exception as error:
            job.tell("error", error)
            self._leave(job, at_work)

    def _leave(self, job: Job, at_work: dict[Job, Sequence[Question]]) -> None:
        at_work.pop(job, None)
        with self._changed:
            self._rows -= job.rows

    def _answer(self, questions: Sequence[Question]) -> list[Floats]:
        """The distribution (V,) for each question; those not remembered by one call of the machine."""
        self.rounds += 1
        machine = self.model.machine
        keys: list[tuple[int, bytes]] = []
        for one in questions:
            window = windows_of(one.tokens.astype(np.int32), one.sites, machine.reach)
            visible = float((one.tokens >= 0).sum() / len(one.tokens))
            keys.append((int(machine.radius_at(visible)), window.tobytes()))
        fresh = {key: one for key, one in zip(keys, questions, strict=True) if key not in self._memory}
        found = dict(zip(fresh, self._denoiser.answer(list(enumerate(fresh.values()))), strict=True)) if fresh else {}
        for key, rows in found.items():
            self._memory[key] = rows[0]
        answers: list[Floats] = []
        for key in keys:
            self._memory.move_to_end(key)
            answers.append(self._memory[key])
        while len(self._memory) * machine.vocabulary > _KEPT:
            self._memory.popitem(last=False)
        return self._with_noise(answers)

    def _with_noise(self, answers: list[Floats]) -> list[Floats]:
        noise = self.model.noise
        if noise.kind == "none":
            return answers
        noisy = noise(logarithms(np.stack(answers)), self._generator, len(answers) - 1)
        p = exp2((noisy - noisy.max(axis=1, keepdims=True)) / LN2)
        return list(p / np.cumsum(p, axis=1)[:, -1:])
