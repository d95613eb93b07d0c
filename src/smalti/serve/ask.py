"""What a client asks: the JSON of the completions and the chat API of OpenAI, checked field by field.

A chat becomes a prompt by writing the texts of its messages one after the other, each followed by a line break; roles
are left out, since a corpus knows none. What the corpus has no token for is left out of a prompt, and a note in the
answer says so.

A field that would change the answer and is not supported is refused, never passed over; a few that change nothing
(`user`, `metadata`, ...) may be there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import encode_known
from smalti.errors import InputError, UsageError
from smalti.sampling.truncation import Truncation
from smalti.serve.model import ServedModel

__all__ = ["MOST_ALTERNATIVES", "MOST_CHOICES", "MOST_PROMPT", "MOST_TOKENS", "Ask", "Kind", "RefusedError", "read_ask"]

Kind: TypeAlias = Literal["completions", "chat"]
_Prompts: TypeAlias = tuple[NDArray[np.int32], ...]

MOST_CHOICES = 128
"""Most answers of one request: prompts times `n`."""

MOST_PROMPT = 65_536
"""Most tokens of a prompt; each answer is written on a row of its own that begins with it."""

MOST_TOKENS = 16_384
"""Most new tokens of one answer."""

MOST_ALTERNATIVES = 1000
"""Most log-probabilities at one place."""

MOST_SCORED = 4096
"""Most tokens of a prompt whose own log-probabilities are asked for (`echo` with `logprobs`)."""

_DEFAULT_TOKENS: dict[Kind, int] = {"completions": 16, "chat": 256}
_MOST_STOPS = 16
_COLDEST, _HOTTEST = 1e-9, 100.0

# Fields that change nothing here, whatever they say.
_IDLE = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
# Fields that are not supported, with the values that ask for nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
}


class RefusedError(InputError):
    """A request that cannot be answered.

    Attributes:
        status: of the HTTP response.
        param: the field it is about, if there is one.
        code: for programs.
    """

    def __init__(self, sentence: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(sentence)
        self.status, self.param, self.code = status, param, code


@dataclass(frozen=True, eq=False, kw_only=True)
class Ask:
    """A checked request.

    Attributes:
        kind: which API.
        prompts: the tokens of each prompt, int32 (L,).
        choices: answers to each prompt; answer i has the seed `seed` + i.
        max_tokens: most new tokens of each answer.
        truncation: temperature and truncation of what is drawn from.
        seed: of the first answer.
        stop: texts before which an answer ends.
        alternatives: log-probabilities reported at each place beside that of the token; None: none at all.
        echo: whether an answer begins with its prompt.
        stream: whether the answer is sent as it is written.
        usage: whether a stream ends with the numbers of tokens.
        notes: what was left out of the prompts.
        digest: SHA-256 of all that was asked, hexadecimal.
    """

    kind: Kind
    prompts: _Prompts
    choices: int
    max_tokens: int
    truncation: Truncation
    seed: int
    stop: tuple[str, ...]
    alternatives: int | None
    echo: bool
    stream: bool
    usage: bool
    notes: tuple[str, ...]
    digest: str


def read_ask(body: bytes, kind: Kind, model: ServedModel) -> Ask:
    """Reads a request.

    Args:
        body: JSON.
        kind: which API.
        model: what is asked.

    Raises:
        RefusedError: it has no meaning, or asks for what is not supported; the sentence names the field.
    """
    fields = _Fields(_record(body))
    fields.model(model.name)
    prompts, notes = _chat(fields, model) if kind == "chat" else _completion(fields, model)
    stream = fields.choice("stream")
    options = fields.take("stream_options") or {}
    if not isinstance(options, dict) or set(options) - {"include_usage", "include_obfuscation"}:
        _refuse("stream_options has the one field include_usage", "stream_options")
    if options and not stream:
        _refuse("stream_options are for streams: set stream, or leave them out", "stream_options")
    choices = fields.whole("n", 1, 1, MOST_CHOICES)
    best = fields.take("best_of")
    if best not in (None, choices):
        _refuse("best_of is not supported: leave it out, or set it to n", "best_of")
    if choices * len(prompts) > MOST_CHOICES:
        _refuse(f"a request may have at most {MOST_CHOICES} answers, and this asks for {choices * len(prompts)}", "n")
    longest = max(map(len, prompts))
    if longest > MOST_PROMPT:
        raise RefusedError(
            f"a prompt may have at most {MOST_PROMPT:,} tokens, and this has {longest:,}: send less",
            param="prompt" if kind == "completions" else "messages",
            code="context_length_exceeded",
        )
    echo = kind == "completions" and fields.choice("echo")
    limit = "max_completion_tokens" if fields.has("max_completion_tokens") and kind == "chat" else "max_tokens"
    most = fields.whole(limit, _DEFAULT_TOKENS[kind], 0 if echo else 1, MOST_TOKENS)
    alternatives = _alternatives(fields, kind)
    if echo and alternatives is not None and longest > MOST_SCORED:
        _refuse(f"echo with logprobs is for prompts of at most {MOST_SCORED:,} tokens", "echo")
    found = Ask(
        kind=kind,
        prompts=prompts,
        choices=choices,
        max_tokens=most,
        truncation=_truncation(fields),
        seed=fields.whole("seed", 0, 0, 2**63 - 1),
        stop=_stops(fields),
        alternatives=alternatives,
        echo=echo,
        stream=stream,
        usage=bool(options.get("include_usage")),
        notes=notes,
        digest=fields.digest(kind),
    )
    fields.finish()
    return found


class _Fields:
    """The fields of a request that have not been looked at yet."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._all = dict(record)
        self._left = {name: value for name, value in record.items() if value is not None}

    def has(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> Any:
        """A field, None where it is missing or null."""
        return self._left.pop(name, None)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            _refuse(f"{name} is a whole number from {least:,} to {most:,}, not {_shown(value)}", name)
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            _refuse(f"{name} is a number from {least:g} to {most:g}, not {_shown(value)}", name)
        return float(value)

    def choice(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            _refuse(f"{name} is true or false, not {_shown(value)}", name)
        return bool(value)

    def model(self, name: str) -> None:
        """Checks the name of the model."""
        asked = self.take("model")
        if asked is None:
            raise RefusedError(
                f"the request names no model: set model to {_shown(name)}", param="model", code="model_not_found"
            )
        if asked != name:
            raise RefusedError(
                f"there is no model {_shown(asked)} here: ask for {_shown(name)}",
                status=404 if isinstance(asked, str) else 400,
                param="model",
                code="model_not_found",
            )

    def digest(self, kind: Kind) -> str:
        """SHA-256 of everything that was asked."""
        return hashlib.sha256(json.dumps([kind, self._all], sort_keys=True).encode()).hexdigest()

    def finish(self) -> None:
        """Refuses what nobody has looked at."""
        for name, value in sorted(self._left.items()):
            if name in _IDLE or value in _UNSUPPORTED.get(name, ()):
                continue
            what = "is not supported" if name in _UNSUPPORTED else "is no field of this API"
            _refuse(f"{_shown(name)} {what}: leave it out", name)


def _record(body: bytes) -> dict[str, Any]:
    def no_number(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number of JSON")

    try:
        found = json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the body is no JSON ({error}): send one object") from error
    if not isinstance(found, dict):
        raise RefusedError("the body is no JSON object: send one")
    return found


def _completion(fields: _Fields, model: ServedModel) -> tuple[_Prompts, tuple[str, ...]]:
    given = fields.take("prompt")
    if given is None:
        _refuse("there is no prompt: give a text", "prompt")
    several = isinstance(given, list) and not all(isinstance(token, int) for token in given)
    prompts: list[NDArray[np.int32]] = []
    left_out = dict[str, None]()
    for one in given if several or given == [] else [given]:
        if isinstance(one, str):
            symbols, unknown = encode_known(model.machine.tokenizer, one)
            left_out |= dict.fromkeys(unknown)
        elif isinstance(one, list) and all(isinstance(t, int) and not isinstance(t, bool) for t in one):
            if not all(0 <= token < model.machine.vocabulary for token in one):
                _refuse(f"the tokens of a prompt are 0 to {model.machine.vocabulary - 1}", "prompt")
            symbols = np.array(one, np.int32)
        else:
            _refuse(f"a prompt is a text or a list of tokens, not {_shown(one)}", "prompt")
        prompts.append(symbols)
    if not prompts:
        _refuse("the list of prompts is empty: give at least one", "prompt")
    return tuple(prompts), _notes(left_out)


def _chat(fields: _Fields, model: ServedModel) -> tuple[_Prompts, tuple[str, ...]]:
    messages = fields.take("messages")
    if not isinstance(messages, list) or not messages:
        _refuse("there are no messages: give a list of at least one", "messages")
    text = "".join(f"{_content(message)}\n" for message in messages)
    symbols, unknown = encode_known(model.machine.tokenizer, text)
    return (symbols,), _notes(dict.fromkeys(unknown))


def _content(message: Any) -> str:
    """The text of a message."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        _refuse(f"a message is an object with role and content, not {_shown(message)}", "messages")
    content = message.get("content")
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        _refuse("the content of a message is text, and nothing else is understood here", "messages")
    return content


def _alternatives(fields: _Fields, kind: Kind) -> int | None:
    if kind == "completions":
        return fields.whole("logprobs", 0, 0, MOST_ALTERNATIVES) if fields.has("logprobs") else None
    if not fields.choice("logprobs"):
        if fields.has("top_logprobs"):
            _refuse("top_logprobs needs logprobs to be true", "top_logprobs")
        return None
    return fields.whole("top_logprobs", 0, 0, MOST_ALTERNATIVES)


def _truncation(fields: _Fields) -> Truncation:
    temperature = fields.number("temperature", 1.0, 0.0, _HOTTEST)
    if 0.0 < temperature < _COLDEST:
        _refuse(f"temperature is 0, or a number from {_COLDEST:g} to {_HOTTEST:g}, not {temperature!r}", "temperature")
    try:
        return Truncation(
            temperature=temperature,
            top_p=fields.number("top_p", 1.0, 0.0, 1.0),
            top_k=max(fields.whole("top_k", 0, -1, 2**31), 0),
            min_p=fields.number("min_p", 0.0, 0.0, 1.0),
        )
    except UsageError as error:
        raise RefusedError(str(error), param="top_p") from error


def _stops(fields: _Fields) -> tuple[str, ...]:
    given = fields.take("stop")
    stops = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        _refuse("stop is a text that is not empty, or a list of such texts", "stop")
    if len(stops) > _MOST_STOPS:
        _refuse(f"stop has {len(stops)} texts, and may have {_MOST_STOPS}", "stop")
    return tuple(stops)


def _notes(left_out: Mapping[str, None]) -> tuple[str, ...]:
    """What a person should know about the prompts."""
    if not left_out:
        return ()
    return (f"the corpus has no {', '.join(map(repr, left_out))}: left out of the prompt",)


def _shown(value: Any) -> str:
    """A value in a sentence, cut where it gets long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(sentence: str, param: str) -> NoReturn:
    raise RefusedError(sentence, param=param)
