"""Answers as the JSON of the completions and the chat API of OpenAI, whole or as the chunks of a stream.

Nothing in them comes from a clock or a counter: `created` is 0, and `id` is a digest of the request and the fingerprint
(with hidden noise, of the number of the request too). So with no hidden noise the same request has the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from smalti.serve.ask import Ask
from smalti.serve.model import ServedModel
from smalti.serve.writing import News, Piece

__all__ = ["Answers", "error_record", "packed"]

_IMPOSSIBLE = -9999.0
"""Stands for the logarithm of 0, which JSON cannot write."""

_OBJECTS = {"completions": ("text_completion", "text_completion"), "chat": ("chat.completion", "chat.completion.chunk")}
_NAMES = {"completions": "cmpl", "chat": "chatcmpl"}


def packed(record: Any) -> bytes:
    """A record as JSON, in ASCII."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def error_record(sentence: str, *, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """A failure in the API's own form."""
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code}}


class Answers:
    """The answers to one request.

    Args:
        ask: the request.
        model: what answers it.
        number: of the request, from 0; enters the id if there is hidden noise.
    """

    def __init__(self, ask: Ask, model: ServedModel, number: int) -> None:
        self._ask, self._model = ask, model
        told = [ask.digest, model.fingerprint, 0 if model.noise.kind == "none" else number]
        self._id = f"{_NAMES[ask.kind]}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]}"
        self._written = dict[int, int]()
        self._offsets = dict[int, int]()
        self._told = False

    def whole(self, news: Sequence[News]) -> dict[str, Any]:
        """The response, from all that was told."""
        pieces: dict[int, list[Piece]] = {}
        finishes = dict[int, str | None]()
        for one in news:
            self._note(one)
            pieces.setdefault(one.choice, []).extend(one.pieces)
            finishes[one.choice] = one.finish
        choices = [self._choice(choice, own, finishes[choice]) for choice, own in sorted(pieces.items())]
        return self._head(0) | {"choices": choices, "usage": self._usage()} | self._notes()

    def begin(self) -> Iterator[dict[str, Any]]:
        """The first chunks of a stream."""
        if self._ask.kind == "chat":
            for choice in range(self._ask.choices):
                yield self._chunk(choice, {"role": "assistant", "content": "", "refusal": None}, None, None)

    def chunks(self, news: News) -> Iterator[dict[str, Any]]:
        """What some news look like in a stream."""
        self._note(news)
        if news.pieces:
            text = "".join(piece.text for piece in news.pieces)
            yield self._chunk(news.choice, {"content": text}, self._logprobs(news.choice, news.pieces), None)
        if news.finish:
            yield self._chunk(news.choice, {}, None, news.finish)

    def end(self) -> Iterator[dict[str, Any]]:
        """The last chunks of a stream."""
        if self._ask.usage:
            yield self._head(1) | {"choices": [], "usage": self._usage()}

    def _note(self, news: News) -> None:
        self._written[news.choice] = news.written

    def _head(self, chunk: int) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": _OBJECTS[self._ask.kind][chunk],
            "created": 0,
            "model": self._model.name,
            "system_fingerprint": self._model.fingerprint,
        }

    def _notes(self) -> dict[str, Any]:
        return {"notes": list(self._ask.notes)} if self._ask.notes else {}

    def _usage(self) -> dict[str, Any]:
        read, written = sum(map(len, self._ask.prompts)), sum(self._written.values())
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def _choice(self, choice: int, pieces: Sequence[Piece], finish: str | None) -> dict[str, Any]:
        text, logprobs = "".join(piece.text for piece in pieces), self._logprobs(choice, pieces)
        said: dict[str, Any] = {"text": text}
        if self._ask.kind == "chat":
            said = {"message": {"role": "assistant", "content": text, "refusal": None}}
        return {"index": choice} | said | {"logprobs": logprobs, "finish_reason": finish}

    def _chunk(self, choice: int, delta: dict[str, Any], logprobs: Any, finish: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"delta": delta} if self._ask.kind == "chat" else {"text": delta.get("content", "")}
        notes, self._told = {} if self._told else self._notes(), True
        return (
            self._head(1)
            | {"choices": [{"index": choice} | said | {"logprobs": logprobs, "finish_reason": finish}]}
            | notes
        )

    def _logprobs(self, choice: int, pieces: Sequence[Piece]) -> dict[str, Any] | None:
        if self._ask.alternatives is None:
            return None
        if self._ask.kind == "chat":
            return {"content": [self._place(piece) for piece in pieces], "refusal": None}
        offsets = list[int]()
        for piece in pieces:
            offsets.append(self._offsets.setdefault(choice, 0))
            self._offsets[choice] += len(piece.text)
        return {
            "tokens": [self._model.name_of(piece.symbol) for piece in pieces],
            "token_logprobs": [None if piece.logprob is None else _finite(piece.logprob) for piece in pieces],
            "top_logprobs": [self._alternatives(piece) for piece in pieces],
            "text_offset": offsets,
        }

    def _alternatives(self, piece: Piece) -> dict[str, float] | None:
        """The likeliest tokens by name, and that of the place itself."""
        if piece.logprob is None:
            return None
        own = {self._model.name_of(piece.symbol): _finite(piece.logprob)}
        return {self._model.name_of(symbol): _finite(value) for symbol, value in piece.top} | own

    def _place(self, piece: Piece) -> dict[str, Any]:
        """One token of a chat with its log-probabilities."""
        assert piece.logprob is not None
        return self._named(piece.symbol, piece.logprob) | {
            "top_logprobs": [self._named(symbol, value) for symbol, value in piece.top]
        }

    def _named(self, symbol: int, logprob: float) -> dict[str, Any]:
        return {
            "token": self._model.name_of(symbol),
            "logprob": _finite(logprob),
            "bytes": list(self._model.bytes_of(symbol)),
        }


def _finite(logprob: float) -> float:
    return max(logprob, _IMPOSSIBLE)
