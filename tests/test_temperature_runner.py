"""Measurements of systems that misbehave: nothing is lost, every outcome is a sentence, and they go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from misbehaving import Act, Manner, Server, chat, refusal, serving
from smalti.errors import InputError, UsageError
from smalti.temperature.backoff import Clocks
from smalti.temperature.callables import CallableSystem, measure_callable
from smalti.temperature.client import Endpoint
from smalti.temperature.plan import ALONE, Budget, Load, Plan
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Recording
from smalti.temperature.reply import Dialect
from smalti.temperature.runner import measure
from smalti.temperature.store import Measurement

PROMPTS = tuple(map(Prompt.of, ("Name the planets.", "Count to three.", "Say hello to everybody in the room.")))
PLAN = Plan(prompts=3, repeats=4)
KEY = "sk-Very/Secret+0123456789"


def clocks(**given: Any) -> Clocks:
    """Clocks by which waiting takes no time."""
    return Clocks(**{"rest": lambda seconds, stop: None, **given})


def ask(folder: Path, server: Server, plan: Plan = PLAN, **settings: Any) -> Recording:
    """A measurement of a server, with whatever it reports."""
    dialect = Dialect(api="chat", max_tokens=8, alternatives=settings.pop("alternatives", None))
    key, timeout = settings.pop("key", None), settings.pop("timeout", 20.0)
    system = Endpoint(server.url, model="tiny", dialect=dialect, key=key, timeout=timeout)
    return measure(folder, system, PROMPTS, plan, **{"clocks": clocks(), **settings})


def polite(number: int, fields: dict[str, Any]) -> Act:
    """An answer that depends on the prompt and, now and then, on the request."""
    text = fields["messages"][0]["content"]
    return chat(f"{text} {'yes' if number % 5 else 'no'}", number=number, logprobs=bool(fields.get("logprobs")))


def flawed(flaw: Act, every: int) -> Manner:
    """A server that is polite but for each n-th request, from the second on."""
    return lambda number, fields: flaw if number % every == 1 else polite(number, fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_recording_holds_every_answer_as_it_came(folder: Path) -> None:
    with serving(polite) as server:
        recording = ask(folder, server, alternatives=5)
    assert len(recording.answers) == len(server.asked) == 12
    assert (recording.units, recording.max_tokens, recording.failed) == ("tokens", 8, 0)
    assert recording.prompts == tuple(prompt.text for prompt in PROMPTS)
    assert recording.system == {"endpoint": server.url, "model": "tiny", "api": "chat"}
    for order, (answer, asked) in enumerate(zip(recording.answers, server.asked, strict=True)):
        text = asked["messages"][0]["content"]
        assert answer.order == order
        assert recording.prompts[answer.prompt] == text
        assert "".join(answer.tokens) == f"{text} {'yes' if order % 5 else 'no'}"
        assert (answer.load, answer.block, answer.model, answer.cached) == ("alone", 0, "tiny-2024", False)
        body = (folder / "responses" / answer.digest[:2] / f"{answer.digest}.json").read_bytes()
        assert json.loads(body)["id"] == f"chat-{order}"
    assert [line["order"] for line in lines(folder)] == [*range(12)]
    assert Recording.from_json(json.loads(json.dumps(recording.to_json()))) == recording


def test_without_log_probabilities_words_are_compared(folder: Path) -> None:
    with serving(polite) as server:
        recording = ask(folder, server)
    assert recording.units == "words"
    assert recording.answers[0].logprobs is None
    assert recording.answers[0].tokens[-1] == " no"


def test_a_recording_is_a_function_of_the_folder(folder: Path, tmp_path: Path) -> None:
    with serving(polite) as server:
        recording = ask(folder, server)
    shutil.copytree(folder, tmp_path / "copy")
    assert Measurement.opened(tmp_path / "copy").recording() == recording


def test_loads_and_blocks(folder: Path) -> None:
    plan = Plan(prompts=3, repeats=4, loads=(ALONE, Load.of("burst:3"), Load.of("mixed:2")), blocks=2, pause=60.0)
    waits: list[float] = []
    with serving(polite) as server:
        recording = ask(folder, server, plan, clocks=clocks(rest=lambda seconds, stop: waits.append(seconds)))
    assert Counter((a.load, a.block) for a in recording.answers) == {
        (load, block): n for load, n in (("alone", 12), ("burst:3", 18), ("mixed:2", 12)) for block in range(2)
    }
    assert waits == [60.0]  # between the blocks, and nowhere else
    order_of_block = [max(a.order for a in recording.of(block=0)), min(a.order for a in recording.of(block=1))]
    assert order_of_block == [41, 42]


@pytest.mark.parametrize("name", ["alone", "burst:3", "mixed:3"])
def test_as_many_requests_are_under_way_as_the_load_says(name: str, folder: Path) -> None:
    width = Load.of(name).width
    # Each request is answered when all that should be under way are there; one that waits in vain is refused.
    gate = threading.Barrier(width)

    def manner(number: int, fields: dict[str, Any]) -> Act:
        try:
            gate.wait(10.0)
        except threading.BrokenBarrierError:
            return refusal(400, "alone")
        return chat(number=number)

    with serving(manner) as server:
        recording = ask(folder, server, Plan(prompts=3, repeats=3, loads=(Load.of(name),)))
    assert (len(recording.answers), recording.failed) == (9, 0)
    assert server.most_at_once == width


@pytest.mark.parametrize(
    ("flaw", "kind"),
    [
        (Act(status=None), "down"),
        (refusal(429, "later", Retry_After="3"), "limited"),
        (refusal(500, "oops"), "server"),
        (refusal(503, "busy"), "server"),
        (Act(body=b"<html>"), "malformed"),
        (Act(body=chat().body[:40], declared=len(chat().body)), "truncated"),
        (Act(body=b'data: {"choices": []}\n\n', declared=-1), "truncated"),
        (chat("", finish=None), "empty"),
    ],
)
def test_what_passes_is_asked_again_and_everything_is_kept(flaw: Act, kind: str, folder: Path) -> None:
    with serving(flawed(flaw, 4)) as server:
        recording = ask(folder, server)
    log = lines(folder)
    assert (len(recording.answers), recording.failed) == (12, 0)
    assert len(log) == len(server.asked) == 16
    failed = [line for line in log if line["error"]]
    assert [line["order"] for line in failed] == [1, 5, 9, 13]
    assert {line["error"][0] for line in failed} == {kind}
    for line in failed:
        if flaw.body:
            path = folder / "responses" / line["digest"][:2] / f"{line['digest']}.json"
            assert path.read_bytes() == flaw.body
    orders = [answer.order for answer in recording.of()]
    assert len(set(orders)) == 12
    assert not {1, 5, 9, 13} & set(orders)


def test_all_requests_wait_as_long_as_the_system_asks(folder: Path) -> None:
    time, waits = [0.0], list[float]()

    def rest(seconds: float, stop: threading.Event) -> None:
        waits.append(seconds)
        time[0] += seconds

    with serving(flawed(refusal(429, "later", Retry_After="30"), 100)) as server:
        ask(folder, server, clocks=clocks(rest=rest, steady=lambda: time[0]))
    assert waits == [30.0]


def test_a_wait_that_is_too_long_ends_the_measurement(folder: Path) -> None:
    with serving(flawed(refusal(429, "later", Retry_After="7200"), 100)) as server:
        with pytest.raises(InputError) as caught:
            ask(folder, server)
        assert str(caught.value) == (
            f"{server.url} answers that there are too many requests (429: later): wait, or give loads of fewer at a "
            "time; it asks to come back in 2 h 0 min; "
            f"1 of 12 answers are kept in '{folder}': repeat the command with --resume to go on"
        )
        recording = ask(folder, server, existing="resume")
    assert len(recording.answers) == 12
    assert len(server.asked) == 13


@pytest.mark.parametrize(
    ("flaw", "tries", "sentence"),
    [
        (refusal(401, "no such key"), 1, "asks for a key (401: no such key)"),
        (refusal(404, "no such model"), 1, "knows no such model or API (404: no such model)"),
        (refusal(302, "moved"), 1, "sends requests to another address (302)"),
        (Act(status=402, body=b"{}"), 1, "says that the account is used up (402: {})"),
        (Act(status=None), 8, "does not answer ("),
        (refusal(429, "later"), 8, "too many requests (429: later)"),
        (refusal(500, "oops"), 24, "3 requests in a row failed, the last because "),
        (refusal(400, "bad"), 10, "10 requests in a row failed, the last because "),
        (Act(body=b"?"), 20, "the budget of 22 answers is used up, since some were of no use"),
    ],
)
def test_a_system_that_fails_for_good_ends_the_measurement_and_it_goes_on(
    flaw: Act, tries: int, sentence: str, folder: Path
) -> None:
    broken = threading.Event()
    budget = Budget(requests=12, spare=10, prompt_tokens=0, answer_tokens=0, cost=None)
    with serving(lambda number, fields: flaw if broken.is_set() and number >= 2 else polite(number, fields)) as server:
        broken.set()
        with pytest.raises(InputError) as caught:
            ask(folder, server, budget=budget)
        assert sentence in str(caught.value)
        assert str(caught.value).endswith(
            f"; 2 of 12 answers are kept in '{folder}': repeat the command with --resume to go on"
        )
        assert len(server.asked) == 2 + tries
        broken.clear()
        kept = Measurement.opened(folder).recording()
        recording = ask(folder, server, existing="resume")
    assert (len(kept.answers), kept.failed) == (2, 10)
    assert recording.answers[:2] == kept.answers
    assert (len(recording.answers), recording.failed) == (12, 0)
    assert [a.order for a in recording.answers] == sorted(a.order for a in recording.answers)


def test_a_prompt_that_is_refused_is_counted_and_the_others_go_on(folder: Path) -> None:
    def manner(number: int, fields: dict[str, Any]) -> Act:
        thinking = chat("", finish="length", usage={"completion_tokens_details": {"reasoning_tokens": 8}})
        return thinking if "three" in fields["messages"][0]["content"] else polite(number, fields)

    with serving(manner) as server:
        recording = ask(folder, server)
        assert (len(recording.answers), recording.failed) == (8, 4)
        assert {a.prompt for a in recording.answers} == {0, 2}
        # It is asked once more where the measurement goes on, and nothing else is.
        assert ask(folder, server, existing="resume") == recording
    assert len(server.asked) == 12 + 4
    assert Counter(line["error"] and line["error"][0] for line in lines(folder)) == {None: 8, "reasoning": 8}


def test_slow_answers_are_given_up(folder: Path) -> None:
    with serving(flawed(Act(delay=0.6), 5)) as server:
        recording = ask(folder, server, timeout=0.3)
    assert (len(recording.answers), recording.failed) == (12, 0)
    assert {line["error"][0] for line in lines(folder) if line["error"]} == {"slow"}


def test_nothing_at_all_was_answered(folder: Path) -> None:
    with serving(lambda number, fields: refusal(400, "bad")) as server, pytest.raises(InputError) as caught:
        ask(folder, server, Plan(prompts=3, repeats=1))
    assert str(caught.value) == (
        f"'{folder}' holds no answer yet: add --resume to ask, or look at log.jsonl for what went wrong"
    )


def test_empty_answers_are_answers(folder: Path) -> None:
    with serving(lambda number, fields: chat("" if number % 2 else "a", number=number)) as server:
        recording = ask(folder, server)
    assert Counter(a.tokens for a in recording.answers) == {(): 6, ("a",): 6}


def test_answers_of_a_cache(folder: Path) -> None:
    def manner(number: int, fields: dict[str, Any]) -> Act:
        return chat(fields["messages"][0]["content"], number=len(fields["messages"][0]["content"]))

    with serving(manner) as server:
        recording = ask(folder, server)
    first = {min(a.order for a in recording.of(prompt=prompt)) for prompt in range(3)}
    assert {a.order for a in recording.answers if not a.cached} == first
    assert len(recording.fresh().answers) == 3


def test_what_a_system_says_of_caches_counts_more_than_equal_names(folder: Path, tmp_path: Path) -> None:
    fresh, hit = {"Cache-Status": "server; fwd=bypass"}, {"Cache-Status": "edge; hit"}
    for name, headers, cached in (("fresh", fresh, False), ("hit", hit, True)):
        with serving(lambda number, fields, headers=headers: Act(body=chat("same").body, headers=headers)) as server:
            recording = ask(tmp_path / name, server)
        assert {a.cached for a in recording.answers} == {cached}


def test_names_that_mean_nothing_are_no_sign_of_a_cache(folder: Path, tmp_path: Path) -> None:
    with serving(lambda number, fields: chat("same", number=0)) as server:  # one name for all prompts
        assert not any(a.cached for a in ask(folder, server).answers)
    with serving(lambda number, fields: chat(f"answer {number}", id="x")) as server:  # one name for all answers
        assert not any(a.cached for a in ask(tmp_path / "b", server, Plan(prompts=3, repeats=2)).answers)


def test_a_clock_that_goes_backwards_is_only_shown(folder: Path) -> None:
    back = iter(range(1_000_000, 0, -1000))
    with serving(polite) as server:
        recording = ask(folder, server, clocks=clocks(wall=lambda: float(next(back))))
    started = [a.started for a in recording.of()]
    assert started == sorted(started, reverse=True)
    assert [a.order for a in recording.of()] == [*range(12)]
    assert all(a.seconds >= 0 for a in recording.answers)


def test_the_key_is_written_nowhere(folder: Path) -> None:
    def manner(number: int, fields: dict[str, Any]) -> Act:
        if number % 3 == 1:
            return refusal(500, f"cannot serve {KEY}")
        return chat(f"you are {KEY}", number=number, system_fingerprint=f"fp-{KEY}")

    with serving(manner) as server:
        recording = ask(folder, server, key=KEY)
    assert all(headers["authorization"] == f"Bearer {KEY}" for headers in server.headers)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        content = path.read_bytes()
        for secret in (KEY, json.dumps(KEY)[1:-1], "0123456789", "Bearer", "uthorization"):
            assert secret.encode() not in content, path
    assert "0123456789" not in json.dumps(recording.to_json())


def test_a_torn_last_line_is_dropped(folder: Path) -> None:
    with serving(polite) as server:
        whole = ask(folder, server)
        log = folder / "log.jsonl"
        content = log.read_bytes()
        for cut in (1, 30, len(content.splitlines(keepends=True)[-1]) - 1):
            log.write_bytes(content[:-cut])
            assert len(Measurement.opened(folder).recording().answers) == 11
            again = ask(folder, server, existing="resume")
            assert (len(again.answers), again.failed) == (12, 0)
            assert again.answers[:11] == whole.answers[:11]
            assert Measurement.opened(folder).recording() == again
            assert log.read_bytes().startswith(b"".join(content.splitlines(keepends=True)[:11]))
    assert len(server.asked) == 12 + 3


def test_a_damaged_line_is_named(folder: Path) -> None:
    with serving(polite) as server:
        ask(folder, server)
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"order": 3', b'"order": {', 1))
    with pytest.raises(InputError, match=r"line 4 of .*log.jsonl is damaged: take it out, and add --resume"):
        Measurement.opened(folder)


@pytest.mark.parametrize("damage", ["gone", "changed", "emptied"])
def test_a_damaged_response_is_named_and_asked_for_again(damage: str, folder: Path) -> None:
    with serving(polite) as server:
        recording = ask(folder, server)
        digest = recording.answers[4].digest
        path = folder / "responses" / digest[:2] / f"{digest}.json"
        content = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(content.replace(b"Mercury", b"mercury") + b" " if damage == "changed" else b"")
        with pytest.raises(InputError) as caught:
            Measurement.opened(folder).recording()
        assert str(caught.value) == (
            f"the response '{path}' is damaged or missing: restore it, or add --resume to ask for it again"
        )
        again = ask(folder, server, existing="resume")
        assert len(again.answers) == 12
        assert len(server.asked) == 13
        if damage == "gone":
            path.write_bytes(content)
            assert Measurement.opened(folder).recording() == recording


def test_a_folder_is_never_written_over(folder: Path, tmp_path: Path) -> None:
    with serving(polite) as server:
        ask(folder, server)
        with pytest.raises(InputError, match=r"holds a measurement already: choose another folder, or add --resume"):
            ask(folder, server)
        with pytest.raises(InputError, match=r"holds a measurement with other settings \(repeats\)"):
            ask(folder, server, Plan(prompts=3, repeats=5), existing="resume")
        other = tmp_path / "other"
        other.mkdir()
        (other / "letter.txt").write_text("dear")
        with pytest.raises(InputError, match=r"holds files that are not a measurement's \(such as 'letter.txt'\)"):
            ask(other, server)
        with pytest.raises(InputError, match=r"is a file, and a measurement needs a folder"):
            ask(other / "letter.txt", server)
        with pytest.raises(UsageError, match=r"The plan is for 2 prompts, but there are 3"):
            ask(tmp_path / "new", server, Plan(prompts=2, repeats=1))
        assert not (tmp_path / "new").exists()
    assert len(server.asked) == 12
    assert sorted(path.name for path in other.iterdir()) == ["letter.txt"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is no measurement: it holds no measure.json"),
        (b"{}", "is damaged: it is not a complete record of a measurement"),
        (b"\xff", "is damaged"),
        (b'{"format": "smalti.measure/9"}', "has the format 'smalti.measure/9'; this Smalti reads 'smalti.measure/1'"),
        (b'{"format": "smalti.measure/1", "system": 3}', "is damaged"),
    ],
)
def test_folders_that_hold_no_measurement(content: bytes | None, sentence: str, folder: Path) -> None:
    folder.mkdir()
    if content is not None:
        (folder / "measure.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        Measurement.opened(folder)


def test_two_processes_do_not_write_to_one_folder(folder: Path) -> None:
    with serving(polite) as server:
        ask(folder, server)
        with Measurement.opened(folder).adding(), pytest.raises(InputError, match="Another process is writing to"):
            ask(folder, server, existing="resume")


def test_someone_who_stops_it_loses_nothing(folder: Path) -> None:
    def stop(seconds: float, event: threading.Event) -> None:
        raise KeyboardInterrupt

    with serving(flawed(refusal(503, "busy"), 6)) as server:
        with pytest.raises(KeyboardInterrupt):
            ask(folder, server, clocks=clocks(rest=stop))
        kept = Measurement.opened(folder).recording()
        assert len(kept.answers) == 1
        assert ask(folder, server, existing="resume").answers[:1] == kept.answers


def test_a_callable_is_measured() -> None:
    count = iter(range(1000))
    texts = measure_callable(lambda prompt: f"{prompt} {next(count) % 2}", ["a", "b"])
    assert (texts.units, len(texts.answers), texts.system["api"]) == ("words", 20, "callable")
    assert {a.tokens for a in texts.answers} == {(p, f" {n}") for p in "ab" for n in range(2)}
    assert not any(a.cached for a in texts.answers)
    tokens = measure_callable(lambda prompt: [7, 8, 9], ["a"], max_tokens=2)
    assert (tokens.units, {a.tokens for a in tokens.answers}) == ("tokens", {("7", "8")})
    assert measure_callable(lambda prompt: prompt.split(), ["a b"]).answers[0].tokens == ("a", "b")


def test_a_callable_keeps_and_goes_on(folder: Path) -> None:
    calls: list[str] = []

    def answer(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) == 3:
            raise ZeroDivisionError("division by zero")
        return prompt

    plan = Plan(prompts=2, repeats=2, loads=(Load.of("mixed:2"),))
    first = measure_callable(answer, ["a", "b"], plan=plan, folder=folder)
    assert (len(first.answers), first.failed) == (3, 1)
    assert [line["error"] for line in lines(folder) if line["error"]] == [
        ["callable", f"the callable {answer.__qualname__} raised ZeroDivisionError: division by zero"]
    ]
    second = measure_callable(answer, ["a", "b"], plan=plan, folder=folder)
    assert (len(second.answers), second.failed, len(calls)) == (4, 0, 5)


@pytest.mark.parametrize("given", [3, None, [1.5], [None]])
def test_a_callable_that_gives_something_else(given: Any) -> None:
    with pytest.raises(
        InputError, match=r"requests in a row failed.*let it give a text, or a sequence of texts or whole"
    ):
        measure_callable(lambda prompt: given, ["a"])
    with pytest.raises(UsageError, match="the limit of tokens is a whole number from 1, not 0"):
        CallableSystem(str, max_tokens=0)


async def _later(prompt: str) -> str:
    return prompt


def test_an_asynchronous_callable_is_refused_in_one_sentence() -> None:
    sentence = r"_later is asynchronous \(async def\): name a function that gives the answer itself"
    with pytest.raises(UsageError, match=sentence):
        CallableSystem(_later)  # pyright: ignore[reportArgumentType]
    system = CallableSystem(lambda prompt: _later(prompt), name="_later")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=sentence):
        system.ask(PROMPTS[0])


def test_who_stops_a_callable_does_not_wait_for_it(folder: Path) -> None:
    """What was answered is kept; the call that is under way is given up."""
    calls: list[str] = []
    end = threading.Event()

    def answer(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            end.wait(60)
        return prompt

    plan = Plan(prompts=2, repeats=2)
    with pytest.raises(KeyboardInterrupt):
        measure_callable(answer, ["a", "b"], plan=plan, folder=folder)
    assert not end.is_set()
    assert len(lines(folder)) == 2
    end.set()
    assert len(measure_callable(answer, ["a", "b"], plan=plan, folder=folder).answers) == 4
    assert len(lines(folder)) == 4


def test_requests_under_way_together_keep_to_the_budget(folder: Path) -> None:
    budget = Budget(requests=2, spare=1, prompt_tokens=0, answer_tokens=0, cost=None)
    with serving(lambda number, fields: Act(body=chat().body, delay=0.2)) as server:
        with pytest.raises(InputError, match="the budget of 3 answers is used up"):
            ask(folder, server, Plan(prompts=3, repeats=8, loads=(Load.of("burst:8"),)), budget=budget)
        assert len(server.asked) == 3


def test_an_answer_that_was_not_paid_for_leaves_the_budget_as_it_is(folder: Path) -> None:
    budget = Budget(requests=12, spare=0, prompt_tokens=0, answer_tokens=0, cost=None)
    with serving(flawed(refusal(503, "busy"), every=2)) as server:
        recording = ask(folder, server, budget=budget)
    assert (len(recording.answers), recording.failed) == (12, 0)


def test_a_full_disk_is_told_and_the_measurement_goes_on(folder: Path) -> None:
    """Writing fails within a line of the log, for all threads and to the end."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    plan = Plan(prompts=3, repeats=8, loads=(Load.of("burst:8"),))
    with serving(polite) as server:
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        try:
            with pytest.raises(InputError, match=r"log\.jsonl cannot be written"):
                ask(folder, server, plan)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        kept = len(lines_whole(folder))
        assert 0 < kept < 24
        recording = ask(folder, server, plan, existing="resume")
    assert (len(recording.answers), recording.failed) == (24, 0)
    assert len(lines(folder)) == 24


def lines_whole(folder: Path) -> list[bytes]:
    return (folder / "log.jsonl").read_bytes().split(b"\n")[:-1]
