"""From the raw body of a response to what was answered.

`read_reply` is a function of the body and of how was asked (the *dialect*), so that stored responses can be read again
at any time. Three dialects: the chat and the completions API of OpenAI, which many servers speak, each as one JSON
object or as a stream of server-sent events; and the JSON in which answers of a Python callable are kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NoReturn

from smalti.errors import InputError
from smalti.temperature.record import ROUNDING

__all__ = ["Api", "AskError", "Dialect", "Kind", "Reply", "read_reply", "words"]

Api = Literal["chat", "completions", "callable"]

Kind = Literal[
    "down", "untrusted", "slow", "limited", "server", "key", "missing", "moved", "quota",
    "refused", "malformed", "truncated", "empty", "bare", "reasoning", "callable",
]  # fmt: skip
"""What can go wrong with a request.

With any request: no connection, a certificate that is not trusted or none at
all, no answer in time, too many requests, an error of
the server, a key that it refuses, an address or model that is not there, a redirection, an account that is used up.
With this one: refused, answered in no known form, cut off, answered with nothing, answered without the
log-probabilities that were asked for, no answer because hidden reasoning used the limit of tokens, an exception in a
callable.
"""

_OF_SYSTEM = ("down", "untrusted", "limited", "key", "missing", "moved", "quota")
_FREE = ("down", "limited", "server")
_PASSING = ("down", "slow", "limited", "server", "malformed", "truncated", "empty")
_LONGEST = 600  # characters of a sentence
_WORD = re.compile(r"\s*(?:\w+(?:['’]\w+)*|[^\w\s])|\s+$")


class AskError(InputError):
    """A request that was not answered.

    Attributes:
        kind: what went wrong.
        status: status of the HTTP response; None where there was none.
        body: what came, as far as it came.
        wait: seconds that the system asked to wait; None where it did not.
    """

    def __init__(
        self, kind: Kind, sentence: str, *, status: int | None = None, body: bytes = b"", wait: float | None = None
    ) -> None:
        # Much of it may be a server's own words, of any length and on any number of lines.
        line = _sound(" ".join(sentence.split()))
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...")
        self.kind: Kind = kind
        self.status, self.body, self.wait = status, body, wait

    @property
    def of_system(self) -> bool:
        """Whether any other request would fail in the same way now."""
        return self.kind in _OF_SYSTEM

    @property
    def free(self) -> bool:
        """Whether the system did no work for it, so that nothing was paid; all requests may wait then."""
        return self.kind in _FREE

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered when it is made again."""
        return self.kind in _PASSING


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a system is asked, and how its answers are to be read.

    Attributes:
        api: which API.
        max_tokens: most tokens of an answer.
        limit: the field that says so.
        transfer: `whole`, or `stream` for server-sent events.
        alternatives: log-probabilities asked for at each place; None: not asked for.
        seed: the seed that is sent; None: none.
        extra: other fields of the request, by name.
    """

    api: Api
    max_tokens: int
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    transfer: Literal["whole", "stream"] = "whole"
    alternatives: int | None = None
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The dialect as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Dialect:
        """The dialect that `to_json` wrote.

        Raises:
            TypeError, ValueError: it is something else.
        """
        found = cls(**record)
        if found.api not in ("chat", "completions", "callable") or found.max_tokens < 1:
            raise ValueError("dialect")
        return found


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a response says.

    Attributes:
        text: the answer.
        tokens: its tokens, at most as many as were asked for; None where log-probabilities were not asked for.
        logprobs: their log-probabilities, nats.
        top: the alternatives at each place with their log-probabilities, best first.
        finish: why it ended, as the system says.
        model: the model that the system named.
        fingerprint: the fingerprint that the system named.
        name: the system's own id of the response.
        used: tokens that the system counted for the answer, hidden ones included.
        hidden: tokens of hidden reasoning among them.
    """

    text: str
    tokens: tuple[str, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    top: tuple[tuple[tuple[str, float], ...], ...] | None = None
    finish: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    name: str | None = None
    used: int | None = None
    hidden: int = 0


def words(text: str) -> tuple[str, ...]:
    """A text cut into words and single signs, each with the blanks before it; joined they give the text again."""
    return tuple(_WORD.findall(text))


def read_reply(body: bytes, dialect: Dialect) -> Reply:
    """Reads a response. A function of its arguments alone.

    Args:
        body: the body of a response with a status of success.
        dialect: how was asked.

    Raises:
        AskError: "malformed": it is no answer in this dialect; "truncated": a stream that breaks off; "server": a
            stream that ends with an error; "empty": nothing was answered, though the answer did not end by itself;
            "bare": log-probabilities were asked for, and there are none; "reasoning": nothing was answered, because
            hidden reasoning used the limit.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        _malformed(body, "not UTF-8")
    start = text.lstrip()[:6]
    if start.startswith(("data:", "event:", "id:", "retry:", ":")):
        record = _joined(body, text)
    else:
        record = _json(body, text)
        if not isinstance(record, dict):
            _malformed(body, "no JSON object")
    try:
        reply = _of_callable(record, dialect) if dialect.api == "callable" else _of_api(record, dialect)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = _error_in(record)
        if said is not None:
            sentence = f"the system answers with an error ({said}): look at what it logs, or ask again later"
            raise AskError("server", sentence, body=body) from error
        _malformed(body, f"no answer of the {dialect.api} API ({type(error).__name__}: {error})", cause=error)
    if reply.text or reply.tokens or reply.finish == "stop":
        return reply
    if reply.hidden:
        raise AskError(
            "reasoning",
            f"hidden reasoning used the limit of {dialect.max_tokens} tokens before anything was answered: raise "
            "--max-tokens, or turn reasoning off, as by --set reasoning_effort='\"none\"'",
            body=body,
        )
    why = f"finish_reason {reply.finish!r}"
    raise AskError("empty", f"the system answers with nothing, and not because it was done ({why})", body=body)


def _json(body: bytes, text: str) -> Any:
    def no_number(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        _malformed(body, f"no JSON ({error})", cause=error)


def _malformed(body: bytes, what: str, *, cause: BaseException | None = None) -> NoReturn:
    begin = body[:60].decode("utf-8", "replace")
    sentence = (
        f"the system answers with {what}; it begins {begin!r}: see that --endpoint and --api are those of its API"
    )
    raise AskError("malformed", sentence, body=body) from cause


def _error_in(record: Mapping[str, Any]) -> str | None:
    """What the error in a record says, if there is one."""
    error = record.get("error")
    if not error:
        return None
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _joined(body: bytes, text: str) -> dict[str, Any]:
    """The one record that the events of a stream amount to, in the form of a response that came whole."""
    events, rest = _events(text)
    record: dict[str, Any] = {"choices": [{"finish_reason": None, "logprobs": None}]}
    choice = record["choices"][0]
    pieces: dict[str, list[str]] = {"text": [], "content": [], "reasoning": []}
    lists = dict[str, list[Any]]()
    done = False
    for event in events:
        if event == "[DONE]":
            done = True
            break
        part = _json(body, event)
        if not isinstance(part, dict):
            _malformed(body, "an event that is no JSON object")
        said = _error_in(part)
        if said is not None:
            raise AskError("server", f"the system breaks an answer off with an error ({said})", body=body)
        try:
            _add(part, record, choice, pieces, lists)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _malformed(body, f"an event of no known form ({type(error).__name__}: {error})", cause=error)
    if not done and choice["finish_reason"] is None:
        raise AskError("truncated", "the stream of an answer breaks off before its end", body=body)
    if rest and not done:
        raise AskError("truncated", "the stream of an answer breaks off within an event", body=body)
    content = "".join(pieces["content"])
    choice["text"] = "".join(pieces["text"])
    choice["message"] = {"content": content, "reasoning": "".join(pieces["reasoning"])}
    if lists:
        choice["logprobs"] = lists
    return record


def _events(text: str) -> tuple[list[str], str]:
    """The data of every complete event of a stream, and what follows the last of them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events, data = list[str](), list[str]()
    for line in lines[:-1]:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            events.append("\n".join(data))
            data = []
    # Many servers leave out the empty line after the last event.
    if data and not lines[-1]:
        return [*events, "\n".join(data)], ""
    last = lines[-1][5:].strip() if lines[-1].startswith("data:") else ""
    return ([*events, last], "") if last == "[DONE]" else (events, "\n".join([*data, lines[-1]]))


def _add(
    part: Mapping[str, Any],
    record: dict[str, Any],
    choice: dict[str, Any],
    pieces: dict[str, list[str]],
    lists: dict[str, list[Any]],
) -> None:
    """Adds an event of a stream to what came before."""
    for name in ("id", "model", "system_fingerprint", "usage"):
        if part.get(name) is not None:
            record[name] = part[name]
    for piece in part.get("choices") or ():
        if piece.get("index", 0) != 0:
            continue
        delta = piece.get("delta") or {}
        pieces["text"].append(_text_of(piece.get("text")))
        pieces["content"].append(_text_of(delta.get("content")))
        pieces["reasoning"].append(_text_of(delta.get("reasoning_content") or delta.get("reasoning")))
        choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]
        for name, values in (piece.get("logprobs") or {}).items():
            if isinstance(values, list):
                lists.setdefault(name, []).extend(values)


