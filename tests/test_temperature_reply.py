"""From raw bodies to answers: the same content in every form that APIs give it, and every malformed thing named."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misbehaving import chat, place, stream, tokens_of
from smalti.temperature.reply import AskError, Dialect, read_reply, words

CHAT = Dialect(api="chat", max_tokens=8)
TOP = Dialect(api="chat", max_tokens=8, alternatives=5)
TEXT = "Mercury, Venus, Earth."


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text


def test_words_have_the_blanks_before_them_and_signs_stand_apart() -> None:
    assert words("It's 3.5 km,\n  isn't it? ") == ("It's", " 3", ".", "5", " km", ",", "\n  isn't", " it", "?", " ")
    assert words("a b") != words("a  b")
    assert words("") == ()


def test_a_chat_answer() -> None:
    reply = read_reply(chat(TEXT, system_fingerprint="fp_1", usage={"completion_tokens": 7}).body, CHAT)
    assert (reply.text, reply.finish, reply.model, reply.fingerprint) == (TEXT, "stop", "tiny-2024", "fp_1")
    assert (reply.name, reply.used, reply.hidden, reply.tokens, reply.logprobs) == ("chat-0", 7, 0, None, None)


def test_log_probabilities_of_a_chat_answer() -> None:
    reply = read_reply(chat(TEXT, logprobs=True).body, TOP)
    assert reply.tokens == tuple(tokens_of(TEXT))
    assert reply.logprobs == (-0.25,) * 3
    assert reply.top == tuple(((token, -0.25), (" else", -1.5)) for token in tokens_of(TEXT))


def test_a_stream_says_what_a_whole_answer_says() -> None:
    whole, streamed = read_reply(chat(TEXT, logprobs=True).body, TOP), read_reply(stream(TEXT), TOP)
    for name in ("text", "tokens", "logprobs", "top", "finish", "model"):
        assert getattr(whole, name) == getattr(streamed, name)
    assert streamed.used == 3


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_streams_with_other_line_ends_and_comments(ends: bytes) -> None:
    body = b": keep-alive\n\nevent: message\n" + stream(TEXT)
    assert read_reply(body.replace(b"\n", ends), TOP) == read_reply(stream(TEXT), TOP)


def test_a_stream_needs_no_mark_of_its_end_if_it_says_why_it_ended() -> None:
    assert read_reply(stream(TEXT, done=False), TOP).text == TEXT
    assert read_reply(stream(TEXT, end=None, done=True), TOP).finish is None


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_stream_cut_off_anywhere_is_truncated(share: float) -> None:
    body = stream(TEXT)
    body = body[: int(len(body) * share)]
    with pytest.raises(AskError) as caught:
        read_reply(body, TOP)
    assert caught.value.kind == "truncated"
    assert "breaks off" in str(caught.value)
    assert caught.value.body == body


def test_an_error_in_a_stream() -> None:
    error = json.dumps({"error": {"message": "out of\nmemory " + "!" * 999}}).encode()
    body = stream(TEXT, end=None, done=False) + b"data: " + error + b"\n\n"
    with pytest.raises(AskError, match=r"breaks an answer off with an error \(out of memory !!!") as caught:
        read_reply(body, TOP)
    assert caught.value.kind == "server"
    assert len(str(caught.value)) < 700


def completion(text: str = TEXT, **logprobs: Any) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": logprobs or None}
    return json.dumps({"id": "c", "model": "tiny", "choices": [choice]}).encode()


def test_a_completion_with_and_without_log_probabilities() -> None:
    plain = Dialect(api="completions", max_tokens=8)
    assert read_reply(completion(), plain).text == TEXT
    body = completion("ab", tokens=["a", "b"], token_logprobs=[-0.5, 0.0], top_logprobs=[{"x": -0.75, "a": -0.5}, None])
    reply = read_reply(body, Dialect(api="completions", max_tokens=8, alternatives=2))
    assert (reply.tokens, reply.logprobs) == (("a", "b"), (-0.5, 0.0))
    assert reply.top == ((("a", -0.5), ("x", -0.75)), ())  # best first, whatever the order they came in


def test_tokens_beyond_the_limit_are_left_out() -> None:
    reply = read_reply(chat("a b c d e", logprobs=True).body, Dialect(api="chat", max_tokens=3, alternatives=5))
    assert (reply.tokens, len(reply.logprobs or ()), len(reply.top or ())) == (("a", " b", " c"), 3, 3)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("a b", [], ["<|end|>"]),
        ("a b", ["<think>", "ab", "</think>"], []),
        ("a b", ["a"] * 9, ["<|end|>"]),
        ("", ["x"], ["<|end|>"]),
    ],
)
def test_hidden_reasoning_and_marks_of_the_end_are_no_tokens_of_the_answer(
    text: str, before: list[str], after: list[str]
) -> None:
    record = json.loads(chat(text, logprobs=True).body)
    places = record["choices"][0]["logprobs"]["content"]
    record["choices"][0]["logprobs"]["content"] = [*map(place, before), *places, *map(place, after)]
    reply = read_reply(json.dumps(record).encode(), TOP)
    assert (reply.text, reply.tokens) == (text, tuple(tokens_of(text)))
    assert len(reply.logprobs or ()) == len(reply.top or ()) == len(tokens_of(text))


def test_tokens_that_are_not_the_text_are_kept() -> None:
    """Bytes of a character cut in two, or blanks that a server takes off the text."""
    record = json.loads(chat("Paris is", logprobs=True).body)
    record["choices"][0]["logprobs"]["content"] = [place(token) for token in (" Paris", "bytes:\\xe2", " is")]
    assert read_reply(json.dumps(record).encode(), TOP).tokens == (" Paris", "bytes:\\xe2", " is")


def test_an_answer_that_is_done_may_be_empty() -> None:
    for text in ("", None):
        assert read_reply(chat(text).body, CHAT).text == ""
        assert read_reply(chat(text).body, TOP).tokens == ()


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert read_reply(chat(message={"content": parts}).body, CHAT).text == "ab"


@pytest.mark.parametrize(
    "act",
    [
        chat("", finish="length", usage={"completion_tokens_details": {"reasoning_tokens": 8}}),
        chat("", finish="length", message={"reasoning_content": "Let me think"}),
        chat(None, finish="length", message={"reasoning": "Let me think"}),
    ],
)
def test_hidden_reasoning_that_uses_the_limit(act: Any) -> None:
    for dialect in (CHAT, TOP):
        with pytest.raises(AskError, match="hidden reasoning used the limit of 8 tokens") as caught:
            read_reply(act.body, dialect)
        assert (caught.value.kind, caught.value.passing, caught.value.of_system) == ("reasoning", False, False)


@pytest.mark.parametrize("finish", [None, "length", "content_filter"])
def test_nothing_without_an_end_is_no_answer(finish: str | None) -> None:
    with pytest.raises(AskError, match=f"answers with nothing, .*finish_reason {finish!r}") as caught:
        read_reply(chat("", finish=finish).body, CHAT)
    assert caught.value.kind == "empty"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "no JSON"),
        (
            b"<html>Bad gateway</html>",
            "no JSON .*; it begins '<html>Bad gateway</html>': see that --endpoint and --api",
        ),
        (chat(TEXT).body[:-20], "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1, 2]", "no JSON object"),
        (b"{}", r"no answer of the chat API \(KeyError: 'choices'\)"),
        (b'{"choices": []}', "choices has no answer"),
        (b'{"choices": [{"index": 0}]}', "KeyError: 'message'"),
        (b'{"choices": 3}', "TypeError"),
        (b'{"choices": [7]}', "AttributeError"),
        (b'{"choices": [{"message": {"content": 3}}]}', "the text of an answer is none"),
        (b'{"choices": [{"message": {"content": "a"}}], "x": NaN}', "NaN is no number of JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"data: {nonsense}\n\n", "no JSON"),
        (b"data: [3]\n\n", "an event that is no JSON object"),
        (b'data: {"choices": [3]}\n\n', "an event of no known form"),
        (b'data: {"choices": [{"delta": {"content": 3}}]}\n\ndata: [DONE]\n\n', "an event|no answer"),
    ],
)
def test_malformed_bodies(body: bytes, sentence: str) -> None:
    with pytest.raises(AskError, match=sentence) as caught:
        read_reply(body, CHAT)
    assert (caught.value.kind, caught.value.passing) == ("malformed", True)
    assert "\n" not in str(caught.value)


def test_an_error_with_a_status_of_success() -> None:
    with pytest.raises(AskError, match=r"answers with an error \(model is loading\)") as caught:
        read_reply(b'{"error": {"message": "model is loading"}}', CHAT)
    assert caught.value.kind == "server"


@pytest.mark.parametrize("value", [0.5, "high", None, True, -1e999])
def test_log_probabilities_that_are_none(value: Any) -> None:
    record = json.loads(chat("a", logprobs=True).body)
    record["choices"][0]["logprobs"]["content"][0]["logprob"] = value
    with pytest.raises(AskError) as caught:
        read_reply(json.dumps(record).encode(), TOP)
    assert caught.value.kind == "malformed"


def test_log_probabilities_that_are_missing() -> None:
    for logprobs in (None, {"content": None}, {"content": []}):
        record = json.loads(chat("a").body)
        record["choices"][0]["logprobs"] = logprobs
        with pytest.raises(AskError, match="without the log-probabilities") as caught:
            read_reply(json.dumps(record).encode(), TOP)
        assert caught.value.kind == "bare"


NAMES = st.sampled_from(["choices", "message", "content", "index", "error", "usage", "logprobs", "text", "tokens"])
SCALARS = st.none() | st.booleans() | st.floats() | st.text() | st.integers()
RECORDS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12)


@given(st.binary() | RECORDS.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_answer_or_an_error_with_a_sentence(body: bytes) -> None:
    for dialect in (CHAT, TOP, Dialect(api="completions", max_tokens=4, alternatives=2)):
        for content in (body, b"data: " + body + b"\n\n"):
            with contextlib.suppress(AskError):
                read_reply(content, dialect)


def test_characters_cut_in_halves_are_joined() -> None:
    """Servers that count in UTF-16 send half a character in each of two events."""
    body = stream("It is \ud83d \ude00.").replace(b" \\ude00", b"\\ude00")
    assert b'"content": " \\ud83d"' in body
    assert read_reply(body, CHAT).text == "It is \U0001f600."
    tokens = read_reply(body, TOP).tokens
    assert tokens == ("It", " is", " \\ud83d", "\\ude00.")


def test_half_a_character_is_written_as_its_number() -> None:
    """What nothing else could store or show: in the text, in a token, in a name, in an error."""
    reply = read_reply(chat("a \ud83d b", logprobs=True, model="m\ud800", system_fingerprint="\udcff").body, TOP)
    assert (reply.text, reply.model, reply.fingerprint) == ("a \\ud83d b", "m\\ud800", "\\udcff")
    assert reply.tokens == ("a", " \\ud83d", " b")
    with pytest.raises(AskError) as caught:
        read_reply(json.dumps({"error": {"message": "no \ud800"}}).encode(), CHAT)
    assert str(caught.value).startswith("the system answers with an error (no \\ud800): look at ")
