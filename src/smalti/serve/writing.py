"""The writing of an answer, token by token: a job for the engine.

Each answer is `smalti.sampling.tokens.unmask_walk` from the left, on the prompt and a row of masks, so that it is what
`smalti generate` writes with the same prompt, seed and settings. All answers of a request go forward in step. Text is
given out as soon as no stop text can begin in it; a token in which a stop text begins is cut there.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.sampling.text_settings import TextSettings
from smalti.sampling.tokens import MASK, Question, TokenStep, unmask_walk
from smalti.serve.ask import Ask
from smalti.serve.engine import Asking, Turn
from smalti.serve.model import ServedModel
from smalti.temperature.noise import logarithms

__all__ = ["Finish", "News", "Piece", "write"]

Finish: TypeAlias = Literal["stop", "length"]
Floats: TypeAlias = NDArray[np.float64]

_SCORED_TOGETHER = 64
"""Places of a prompt that are asked about in one turn."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A token that was written, or that stood in the prompt.

    Attributes:
        symbol: which.
        text: what it adds to the text; empty in the middle of a character.
        logprob: in nats; None for the first token of a prompt, and where none were asked for.
        top: the likeliest tokens with their log-probabilities, best first; the lower token first among equal ones.
    """

    symbol: int
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class News:
    """What one answer has grown by, or that it is done.

    Attributes:
        choice: number of the answer in its request.
        pieces: new ones.
        finish: why it ended, or None.
        written: tokens written so far, those behind the beginning of a stop text included.
    """

    choice: int
    pieces: tuple[Piece, ...]
    finish: Finish | None = None
    written: int = 0


def write(ask: Ask, model: ServedModel) -> Asking:
    """The job of a request; what it finds are lists of `News`, in order of choice."""
    for place, prompt in enumerate(ask.prompts if ask.echo else ()):
        pieces = yield from _echo(ask, model, prompt)
        same = range(place * ask.choices, (place + 1) * ask.choices)
        yield Turn(found=[News(choice, pieces) for choice in same])
    if ask.max_tokens == 0:
        yield Turn(found=[News(choice, (), "length") for choice in range(len(ask.prompts) * ask.choices)])
        return
    writers = [
        _Writer(ask, model, prompt, place * ask.choices + number, ask.seed + number)
        for place, prompt in enumerate(ask.prompts)
        for number in range(ask.choices)
    ]
    while writers:
        given = yield Turn([writer.question for writer in writers])
        news = [writer.take(p) for writer, p in zip(writers, given, strict=True)]
        yield Turn(found=[one for one in news if one.pieces or one.finish] or None)
        writers = [writer for writer, one in zip(writers, news, strict=True) if one.finish is None]


def _echo(
    ask: Ask, model: ServedModel, prompt: NDArray[np.int32]
) -> Generator[Turn, Sequence[Floats], tuple[Piece, ...]]:
    """The pieces of a prompt, each but the first with its log-probability given what stands left of it."""
    decoder = _Decoder(model)
    pieces = [Piece(symbol, decoder(symbol)) for symbol in prompt.tolist()]
    if pieces:
        pieces[-1] = replace(pieces[-1], text=pieces[-1].text + decoder.rest())
    if ask.alternatives is None:
        return tuple(pieces)
    row = np.concatenate([prompt, np.full(ask.max_tokens, MASK)]).astype(np.int64)
    places = np.arange(len(row))
    for begin in range(1, len(prompt), _SCORED_TOGETHER):
        asked = range(begin, min(begin + _SCORED_TOGETHER, len(prompt)))
        given = yield Turn([Question(np.where(places < at, row, MASK), 0.0, np.array([at])) for at in asked])
        for at, p in zip(asked, given, strict=True):
            pieces[at] = _with_logprobs(pieces[at], p, ask.alternatives)
    return tuple(pieces)


class _Writer:
    """One answer."""

    def __init__(self, ask: Ask, model: ServedModel, prompt: NDArray[np.int32], choice: int, seed: int) -> None:
        row = np.concatenate([prompt, np.full(ask.max_tokens, MASK)]).astype(np.int64)
        settings = TextSettings(order="left-to-right", truncation=ask.truncation)
        self._ask, self._choice, self._left = ask, choice, ask.max_tokens
        self._walk = unmask_walk(model.machine.vocabulary, row, settings, seed=seed)
        self._decoder = _Decoder(model)
        self._held: list[Piece] = []
        self.question = self._next_question()

    def _next_question(self) -> Question:
        item = next(self._walk)
        assert isinstance(item, Question)
        return item

    def take(self, p: Floats) -> News:
        """What the answer to `question` leads to."""
        step = self._walk.send(p[None])
        assert isinstance(step, TokenStep)
        self._left -= 1
        symbol = int(step.drawn[0])
        text = self._decoder(symbol) + ("" if self._left else self._decoder.rest())
        self._held.append(_with_logprobs(Piece(symbol, text), p, self._ask.alternatives))
        pieces, stopped = self._released()
        if self._left and not stopped:
            self.question = self._next_question()
        finish: Finish | None = "stop" if stopped else None if self._left else "length"
        return News(self._choice, pieces, finish, self._ask.max_tokens - self._left)

    def _released(self) -> tuple[tuple[Piece, ...], bool]:
        """Held pieces in which no stop text can begin any more, and whether one has come."""
        text = "".join(piece.text for piece in self._held)
        found = [at for stop in self._ask.stop if (at := text.find(stop)) >= 0]
        if found:
            end = min(found)
        elif self._left:
            end = len(text) - max((_beginning(text, stop) for stop in self._ask.stop), default=0)
        else:
            end = len(text)
        out: list[Piece] = []
        begin = 0
        for piece in self._held:
            behind = begin + len(piece.text)
            if behind > end and not (found and begin < end):
                break
            out.append(replace(piece, text=piece.text[: end - begin]))
            begin = behind
        self._held = self._held[len(out) :]
        return tuple(out), bool(found)


def _beginning(text: str, stop: str) -> int:
    """Length of the longest beginning of a stop text, short of all of it, that a text ends with."""
    return next((k for k in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:k])), 0)


class _Decoder:
    """Symbols to text; characters that several symbols make up come with the last of them."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def __call__(self, symbol: int) -> str:
        return self._decoder.decode(self._model.bytes_of(symbol))

    def rest(self) -> str:
        """What an incomplete character at the end becomes."""
        return self._decoder.decode(b"", final=True)


def _with_logprobs(piece: Piece, p: Floats, alternatives: int | None) -> Piece:
    """A piece with what the machine said of its place."""
    if alternatives is None:
        return piece
    z = logarithms(p)
    best = np.argsort(-z, kind="stable")[:alternatives]
    return replace(piece, logprob=float(z[piece.symbol]), top=tuple((int(s), float(z[s])) for s in best))
