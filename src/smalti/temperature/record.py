"""What a system answered: the one input of the analysis.

A *recording* has the prompts and every answered request with what it was asked under: the *load* (alone, in bursts,
among requests of other lengths) and the *block* of time. All estimates are functions of it alone. Answers are compared
unit by unit, where a unit is a token if the system tells its tokens, and else a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

from smalti.errors import InputError

__all__ = ["FORMAT", "ROUNDING", "Answer", "Recording", "Units"]

FORMAT = "smalti.recording/1"

ROUNDING = 0.01
"""How far above 0 a reported log-probability may lie, in nats: what rounding in a server does."""

Units = Literal["tokens", "words"]
"""What answers are compared by: tokens where the system tells them, else words, punctuation apart."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answered request.

    Attributes:
        prompt: index in `Recording.prompts`.
        repeat: number from 0 within (prompt, load, block).
        load: the load it was asked under, such as `alone`, `burst:8` or `mixed:8`.
        block: time block, from 0.
        tokens: the answer's units, without a mark of its end.
        logprobs: what the system reports for these tokens, in nats at temperature 1; None where it reports nothing.
        top: for each token the alternatives reported at its place with their log-probabilities in nats, best first.
        finish: why the answer ended, such as `stop` or `length`; None where the system does not say.
        started: seconds since the epoch by the wall clock, which may go backwards: only shown.
        seconds: time from request to answer, by a clock that does not.
        order: number in the order of asking, from 0: what drift is computed along.
        model: the model that the system named.
        fingerprint: the fingerprint that the system named.
        digest: SHA-256 of the raw response, in hexadecimal.
        cached: whether it was answered from a cache, and so says nothing about noise.
    """

    prompt: int
    repeat: int
    load: str
    block: int
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...] | None
    top: tuple[tuple[tuple[str, float], ...], ...] | None
    finish: str | None
    started: float
    seconds: float
    order: int
    model: str | None
    fingerprint: str | None
    digest: str
    cached: bool = False

    @property
    def name(self) -> str:
        """How a sentence names this answer."""
        return f"answer {self.order} (prompt {self.prompt}, {self.load}, block {self.block}, repeat {self.repeat})"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a system answered.

    Attributes:
        prompts: the prompts as texts.
        answers: every answered request; in any order, `order` says which came first.
        units: what the units of answers are.
        max_tokens: most tokens that an answer could have.
        system: what the system is, such as endpoint, model and api: only shown.
        failed: requests that never got an answer.

    Raises:
        InputError: it contradicts itself; the sentence names the answer.
    """

    prompts: tuple[str, ...]
    answers: tuple[Answer, ...]
    units: Units
    max_tokens: int
    system: Mapping[str, str]
    failed: int = 0

    def __post_init__(self) -> None:
        if self.units not in get_args(Units):
            raise InputError(f"units of a recording are 'tokens' or 'words', not {self.units!r}")
        if self.max_tokens < 1:
            raise InputError(f"max_tokens of a recording is a whole number from 1, not {self.max_tokens!r}")
        if self.failed < 0:
            raise InputError(f"failed of a recording is a whole number from 0, not {self.failed!r}")
        orders, places = set[int](), set[tuple[int, int, str, int]]()
        for answer in self.answers:
            self._check(answer)
            place = (answer.prompt, answer.repeat, answer.load, answer.block)
            if answer.order in orders or place in places:
                raise InputError(f"{answer.name} is there twice; leave one of the two out of the recording")
            orders.add(answer.order)
            places.add(place)

    def _check(self, answer: Answer) -> None:
        """One answer by itself."""
        if not 0 <= answer.prompt < len(self.prompts):
            raise InputError(f"{answer.name} is to a prompt that is not there; the recording has {len(self.prompts)}")
        if min(answer.repeat, answer.block, answer.order) < 0:
            raise InputError(f"{answer.name} has a negative number; repeats, blocks and orders count from 0")
        if not (math.isfinite(answer.started) and math.isfinite(answer.seconds) and answer.seconds >= 0):
            raise InputError(f"{answer.name} took {answer.seconds!r} seconds from {answer.started!r}: no such times")
        if answer.logprobs is None and answer.top is None:
            return
        if self.units == "words":
            raise InputError(f"{answer.name} has log-probabilities, which are of tokens, but its units are words")
        for what, values in (("log-probabilities", answer.logprobs), ("lists of alternatives", answer.top)):
            if values is not None and len(values) != len(answer.tokens):
                raise InputError(f"{answer.name} has {len(answer.tokens)} tokens but {len(values)} {what}")
        reported = [*(answer.logprobs or ()), *(value for place in answer.top or () for _, value in place)]
        for value in reported:
            if not (math.isfinite(value) and value <= ROUNDING):
                raise InputError(f"{answer.name} reports the log-probability {value!r}; one is finite and at most 0")

    @property
    def length(self) -> int:
        """Most units that an answer could have: tokens asked for, or words of the longest answer; at least 1."""
        if self.units == "tokens":
            return self.max_tokens
        return max([1, *(len(answer.tokens) for answer in self.answers)])

    @property
    def loads(self) -> tuple[str, ...]:
        """The loads, in the order in which they were first asked under."""
        return tuple(dict.fromkeys(answer.load for answer in sorted(self.answers, key=lambda a: a.order)))

    @property
    def blocks(self) -> tuple[int, ...]:
        """The time blocks that have answers, in order."""
        return tuple(sorted({answer.block for answer in self.answers}))

    def of(self, *, prompt: int | None = None, load: str | None = None, block: int | None = None) -> tuple[Answer, ...]:
        """The answers of a prompt, a load and a block, in the order of asking; None stands for all of them."""
        return tuple(
            answer
            for answer in sorted(self.answers, key=lambda a: a.order)
            if prompt in (None, answer.prompt) and load in (None, answer.load) and block in (None, answer.block)
        )

    def fresh(self) -> Recording:
        """The same without answers from a cache."""
        return replace(self, answers=tuple(answer for answer in self.answers if not answer.cached))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same recording from."""
        return {"format": FORMAT} | asdict(self) | {"system": dict(self.system)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Recording:
        """The recording that `to_json` described.

        Raises:
            InputError: it is something else, or contradicts itself.
        """
        if record.get("format") != FORMAT:
            raise InputError(f"a recording's format is {FORMAT!r}, not {record.get('format')!r}; record it again")
        try:
            return cls(
                prompts=tuple(str(prompt) for prompt in record["prompts"]),
                answers=tuple(_answer(answer) for answer in record["answers"]),
                units=cast(Units, record["units"]),
                max_tokens=int(record["max_tokens"]),
                system={str(key): str(value) for key, value in record["system"].items()},
                failed=int(record["failed"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the recording is damaged ({type(error).__name__}: {error}); record it again") from error


def _answer(record: Mapping[str, Any]) -> Answer:
    """One answer of a record."""
    logprobs, top = record["logprobs"], record["top"]
    return Answer(
        prompt=int(record["prompt"]),
        repeat=int(record["repeat"]),
        load=str(record["load"]),
        block=int(record["block"]),
        tokens=tuple(str(token) for token in record["tokens"]),
        logprobs=None if logprobs is None else tuple(float(value) for value in logprobs),
        top=None if top is None else tuple(tuple((str(token), float(value)) for token, value in at) for at in top),
        finish=None if record["finish"] is None else str(record["finish"]),
        started=float(record["started"]),
        seconds=float(record["seconds"]),
        order=int(record["order"]),
        model=None if record["model"] is None else str(record["model"]),
        fingerprint=None if record["fingerprint"] is None else str(record["fingerprint"]),
        digest=str(record["digest"]),
        cached=bool(record["cached"]),
    )