def _of_api(record: Mapping[str, Any], dialect: Dialect) -> Reply:
    choices = [choice for choice in record["choices"] if choice.get("index", 0) == 0]
    if not choices:
        raise ValueError("choices has no answer")
    choice = choices[0]
    hidden = ""
    if dialect.api == "chat":
        message = choice["message"]
        text = _sound(_text_of(message.get("content")))
        hidden = message.get("reasoning_content") or message.get("reasoning") or ""
    else:
        text = _sound(_text_of(choice["text"]))
    usage = record.get("usage") or {}
    details = usage.get("completion_tokens_details") or {}
    reasoning = int(details.get("reasoning_tokens") or 0)
    used = usage.get("completion_tokens")
    reply: dict[str, Any] = {
        "text": text,
        "finish": _word(choice.get("finish_reason")),
        "model": _word(record.get("model")),
        "fingerprint": _word(record.get("system_fingerprint")),
        "name": _word(record.get("id")),
        "used": None if used is None else int(used),
        # Where reasoning is shown but not counted, it is at least one token.
        "hidden": reasoning or len(words(hidden)),
    }
    if dialect.alternatives is not None and (text or reply["finish"] != "length"):
        reply |= _tokens_of(choice.get("logprobs"), text, dialect)
    return Reply(**reply)


