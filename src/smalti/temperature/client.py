"""An endpoint that speaks the chat or the completions API of OpenAI, asked at temperature 0.

Servers differ in what they take. `Endpoint.learned` asks once or a few times and finds out: how many log-probabilities
a system reports, if any, and what it calls the limit of tokens. What it found is the *dialect* in which the whole
measurement is made, so that all requests are alike but for the prompt.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from smalti.errors import InputError, UsageError
from smalti.temperature.backoff import Clocks, asked_again
from smalti.temperature.prompts import Prompt
from smalti.temperature.reply import AskError, Dialect, Reply, read_reply
from smalti.temperature.runner import Asked
from smalti.temperature.transport import Address, Response, Transport, scrubbed

__all__ = ["LEARNING", "MOST_ALTERNATIVES", "Endpoint"]

MOST_ALTERNATIVES = 20
"""Log-probabilities at each place that are asked for at first."""

LEARNING = 8
"""Most requests that `Endpoint.learned` makes."""

_FEWER = {20: 5, 5: 1}
_RESOURCES = {"chat": "/chat/completions", "completions": "/completions"}
_OWN_FIELDS = (
    *("model", "messages", "prompt", "temperature", "max_tokens", "max_completion_tokens", "seed", "stream"),
    *("logprobs", "top_logprobs", "n", "top_p"),
)


class Endpoint:
    """A served model as the system under test; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        model: str,
        dialect: Dialect | None = None,
        key: str | None = None,
        key_header: str | None = None,
        timeout: float = 60.0,
        clocks: Clocks | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            url: address of the API, such as `http://127.0.0.1:8000/v1`.

        Keyword Args:
            model: name of the model.
            dialect: how it is asked; the chat API with 32 tokens and as many log-probabilities as can be had, unless
                given.
            key: sent with every request, and kept nowhere.
            key_header: the header that it is sent in; see `Transport`.
            timeout: most seconds for an answer.
            clocks: where time comes from.

        Raises:
            UsageError: a setting has no meaning.
        """
        dialect = Dialect(api="chat", max_tokens=32, alternatives=MOST_ALTERNATIVES) if dialect is None else dialect
        if not model:
            raise UsageError("the name of the model is empty: give the name that the system knows it by")
        if dialect.max_tokens < 1:
            raise UsageError(f"the limit of tokens is a whole number from 1, not {dialect.max_tokens}")
        taken = sorted(set(dialect.extra) & set(_OWN_FIELDS))
        if taken:
            raise UsageError(f"the field {taken[0]!r} is set by the measurement itself: leave it out of --set")
        self._clocks = Clocks() if clocks is None else clocks
        self._transport = Transport(Address.of(url), key=key, key_header=key_header, timeout=timeout)
        self._key = key
        stored = json.dumps([url, model, dict(dialect.extra)], ensure_ascii=False)
        if not stored.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in stored):
            raise UsageError("the name of the model or a field of --set is no text: write it in UTF-8")
        if self.holds_key(stored):
            raise UsageError("the key stands among the other settings, which are stored: give it by --key-env only")
        self.model, self.dialect = model, dialect
        self.notes: tuple[str, ...] = ()
        if key is not None and not self._transport.address.secure and not self._transport.address.loopback:
            self.notes = (f"the key goes to {self.url} without encryption, since that is no https address",)

    @property
    def url(self) -> str:
        """The address."""
        return self._transport.address.url

    @property
    def about(self) -> dict[str, str]:
        """What the system is."""
        return {"endpoint": self.url, "model": self.model, "api": self.dialect.api}

    def holds_key(self, text: str) -> bool:
        """Whether the key stands in a text, so that the text must not be stored."""
        content = text.encode(errors="backslashreplace")
        return scrubbed(content, self._key) != content

    def close(self) -> None:
        """Ends all requests that are under way."""
        self._transport.close()

    def ask(self, prompt: Prompt) -> Asked:
        """Asks once, at temperature 0.

        Raises:
            AskError: there is no answer.
        """
        response = self._transport.post(_RESOURCES[self.dialect.api], self.fields(prompt))
        if not 200 <= response.status < 300:
            raise self._refusal(response)
        try:
            reply = read_reply(response.body, self.dialect)
        except AskError as error:
            sentence = f"{self.url}: {error}"
            raise AskError(error.kind, sentence, status=response.status, body=response.body) from error
        return Asked(reply=reply, body=response.body, status=response.status, cached=_cached(response.headers))

    def fields(self, prompt: Prompt) -> dict[str, Any]:
        """The body of a request.

        Raises:
            UsageError: the prompt is a conversation, and the API completes texts.
        """
        dialect = self.dialect
        found: dict[str, Any] = {"model": self.model, "temperature": 0, dialect.limit: dialect.max_tokens}
        if dialect.api == "chat":
            found["messages"] = prompt.to_json()
        elif prompt.single:
            found["prompt"] = prompt.text
        else:
            raise UsageError(
                f"the prompt {prompt.text[:40]!r} is a conversation, which the completions API cannot take: use --api "
                "chat, or prompts that are one text"
            )
        if dialect.alternatives is not None and dialect.api == "chat":
            found |= {"logprobs": True, "top_logprobs": dialect.alternatives}
        elif dialect.alternatives is not None:
            found["logprobs"] = dialect.alternatives
        if dialect.seed is not None:
            found["seed"] = dialect.seed
        if dialect.transfer == "stream":
            found["stream"] = True
        return found | dict(dialect.extra)

    def learned(
        self, prompt: Prompt, *, alternatives: Literal["most", "as given"] = "most", tries: int = 4
    ) -> Endpoint:
        """The same endpoint with the dialect that it takes, found by asking; notes tell what was left out.

        Args:
            prompt: what is asked.

        Keyword Args:
            alternatives: "most" takes fewer log-probabilities, or none, where the system has no more; "as given"
                refuses to.
            tries: how often a request that fails in passing is made.

        Raises:
            InputError: the system cannot be measured; the sentence says why.
        """
        dialect, notes = self.dialect, self.notes
        left = LEARNING

        def ask(trial: Endpoint) -> Asked:
            nonlocal left
            left -= 1
            return trial.ask(prompt)

        while left:
            trial = self._with(dialect, notes)
            try:
                reply = asked_again(lambda trial=trial: ask(trial), tries=min(tries, left), clocks=self._clocks)
            except AskError as error:
                found = _adapted(dialect, error, most=alternatives == "most")
                if found is None:
                    raise
                dialect, note = found
                notes = (*notes, *note)
                continue
            return self._with(dialect, (*notes, *_told(reply.reply, dialect)))
        raise InputError(f"{self.url} gave no answer to {LEARNING} requests in all their forms; see what it accepts")

    def _with(self, dialect: Dialect, notes: tuple[str, ...]) -> Endpoint:
        other = object.__new__(Endpoint)
        other.__dict__ |= self.__dict__ | {"dialect": dialect, "notes": notes}
        return other

    def _refusal(self, response: Response) -> AskError:
        """The error that a status other than success means."""
        status, url = response.status, self.url
        said = _said(response.body)
        told = f"{status}: {said}" if said else str(status)

        def error(kind: Any, sentence: str, *, wait: float | None = None) -> AskError:
            return AskError(kind, sentence, status=status, body=response.body, wait=wait)

        if 300 <= status < 400:
            # Where to is not told: an address may carry what belongs to nobody else.
            return error("moved", f"{url} sends requests to another address ({status}): give that one as --endpoint")
        if status in (401, 403) and self._key is not None:
            return error("key", f"{url} refuses the key ({told}): see that --key-env names the variable that holds it")
        if status in (401, 403):
            return error("key", f"{url} asks for a key ({told}): name the variable that holds it by --key-env")
        if status == 404:
            return error("missing", f"{url} knows no such model or API ({told}): see --endpoint, --model and --api")
        if status == 402 or (status == 429 and "insufficient_quota" in said):
            return error("quota", f"{url} says that the account is used up ({told}): settle that first")
        wait = _wait(response.headers, self._clocks.wall)
        if status == 429:
            advice = "wait, or give loads of fewer at a time"
            return error("limited", f"{url} answers that there are too many requests ({told}): {advice}", wait=wait)
        if status >= 500 or status in (408, 409, 425):
            advice = "look at what it logs, or ask again later"
            return error("server", f"{url} answers with an error ({told}): {advice}", wait=wait)
        return error("refused", f"{url} refuses a request ({told})")


def _said(body: bytes) -> str:
    """What the body of an error says to a person, on one short line."""
    try:
        record = json.loads(body)
        error = record.get("error", record.get("detail", record.get("message")))
        if isinstance(error, dict):
            parts = [error.get("message"), error.get("code")]
            text = ", ".join(str(part) for part in parts if part)
        else:
            text = error if isinstance(error, str) else json.dumps(record)
    except (ValueError, AttributeError, RecursionError):
        text = body[:300].decode("utf-8", "replace")
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]} ..."


def _wait(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    """Seconds that a response asks to wait. A date counts from the server's own clock, if the response has it."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said)) if float(said) < float("inf") else None
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(said).timestamp()
        there = headers.get("date")
        return max(0.0, until - (now() if there is None else email.utils.parsedate_to_datetime(there).timestamp()))
    except (ValueError, TypeError, OverflowError):
        return None


