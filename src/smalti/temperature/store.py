"""The folder of a measurement: what is asked, every response, and a line for each attempt.

    measure.json            what is asked and how, with every setting resolved; never a key, never a header
    responses/ab/<digest>   the body of every response, by the SHA-256 of its bytes: .json, or .sse for a stream
    log.jsonl               one line for each attempt, in the order in which they ended

A response is written whole before its line, and a line is forced to the disk, so whenever the machine stops, what has
a line is there. A last line that was cut off is dropped when the measurement goes on. Responses are checked against
their digests when they are read; a damaged one counts as never given, and is asked for again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smalti.corpus.decode import shown
from smalti.errors import InputError
from smalti.sampling.files import claimed, is_leftover, said_plainly, write_file
from smalti.sampling.request import versions_in_use
from smalti.temperature.plan import Plan, Request
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Answer, Recording
from smalti.temperature.reply import AskError, Dialect, Reply, read_reply, words

__all__ = ["Attempt", "Measurement", "Setup", "check_free", "is_measurement"]

_FORMAT = "smalti.measure/1"
_SETUP, _LOG, _RESPONSES = "measure.json", "log.jsonl", "responses"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a measurement asks: measure.json.

    Attributes:
        system: what the system is; shown, and compared when the measurement goes on.
        dialect: how it is asked.
        prompts: the prompts.
        plan: the requests.
        notes: what a person should know, one sentence each.
        command: the command line, word by word; empty if the measurement was started from Python.
    """

    system: Mapping[str, str]
    dialect: Dialect
    prompts: tuple[Prompt, ...]
    plan: Plan
    notes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The setup as values that JSON can hold."""
        return {
            "system": dict(self.system),
            "dialect": self.dialect.to_json(),
            "plan": self.plan.to_json(),
            "prompts": [prompt.to_json() for prompt in self.prompts],
            "notes": list(self.notes),
            "command": list(self.command),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Setup:
        """The setup that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        setup = cls(
            system={str(name): str(value) for name, value in record["system"].items()},
            dialect=Dialect.from_json(record["dialect"]),
            plan=Plan.from_json(record["plan"]),
            prompts=tuple(map(Prompt.from_json, record["prompts"])),
            notes=tuple(map(str, record["notes"])),
            command=tuple(map(str, record["command"])),
        )
        if setup.plan.prompts != len(setup.prompts):
            raise ValueError("prompts")
        return setup

    def changed_from(self, other: Setup) -> tuple[str, ...]:
        """Names of what two setups ask differently; notes and command lines do not count."""
        one, two = self.to_json(), other.to_json()
        parts = ("system", "dialect", "plan")
        found = [name for part in parts for name in one[part] if one[part][name] != two[part].get(name)]
        return (*found, *(() if self.prompts == other.prompts else ("prompts",)))


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One time that a request was made: a line of the log.

    Attributes:
        order: number in the order of asking, from 0.
        request: the request.
        started: seconds since the epoch by the wall clock.
        seconds: how long it took, by a clock that does not go backwards.
        status: status of the response; None where there was none.
        digest: SHA-256 of the body; None where there was none.
        cached: whether the system said that a cache answered; None where it said nothing of it.
        error: kind and sentence of the failure; None for an answer.
    """

    order: int
    request: Request
    started: float
    seconds: float
    status: int | None
    digest: str | None
    cached: bool | None
    error: tuple[str, str] | None

    def to_json(self) -> dict[str, Any]:
        """The line."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Attempt:
        """The attempt that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        error = record["error"]
        read = {field.name: record[field.name] for field in fields(cls)}
        found = cls(**read | {"request": Request(**record["request"]), "error": error and (error[0], error[1])})
        if not (isinstance(found.order, int) and (found.digest is not None or found.error is not None)):
            raise ValueError("order")
        return found


class Measurement:
    """A folder of a measurement. Attempts may be added from several threads; see `adding` for several processes."""

    def __init__(self, folder: Path, setup: Setup, attempts: list[Attempt]) -> None:
        """One whose folder was read: see `begun`, `opened`."""
        self.folder, self.setup, self.attempts = folder, setup, attempts
        self._lock = threading.Lock()
        self._damaged = set[str]()

    @classmethod
    def begun(cls, folder: Path, setup: Setup) -> Measurement:
        """Begins a measurement in a folder that holds none; the folder is made if it is not there.

        Raises:
            InputError: the folder holds something, or cannot be written.
        """
        check_free(folder)
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": _FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **setup.to_json(),
            "versions": versions_in_use(),
        }
        write_file(
            folder / _SETUP, (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
        )
        return cls(folder, setup, [])

    @classmethod
    def opened(cls, folder: Path) -> Measurement:
        """A measurement that is there. Nothing in its folder is changed.

        Raises:
            InputError: there is none, or it is damaged.
        """
        path = folder / _SETUP
        try:
            record = json.loads(path.read_bytes())
            if record["format"] != _FORMAT:
                raise InputError(f"{path} has the format {record['format']!r}; this Smalti reads {_FORMAT!r}.")
            setup = Setup.from_json(record)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"'{shown(folder)}' is no measurement: it holds no {_SETUP}; give a folder that one was written to."
            ) from error
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} is damaged: it is not a complete record of a measurement; restore it from a copy, or measure "
                "again in another folder."
            ) from error
        return cls(folder, setup, _read_log(folder / _LOG))

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Lets attempts be added, and keeps other processes out of the folder.

        Raises:
            InputError: another process is writing to it, or it cannot be written.
        """
        with claimed(self.folder):
            for path in [*self.folder.iterdir(), *self.folder.glob(f"{_RESPONSES}/*/.*")]:
                if is_leftover(path):
                    with said_plainly(path):
                        path.unlink()
            path = self.folder / _LOG
            with said_plainly(path):
                # Another process may have added to it since it was read.
                self.attempts[:] = _read_log(path)
                content = path.read_bytes() if path.exists() else b""
                self._log = path.open("ab")
            try:
                with said_plainly(path):
                    self._log.truncate(content.rfind(b"\n") + 1)
                yield
            finally:
                # What cannot be written was told when it was added, and is a last line that was cut off.
                with contextlib.suppress(OSError):
                    self._log.close()

    def add(self, attempt: Attempt, body: bytes) -> None:
        """Adds an attempt, and the body that belongs to its digest.

        Raises:
            InputError: the disk is full, or cannot be written for another reason.
        """
        line = json.dumps(attempt.to_json(), allow_nan=False).encode() + b"\n"
        with self._lock:
            if attempt.digest is not None:
                self._keep(attempt.digest, body)
            with said_plainly(self.folder / _LOG):
                self._log.write(line)
                self._log.flush()
                os.fsync(self._log.fileno())
            self.attempts.append(attempt)

    @property
    def next_order(self) -> int:
        """The number of the next attempt."""
        return max((attempt.order for attempt in self.attempts), default=-1) + 1

    def missing(self) -> tuple[Request, ...]:
        """Requests of the plan that have no answer, or one that was damaged since, in the order of the plan."""
        answered = {attempt.request for attempt, _ in self._answers()}
        plan = self.setup.plan
        planned = (request for block in range(plan.blocks) for each in plan.rounds(block) for request in each.requests)
        return tuple(request for request in planned if request not in answered)

    def recording(self) -> Recording:
        """What was answered. A function of the folder alone. Tier: *bitwise*.

        Raises:
            InputError: there is no answer, or one was damaged since it was given.
        """
        found = self._answers()
        missing = self.setup.plan.asked - len(found)
        if self._damaged:
            raise InputError(
                f"the response '{shown(self._path(min(self._damaged)))}' is damaged or missing: restore it, or add "
                "--resume to ask for it again"
            )
        if not found:
            raise InputError(
                f"'{shown(self.folder)}' holds no answer yet: add --resume to ask, or look at {_LOG} for what went "
                "wrong"
            )
        meaningless = _meaningless(found)
        answers, seen = list[Answer](), set[tuple[int, str]]()
        tokens = all(reply.tokens is not None for _, reply in found)
        for attempt, reply in found:
            name = (attempt.request.prompt, reply.name or "")
            again = name in seen and reply.name not in meaningless
            seen.add(name)
            answers.append(
                Answer(
                    prompt=attempt.request.prompt,
                    repeat=attempt.request.repeat,
                    load=attempt.request.load,
                    block=attempt.request.block,
                    tokens=(reply.tokens or ()) if tokens else words(reply.text),
                    logprobs=reply.logprobs if tokens else None,
                    top=reply.top if tokens else None,
                    finish=reply.finish,
                    started=attempt.started,
                    seconds=attempt.seconds,
                    order=attempt.order,
                    model=reply.model,
                    fingerprint=reply.fingerprint,
                    digest=attempt.digest or "",
                    cached=again if attempt.cached is None else attempt.cached,
                )
            )
        return Recording(
            prompts=tuple(prompt.text for prompt in self.setup.prompts),
            answers=tuple(answers),
            units="tokens" if tokens else "words",
            max_tokens=self.setup.dialect.max_tokens,
            system=self.setup.system,
            failed=missing,
        )

    def _answers(self) -> list[tuple[Attempt, Reply]]:
        """The first whole answer to each request, in the order of asking; what is damaged is remembered."""
        found, damaged = dict[Request, tuple[Attempt, Reply]](), dict[Request, str]()
        for attempt in sorted(self.attempts, key=lambda a: a.order):
            if attempt.error is not None or attempt.digest is None or attempt.request in found:
                continue
            try:
                body = self._path(attempt.digest).read_bytes()
                if hashlib.sha256(body).hexdigest() != attempt.digest:
                    raise ValueError("digest")
                found[attempt.request] = (attempt, read_reply(body, self.setup.dialect))
            except (OSError, ValueError, AskError):
                damaged[attempt.request] = attempt.digest
        self._damaged = {digest for request, digest in damaged.items() if request not in found}
        return list(found.values())

    def _path(self, digest: str) -> Path:
        suffix = "sse" if self.setup.dialect.transfer == "stream" else "json"
        return self.folder / _RESPONSES / digest[:2] / f"{digest}.{suffix}"

    def _keep(self, digest: str, body: bytes) -> None:
        path = self._path(digest)
        with said_plainly(path):
            if path.exists() and path.read_bytes() == body:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, body)