def _of_callable(record: Mapping[str, Any], dialect: Dialect) -> Reply:
    if "text" in record:
        return Reply(text=_sound(_text_of(record["text"])), finish="stop")
    tokens = tuple(map(_token, record["tokens"]))[: dialect.max_tokens]
    return Reply(text="".join(tokens), tokens=tokens, finish="stop")


def _text_of(content: Any) -> str:
    """The text of a message: a text, parts of which some are texts, or nothing."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError("the text of an answer is none")
    return content or ""


def _sound(text: str) -> str:
    """A text that can be stored. Servers that count in UTF-16 cut characters in halves: halves that follow each other
    are joined, and one by itself is written as its number.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return whole.encode("utf-8", "backslashreplace").decode()
    return text


def _word(value: Any) -> str | None:
    return None if value is None else _sound(str(value))


def _tokens_of(logprobs: Any, text: str, dialect: Dialect) -> dict[str, Any]:
    """Tokens, log-probabilities and alternatives of an answer."""
    if logprobs is None or (dialect.api == "chat" and logprobs.get("content") is None):
        if not text:
            return {"tokens": (), "logprobs": (), "top": ()}
        raise AskError("bare", "the system answers without the log-probabilities that were asked for")
    if dialect.api == "chat":
        places = [(at["token"], at["logprob"], at.get("top_logprobs") or []) for at in logprobs["content"]]
        top = [[(other["token"], other["logprob"]) for other in others] for _, _, others in places]
        tokens, values = [at[0] for at in places], [at[1] for at in places]
    else:
        tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
        top = [list((others or {}).items()) for others in logprobs.get("top_logprobs") or [None] * len(tokens)]
    if not len(tokens) == len(values) == len(top):
        raise ValueError("the lists of log-probabilities have different lengths")
    if text and not tokens:
        raise AskError("bare", "the system answers without the log-probabilities that were asked for")
    begin, end = _span([_token(token) for token in tokens], text)
    cut = slice(begin, min(end, begin + dialect.max_tokens))
    return {
        "tokens": tuple(_token(token) for token in tokens[cut]),
        "logprobs": tuple(_nats(value) for value in values[cut]),
        "top": tuple(
            tuple(sorted(((_token(t), _nats(v)) for t, v in at), key=lambda pair: -pair[1])) for at in top[cut]
        ),
    }


def _span(tokens: list[str], text: str) -> tuple[int, int]:
    """Which of the tokens are the text: some servers report hidden reasoning before it, and a mark of the end."""
    for end in (len(tokens), len(tokens) - 1):
        joined = "".join(tokens[: max(end, 0)])
        before = len(joined) - len(text)
        if joined.endswith(text):
            begin = 0
            while before > 0:
                before -= len(tokens[begin])
                begin += 1
            if before == 0:
                return begin, end
    return 0, len(tokens)


def _token(token: Any) -> str:
    if not isinstance(token, str):
        raise TypeError("a token that is no text")
    return _sound(token)


def _nats(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value > ROUNDING:
        raise ValueError(f"the log-probability {value!r}")
    return float(value)
