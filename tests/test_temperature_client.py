"""Endpoints that misbehave: each outcome is named in one sentence, and the key is nowhere."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from misbehaving import Act, Manner, chat, refusal, serving, stream
from smalti.errors import InputError, UsageError
from smalti.temperature.backoff import LONGEST_WAIT, Clocks, tries_of, wait_before
from smalti.temperature.client import LEARNING, Endpoint
from smalti.temperature.prompts import Prompt
from smalti.temperature.reply import AskError, Dialect
from smalti.temperature.transport import Address, scrubbed

PROMPT = Prompt.of("Name the planets.")
KEY = "sk-Very/Secret+0123456789"
BROKEN = "look at what it logs, or ask again later"


def endpoint(url: str, **settings: Any) -> Endpoint:
    """An endpoint for tests; waiting is not done."""
    clocks = settings.pop("clocks", Clocks(rest=lambda seconds, stop: None))
    dialect = Dialect(api="chat", max_tokens=8, **settings.pop("dialect", {}))
    return Endpoint(url, model="tiny", dialect=dialect, clocks=clocks, **settings)


def failure(manner: Manner, **settings: Any) -> AskError:
    """How one request fails."""
    with serving(manner) as server, pytest.raises(AskError) as caught:
        endpoint(server.url, **settings).ask(PROMPT)
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_is_asked() -> None:
    with serving(lambda number, fields: chat()) as server:
        asked = endpoint(server.url).ask(PROMPT)
        extra = {
            "alternatives": 5,
            "seed": 7,
            "transfer": "stream",
            "extra": {"top_k": 1},
            "limit": "max_completion_tokens",
        }
        endpoint(server.url, key=KEY, dialect=extra | {"alternatives": None}).ask(PROMPT)
        Endpoint(server.url, model="tiny", dialect=Dialect(api="chat", max_tokens=8)).ask(PROMPT)
    assert (asked.reply.text, asked.status, asked.cached) == ("Mercury, Venus, Earth.", 200, None)
    assert json.loads(asked.body)["id"] == "chat-0"
    messages = [{"role": "user", "content": PROMPT.text}]
    first, second, _ = server.asked
    assert first == {
        "path": "/v1/chat/completions", "model": "tiny", "temperature": 0, "max_tokens": 8, "messages": messages
    }  # fmt: skip
    assert second == {
        "path": "/v1/chat/completions", "model": "tiny", "temperature": 0, "max_completion_tokens": 8, "seed": 7,
        "messages": messages, "stream": True, "top_k": 1,
    }  # fmt: skip
    assert "authorization" not in server.headers[0]
    assert server.headers[1]["authorization"] == f"Bearer {KEY}"


def test_completions_take_texts_and_no_conversations() -> None:
    body = json.dumps({"choices": [{"text": " Mars", "finish_reason": "length"}]}).encode()
    with serving(lambda number, fields: Act(body=body)) as server:
        system = Endpoint(server.url, model="tiny", dialect=Dialect(api="completions", max_tokens=4))
        assert system.ask(PROMPT).reply.text == " Mars"
        with pytest.raises(UsageError, match="is a conversation, which the completions API cannot take"):
            system.ask(Prompt((("system", "Be brief."), ("user", "Why?"))))
    assert server.asked[0]["path"] == "/v1/completions"
    assert server.asked[0]["prompt"] == PROMPT.text


def test_a_stream_is_read_as_it_comes() -> None:
    with serving(lambda number, fields: Act(body=stream(), declared=-1)) as server:
        assert endpoint(server.url, dialect={"transfer": "stream"}).ask(PROMPT).reply.text == "Mercury, Venus, Earth."


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with pytest.raises(AskError) as caught:
        endpoint(url).ask(PROMPT)
    assert str(caught.value) == (
        f"{url} does not answer (Connection refused): see that it is running and that --endpoint is right"
    )
    assert (caught.value.kind, caught.value.passing, caught.value.of_system) == ("down", True, True)


def test_a_host_that_is_none() -> None:
    with pytest.raises(AskError, match="does not answer"):
        endpoint(f"http://{'a' * 70}.invalid/v1").ask(PROMPT)


def test_a_connection_that_ends_without_a_word() -> None:
    assert failure(lambda number, fields: Act(status=None)).kind == "down"


@pytest.mark.parametrize(
    "act", [Act(delay=30.0), Act(body=b" " * 3000, drip=0.02), Act(body=b" " * 3000, drip=0.02, declared=-1)]
)
def test_slow_answers_end_in_time(act: Act) -> None:
    error = failure(lambda number, fields: act, timeout=0.3)
    assert error.kind == "slow"
    assert "does not finish an answer within 0.3 seconds: raise --timeout" in str(error)


def test_a_body_that_ends_early() -> None:
    body = chat().body
    error = failure(lambda number, fields: Act(body=body[:50], declared=len(body)))
    assert (error.kind, error.body) == ("truncated", body[:50])
    assert "breaks an answer off after 50 bytes" in str(error)
    chunks = Act(body=b"10\r\n0123456789abcdef\r\n20\r\n0123", declared=-1, headers={"Transfer-Encoding": "chunked"})
    assert failure(lambda number, fields: chunks).kind == "truncated"


def test_a_truncated_stream() -> None:
    body = stream()[:300]
    error = failure(lambda number, fields: Act(body=body, declared=-1), dialect={"transfer": "stream"})
    assert (error.kind, error.status, error.body) == ("truncated", 200, body)


@pytest.mark.parametrize(
    ("status", "kind", "passing", "of_system", "sentence"),
    [
        (301, "moved", False, True, "sends requests to another address (301): give that one as --endpoint"),
        (400, "refused", False, False, "refuses a request (400: it says no)"),
        (401, "key", False, True, "asks for a key (401: it says no): name the variable that holds it by --key-env"),
        (402, "quota", False, True, "says that the account is used up (402: it says no): settle that first"),
        (
            404,
            "missing",
            False,
            True,
            "knows no such model or API (404: it says no): see --endpoint, --model and --api",
        ),
        (408, "server", True, False, f"answers with an error (408: it says no): {BROKEN}"),
        (413, "refused", False, False, "refuses a request (413: it says no)"),
        (422, "refused", False, False, "refuses a request (422: it says no)"),
        (
            429,
            "limited",
            True,
            True,
            "answers that there are too many requests (429: it says no): wait, or give loads of fewer at a time",
        ),
        (500, "server", True, False, f"answers with an error (500: it says no): {BROKEN}"),
        (503, "server", True, False, f"answers with an error (503: it says no): {BROKEN}"),
    ],
)
def test_statuses(status: int, kind: str, passing: bool, of_system: bool, sentence: str) -> None:
    error = failure(lambda number, fields: refusal(status, "it says no", Location="http://elsewhere.invalid/"))
    assert (error.kind, error.passing, error.of_system, error.status) == (kind, passing, of_system, status)
    assert str(error).endswith(sentence)
    assert b"it says no" in error.body


def test_a_key_that_is_refused_and_an_account_that_is_used_up() -> None:
    assert "refuses the key (403" in str(failure(lambda number, fields: refusal(403, "no"), key=KEY))
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    assert failure(lambda number, fields: Act(status=429, body=body)).kind == "quota"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "(500)"),
        (b"<h1>Oops\n</h1>", "(500: <h1>Oops </h1>)"),
        (b'{"detail": "boom"}', "(500: boom)"),
        (b'{"error": "boom"}', "(500: boom)"),
        (b'{"error": {"code": 7}}', "(500: 7)"),
        (b'["x"]', '(500: ["x"])'),
        (b"x" * 9999, f"(500: {'x' * 200} ...)"),
        (b"\xff", "(500: \ufffd)"),
    ],
)
def test_errors_of_any_form_are_told_on_one_line(body: bytes, said: str) -> None:
    assert str(failure(lambda number, fields: Act(status=500, body=body))).endswith(f"{said}: {BROKEN}")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        # The server's own clock counts, whatever this machine's says.
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_how_long_a_system_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    act = Act(status=429, body=b"{}", headers=headers)
    assert failure(lambda number, fields: act).wait == seconds


def test_waits_grow_keep_to_what_was_asked_and_have_an_end() -> None:
    plain = AskError("server", "an error")
    for tried in range(1, 12):
        expected = min(60.0, 0.5 * 2.0 ** (tried - 1))
        assert 0.5 * expected <= wait_before(plain, tried) <= 1.5 * expected
    assert wait_before(AskError("limited", "slow down", wait=100.0), 1) == 100.0
    assert wait_before(AskError("limited", "slow down", wait=0.0), 3) >= 1.0
    with pytest.raises(AskError, match="slow down; it asks to come back in 2 h 0 min"):
        wait_before(AskError("limited", "slow down", wait=7200.0), 1)
    assert wait_before(AskError("limited", "slow down", wait=LONGEST_WAIT), 1) == LONGEST_WAIT
    assert [tries_of(AskError(kind, ""), 8) for kind in ("down", "malformed", "refused")] == [8, 3, 1]


@pytest.mark.parametrize(
    ("headers", "cached"),
    [
        ({}, None),
        ({"Age": "12"}, True),
        ({"X-Cache": "HIT from edge"}, True),
        ({"X-Cache": "MISS"}, None),
        ({"Cache-Status": "edge; hit; ttl=3"}, True),
        ({"Cache-Status": "edge; fwd=miss, inner; hit"}, True),
        ({"Cache-Status": "server; fwd=bypass", "Age": "0"}, False),
    ],
)
def test_what_headers_say_of_caches(headers: dict[str, str], cached: bool | None) -> None:
    with serving(lambda number, fields: Act(body=chat().body, headers=headers)) as server:
        assert endpoint(server.url).ask(PROMPT).cached == cached


def test_a_server_that_repeats_the_key_is_not_repeated() -> None:
    quoted = "sk-Very%2FSecret%2B0123456789"
    text = f"Incorrect key {KEY}, in JSON {json.dumps(KEY)}, in an address {quoted}"
    error = failure(lambda number, fields: refusal(401, text), key=KEY)
    answer = chat(f"Your key is {KEY}.")
    with serving(lambda number, fields: answer) as server:
        asked = endpoint(server.url, key=KEY).ask(PROMPT)
    noise = failure(lambda number, fields: Act(raw=f"no HTTP, {KEY}\r\n\r\n".encode()), key=KEY)
    assert noise.kind == "down"
    for content in (str(error), str(noise), error.body.decode(), asked.body.decode(), asked.reply.text):
        assert "0123456789" not in content
        assert "[key removed]" in content
    # A word to please a local server is no secret, and may stand anywhere.
    assert scrubbed(b"none of it", "none") == b"none of it"


@pytest.mark.parametrize("key", ["", " x", "a b", "a\r\nHost: x", "schlüssel"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(UsageError, match="the key is empty, or has blanks") as caught:
        endpoint("http://127.0.0.1:1/v1", key=key)
    assert key.strip() == "" or key not in str(caught.value)


def test_a_key_among_settings_that_are_stored() -> None:
    for settings in ({"dialect": {"extra": {"user": KEY}}}, {"dialect": {"extra": {"x": [f"Bearer {KEY}"]}}}):
        with pytest.raises(UsageError, match="the key stands among the other settings") as caught:
            endpoint("http://127.0.0.1:1/v1", key=KEY, **settings)
        assert KEY not in str(caught.value)


def test_a_key_that_goes_unencrypted_is_noted() -> None:
    (note,) = endpoint("http://models.invalid/v1", key=KEY).notes
    assert "without encryption" in note
    assert endpoint("https://models.invalid/v1", key=KEY).notes == ()
    assert endpoint("http://localhost:1", key=KEY).notes == ()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("https://Host.Example:443/openai/v1/", "https://host.example/openai/v1"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://h/v1/completions/", "http://h/v1"),
        ("http://[::1]:80/v1", "http://[::1]/v1"),
        ("https://h/openai?api-version=preview", "https://h/openai?api-version=preview"),
        ("https://h/d/m/chat/completions?api-version=2024-06-01", "https://h/d/m?api-version=2024-06-01"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert Address.of(text).url == url
    assert Address.of(url) == Address.of(text)


@pytest.mark.parametrize(
    "text", ["", "host", "ftp://host/", "http://", "http://h:x/", "http://h:99999", "http://h/a b", "http://ü"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no address of an API: write it like http"):
        Address.of(text)


@pytest.mark.parametrize(
    "text",
    [
        *("http://me:hunter22@host/v1", "http://key@host/v1", "http://h/#hunter22"),
        *("http://h/v1?api-key=hunter22", "http://h/v1?api-version=hunter22"),
        *("http://h/v1?api-version=2024-06-01&key=hunter22", "http://h/v1?api-version=2024-06-01-hunter22"),
    ],
)
def test_addresses_with_something_secret_are_refused_unrepeated(text: str) -> None:
    with pytest.raises(UsageError, match="without name, password, query or fragment") as caught:
        Address.of(text)
    assert "hunter22" not in str(caught.value)


def test_a_version_in_the_address_and_a_header_for_the_key() -> None:
    with serving(lambda number, fields: chat()) as server:
        url = server.url.replace("/v1", "/openai/deployments/m?api-version=2024-06-01")
        system = endpoint(url, key=KEY, key_header="api-key")
        assert system.ask(PROMPT).reply.text
        assert system.url == system.about["endpoint"] == url
    assert server.asked[0]["path"] == "/openai/deployments/m/chat/completions?api-version=2024-06-01"
    assert server.headers[0]["api-key"] == KEY
    assert "authorization" not in server.headers[0]
    for header in ("", "a b", "Host", "x\r\ny", "ü"):
        with pytest.raises(UsageError, match="is no header for a key: name one such as api-key"):
            endpoint(server.url, key=KEY, key_header=header)


@pytest.mark.parametrize(
    "written",
    [
        *(KEY, KEY.replace("/", "\\/"), KEY.replace("+", "\\u002B"), KEY.replace("/", "\\u002f").replace("+", "%2b")),
        *("sk&#45;Very&#x2F;Secret+0123456789", KEY[:12]),
    ],
)
def test_however_the_key_is_written(written: str) -> None:
    """The last one: an answer that ends within the key."""
    assert scrubbed(f"it is {written}".encode(), KEY) == b"it is [key removed]"


def test_a_key_with_signs_of_its_own() -> None:
    key = "a'b\"c\\d&e<f>.*"
    for written in (key, json.dumps(key)[1:-1], "a&#x27;b&quot;c\\d&amp;e&lt;f&gt;.*"):
        assert scrubbed(written.encode(), key) == b"[key removed]"
    assert scrubbed(b"a'b\"c\\d&e<f>xx", key) == b"a'b\"c\\d&e<f>xx"


def test_a_name_that_is_no_text() -> None:
    for settings in ({"model": "m\udcff"}, {"dialect": Dialect(api="chat", max_tokens=8, extra={"x": "\ud800"})}):
        with pytest.raises(UsageError, match="is no text: write it in UTF-8"):
            Endpoint("http://127.0.0.1:1/v1", **{"model": "m", **settings})


def test_learning_has_an_end() -> None:
    """However its requests fail, no more than were reserved for it are made."""
    replies = [Act(body=b"{"), Act(body=b""), refusal(400, "top_logprobs must be less")]
    with serving(lambda number, fields: replies[number % 3]) as server, pytest.raises(InputError):
        endpoint(server.url, dialect={"alternatives": 20}).learned(PROMPT)
    assert len(server.asked) == LEARNING


def test_requests_under_way_can_be_ended() -> None:
    begun = threading.Event()

    def manner(number: int, fields: dict[str, Any]) -> Act:
        begun.set()
        return Act(delay=1.0)

    with serving(manner) as server:
        system = endpoint(server.url)
        kinds: list[str] = []

        def ask() -> None:
            try:
                system.ask(PROMPT)
            except AskError as error:
                kinds.append(error.kind)

        thread = threading.Thread(target=ask)
        thread.start()
        begun.wait()
        system.close()
        thread.join()
        ask()  # and there are no others
    assert kinds == ["down", "down"]
    assert len(server.asked) == 1


def picky(**limits: Any) -> Manner:
    """A server that refuses fields, as real ones do, and answers what is left."""

    def manner(number: int, fields: dict[str, Any]) -> Act:
        if "max_tokens" in fields and limits.get("renamed"):
            return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        most = limits.get("most", 20)
        if fields.get("top_logprobs", -1) > most:
            return refusal(400, limits.get("message", f"top_logprobs must be at most {most}"))
        return chat("a b c", logprobs=bool(fields.get("logprobs")) and not limits.get("silent"))

    return manner


@pytest.mark.parametrize(
    ("limits", "alternatives", "requests", "notes"),
    [
        ({}, 20, 1, ()),
        ({"most": 5}, 5, 2, ()),
        ({"most": 5, "message": "bad request"}, 5, 2, ()),
        ({"most": 1}, 1, 3, ()),
        ({"most": -1}, None, 4, ("the system reports no log-probabilities, so words are compared",)),
        ({"silent": True}, None, 2, ("the system reports no log-probabilities, so words are compared",)),
        ({"renamed": True, "most": 5}, 5, 3, ()),
    ],
)
def test_the_dialect_is_learned(limits: dict[str, Any], alternatives: int | None, requests: int, notes: Any) -> None:
    with serving(picky(**limits)) as server:
        found = endpoint(server.url, dialect={"alternatives": 20}).learned(PROMPT)
        assert found.ask(PROMPT).reply.text == "a b c"
    assert found.dialect.alternatives == alternatives
    assert found.dialect.limit == ("max_completion_tokens" if limits.get("renamed") else "max_tokens")
    assert found.notes == notes
    assert len(server.asked) == requests + 1


def test_log_probabilities_asked_for_as_given_are_not_given_up() -> None:
    with serving(picky(most=5)) as server, pytest.raises(AskError, match="top_logprobs must be at most 5"):
        endpoint(server.url, dialect={"alternatives": 20}).learned(PROMPT, alternatives="as given")


@pytest.mark.parametrize(
    ("act", "note"),
    [
        (chat("a b c", usage={"completion_tokens": 50}), "does not keep to the limit of 8 tokens (50 in its first"),
        (chat("a b", finish="length", usage={"completion_tokens": 2}), "ends answers at 2 tokens, though 8 were asked"),
        (chat("a", usage={"completion_tokens_details": {"reasoning_tokens": 5}}), "reasons out of sight"),
    ],
)
def test_other_limits_of_tokens_are_noted(act: Act, note: str) -> None:
    with serving(lambda number, fields: act) as server:
        (found,) = endpoint(server.url).learned(PROMPT).notes
    assert note in found


def test_systems_that_cannot_be_measured() -> None:
    warm, sentence = refusal(400, "temperature does not support 0"), "refuses temperature 0 has no background"
    with serving(lambda number, fields: warm) as server, pytest.raises(InputError, match=sentence):
        endpoint(server.url).learned(PROMPT)
    thinking = chat("", finish="length", usage={"completion_tokens_details": {"reasoning_tokens": 8}})
    sentence = "hidden reasoning used the limit of 8 tokens before anything was answered"
    with serving(lambda number, fields: thinking) as server, pytest.raises(InputError, match=sentence):
        endpoint(server.url).learned(PROMPT)
    assert len(server.asked) == 1


def test_what_passes_is_waited_for_while_learning() -> None:
    waits: list[float] = []
    clocks = Clocks(rest=lambda seconds, stop: waits.append(seconds))
    with serving(lambda number, fields: refusal(429, "later", Retry_After="9") if number < 2 else chat()) as server:
        assert endpoint(server.url, clocks=clocks).learned(PROMPT).dialect.alternatives is None
    assert len(server.asked) == 3
    assert waits == [9.0, 9.0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dialect": {"extra": {"temperature": 1}}}, "the field 'temperature' is set by the measurement itself"),
        ({"timeout": 0.0}, "--timeout is more than 0 seconds"),
        ({"timeout": float("nan")}, "--timeout is more than 0 seconds"),
    ],
)
def test_settings_without_meaning(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        endpoint("http://127.0.0.1:1/v1", **settings)
    with pytest.raises(UsageError, match="the name of the model is empty"):
        Endpoint("http://127.0.0.1:1/v1", model="")
    with pytest.raises(UsageError, match="the limit of tokens is a whole number from 1, not 0"):
        Endpoint("http://127.0.0.1:1/v1", model="m", dialect=Dialect(api="chat", max_tokens=0))