def _cached(headers: Mapping[str, str]) -> bool | None:
    """Whether a cache says that it answered (RFC 9111, RFC 9211, and a habit); None where nothing is said of it."""
    status = headers.get("cache-status")
    if status is not None:
        return any(part.strip().lower() == "hit" for each in status.split(",") for part in each.split(";")[1:])
    if "hit" in headers.get("x-cache", "").lower() or "age" in headers:
        return True
    return None


def _adapted(dialect: Dialect, error: AskError, *, most: bool) -> tuple[Dialect, tuple[str, ...]] | None:
    """A dialect without what the system refused, and what a person should know; None where nothing can be left out.

    Raises:
        InputError: it refused what the measurement is about.
    """
    said = str(error)
    if error.kind == "bare" and most:
        return replace(dialect, alternatives=None), ("the system reports no log-probabilities, so words are compared",)
    if error.kind != "refused":
        return None
    if dialect.limit == "max_tokens" and "max_completion_tokens" in said:
        return replace(dialect, limit="max_completion_tokens"), ()
    if "temperature" in said and "logprob" not in said:
        raise InputError(f"{said}: a system that refuses temperature 0 has no background temperature") from error
    if dialect.alternatives is None or not most:
        return None
    fewer = _FEWER.get(dialect.alternatives)
    # An error that does not say what was wrong is most often about this.
    note = () if fewer is not None else ("the system reports no log-probabilities, so words are compared",)
    return replace(dialect, alternatives=fewer), note


def _told(reply: Reply, dialect: Dialect) -> tuple[str, ...]:
    """What a person should know of a first reply."""
    limit = dialect.max_tokens
    if reply.hidden:
        return (f"the system reasons out of sight before it answers; only answers are compared, up to {limit} tokens",)
    if reply.used is not None and reply.used > limit:
        return (f"the system does not keep to the limit of {limit} tokens ({reply.used} in its first answer)",)
    if reply.used is not None and reply.finish == "length" and reply.used < limit:
        return (f"the system ends answers at {reply.used} tokens, though {limit} were asked for",)
    return ()