def is_measurement(folder: Path) -> bool:
    """Whether a folder holds a measurement, whole or not."""
    return (folder / _SETUP).exists()


def check_free(folder: Path) -> None:
    """Refuses a folder that holds anything.

    Raises:
        InputError: it holds a measurement, or other files.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{shown(folder)}' is a file, and a measurement needs a folder: choose another place")
    if is_measurement(folder):
        raise InputError(
            f"'{shown(folder)}' holds a measurement already: choose another folder, or add --resume to finish that one"
        )
    foreign = sorted(path.name for path in folder.iterdir() if not is_leftover(path)) if folder.exists() else []
    if foreign:
        raise InputError(
            f"'{shown(folder)}' holds files that are not a measurement's (such as '{shown(foreign[0])}'): choose a new "
            "or empty folder"
        )


def _read_log(path: Path) -> list[Attempt]:
    """The attempts of a log; a last line that was cut off is left out."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(Attempt.from_json(json.loads(line)))
        except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            raise InputError(
                f"line {number:,} of {path} is damaged: take it out, and add --resume to ask again for what it said."
            ) from error
    return found


def _meaningless(found: list[tuple[Attempt, Reply]]) -> set[str | None]:
    """Ids of responses that two prompts or two texts share: a system that gives such names nothing by them."""
    of = dict[str, tuple[int, str]]()
    meaningless = set[str | None]({None})
    for attempt, reply in found:
        if reply.name is not None:
            what = (attempt.request.prompt, reply.text)
            if of.setdefault(reply.name, what) != what:
                meaningless.add(reply.name)
    return meaningless
