"""From recordings of systems with known noise to whole results."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from smalti.errors import InputError, UsageError
from smalti.temperature.analysis import analyse
from smalti.temperature.curves import Asked
from smalti.temperature.record import Recording
from smalti.temperature.references import MarkovReference
from smalti.temperature.report import report_page, words
from smalti.temperature.result import FORMAT, Result, figure, rounded
from smalti.temperature.trust import sentence
from temperature_recordings import LENGTH, answer, recording, simulated

REFERENCES = [MarkovReference.random(vocabulary=16, sharpness=3.0, seed=seed) for seed in (11, 12, 13)]


@pytest.fixture(scope="module")
def measured() -> Result:
    return analyse(simulated(0.1), references=REFERENCES, draws=300)


def test_the_noise_that_was_put_in_is_found(measured: Result) -> None:
    for protocol in ("likelihood", "matched"):
        found = measured.estimate(protocol)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= 0.1 <= found.high
        assert found.bound is None
    published = measured.estimate("published")
    assert published is not None
    assert published.temperature is not None
    assert 0.03 < published.temperature < 0.3
    assert published.low is None
    assert "12 prompts instead of 30" in published.warnings[0]
    likely = measured.estimate("likelihood")
    assert likely is not None
    assert likely.temperature is not None
    assert measured.headline["protocol"] == "likelihood"
    assert measured.headline["text"].startswith(f"Background temperature {figure(likely.temperature)} (95 % ")
    assert headline_as_in_the_table(measured.to_json())


def test_the_record_is_json_and_the_same_for_the_same_recording(measured: Result) -> None:
    whole = simulated(0.1)
    shuffled = replace(whole, answers=tuple(reversed(whole.answers)))
    again = analyse(Recording.from_json(json.loads(json.dumps(shuffled.to_json()))), references=REFERENCES, draws=300)
    text = json.dumps(measured.to_json(), allow_nan=False)
    assert text == json.dumps(again.to_json(), allow_nan=False)
    assert json.loads(text)["format"] == FORMAT


def test_references_that_remember_say_the_same(measured: Result) -> None:
    asked = Asked(REFERENCES)
    for _ in range(2):
        assert analyse(simulated(0.1), references=asked, draws=300).to_json() == measured.to_json()


def test_the_parts_of_a_record_fit_each_other(measured: Result) -> None:
    record = measured.to_json()
    assert record["plan"]["asked"] == record["plan"]["answered"] == 96
    assert (record["plan"]["prompts"], record["plan"]["repeats"], record["plan"]["blocks"]) == (12, 8, 2)
    assert [one["load"] for one in record["loads"]] == record["plan"]["loads"]
    assert sum(one["answers"] for one in record["loads"]) == 96
    assert [one["block"] for one in record["drift"]["blocks"]] == [0, 1]
    assert len(record["curves"]["divergence"]) == LENGTH
    shares = [share for _, share, _ in record["curves"]["divergence"]]
    assert shares == sorted(shares, reverse=True)
    predicted = [share for *_, share in record["curves"]["divergence"]]
    assert predicted == sorted(predicted, reverse=True)
    assert predicted[-1] == pytest.approx(shares[-1], abs=0.1)
    assert [one["reference"] for one in record["curves"]["matched"]] == [one.name for one in REFERENCES]
    best = max(record["curves"]["likelihood"], key=lambda point: point[1])[0]
    likely = measured.estimate("likelihood")
    assert likely is not None
    assert best == pytest.approx(likely.temperature, rel=0.05)
    repeatability = record["repeatability"]
    assert sum(one["answers"] for one in repeatability["by_prompt"]) == 96
    places = [place for one in repeatability["by_prompt"] for place in one["first_divergence"]]
    assert repeatability["first_divergence"]["never"] == pytest.approx(places.count(None) / 96, abs=1e-6)
    assert record["fit"]["p"] is not None
    assert record["unavailable"] == []


def test_a_deterministic_system_has_a_bound_and_no_temperature() -> None:
    found = analyse(simulated(0.0), references=REFERENCES[:1], draws=100)
    for protocol in ("likelihood", "matched"):
        one = found.estimate(protocol)
        assert one is not None
        assert (one.temperature, one.low, one.high) == (None, None, None)
        assert one.bound is not None
        assert 0 < one.bound < 0.3
    bound = found.estimates[0].bound
    assert bound is not None
    text = f"No two answers to a prompt differed: background temperature below {figure(bound)} (95 %)."
    assert found.headline["text"] == text
    assert found.fit["text"] == "No answer left the likeliest path, so there is nothing to fit."
    assert found.load_test["p"] is None
    assert found.repeatability["first_divergence"] == {"median": None, "never": 1.0}


def test_without_log_probabilities_and_references_there_is_no_temperature() -> None:
    found = analyse(simulated(0.1, top=None), draws=100)
    assert found.estimates == ()
    assert found.headline["protocol"] is None
    assert "% of answers match" in found.headline["text"]
    assert [one["protocol"] for one in found.unavailable] == ["likelihood", "matched", "published"]
    assert found.unavailable[0]["why"] == "the system reports no log-probabilities"
    assert found.fit["text"] == "Not tested: it needs log-probabilities."
    assert found.curves["likelihood"] == []
    assert {predicted for *_, predicted in found.curves["divergence"]} == {None}
    assert found.loads[0]["temperature"] is None


def test_log_probabilities_of_chosen_tokens_alone_are_not_enough() -> None:
    found = analyse(recording([answer("a", 0, logprobs=(-1.0,)), answer("a", 1, logprobs=(-1.0,))]), draws=100)
    assert "chosen tokens only; ask for alternatives" in found.unavailable[0]["why"]


def test_answers_from_a_cache_change_nothing_but_their_count() -> None:
    plain = simulated(0.1, prompts=4)
    cached = replace(
        plain,
        answers=(
            *plain.answers,
            *(replace(plain.answers[0], order=100 + k, repeat=100 + k, cached=True) for k in range(3)),
        ),
    )
    one, other = analyse(plain, draws=100), analyse(cached, draws=100)
    assert other.plan["cached"] == 3
    assert "3 of 35 answers came from a cache and are left out." in other.notes
    assert one.estimates == other.estimates
    assert one.repeatability == other.repeatability


def headline_as_in_the_table(record: dict[str, Any]) -> bool:
    """Whether the headline has the figures of its protocol's row."""
    first = record["estimates"][0]
    return all(words.temperature(first[name]) in record["headline"]["text"] for name in ("temperature", "low", "high"))


def test_a_number_reads_the_same_before_and_after_it_was_stored() -> None:
    assert [figure(t) for t in (0.0, 0.03, 0.0312, 1.0, 0.00001)] == ["0", "0.030", "0.031", "1.0", "1.0e-5"]
    for half in (0.0325, 0.0335, 0.2150001, 0.0085):
        for near in (half * (1 - 1e-9), half, half * (1 + 1e-9)):
            assert words.temperature(rounded(near)) == figure(near)


def test_nothing_is_said_of_a_system_that_says_nothing() -> None:
    empty = [answer("", k, prompt=k // 4, repeat=k % 4) for k in range(16)]
    found = analyse(recording(empty, units="words"), references=REFERENCES, draws=100)
    assert found.estimates == ()
    assert {one["why"] for one in found.unavailable} == {"every answer is empty"}
    assert [one["protocol"] for one in found.unavailable] == ["likelihood", "matched", "published"]
    assert found.headline["text"].startswith("Every answer is empty, so nothing can be said of a temperature: see ")
    assert report_page(found.to_json())


def test_prompts_with_nothing_but_empty_answers_take_no_part() -> None:
    told = simulated(0.2, prompts=4, top=None)
    silent = [answer("", 100 + k, prompt=4 + k // 8, repeat=k % 8) for k in range(16)]
    both = replace(told, prompts=(*told.prompts, "?", "??"), answers=(*told.answers, *silent))
    plain, found = (analyse(one, references=REFERENCES, draws=100) for one in (told, both))
    assert found.estimates == plain.estimates
    assert found.headline == plain.headline
    assert found.repeatability["exact_match"] == plain.repeatability["exact_match"]
    assert "2 prompts got empty answers each time and take no part in comparisons of answers." in found.notes


def test_what_was_asked_together_too_rarely_is_not_tested() -> None:
    answers = [answer("ab"[k // 8], k, repeat=k % 8, load=("alone", "burst:8")[k // 8]) for k in range(16)]
    found = analyse(recording(answers), draws=100)
    assert found.load_test["p"] is None
    assert found.load_test["text"].endswith("there is too little of it; ask for more repeats or time blocks.")


def test_what_was_odd_is_noted() -> None:
    answers = [
        answer("", 0),
        answer("a", 1, fingerprint="g"),
        answer("a", 2, model="n"),
        answer("b", 3, prompt=1, repeat=0),
    ]
    found = analyse(recording(answers, units="words", failed=2), draws=100)
    assert found.plan["failed"] == 2
    assert found.notes == (
        "2 requests were never answered; what they would have said is not known.",
        "1 prompts have fewer than two answers and take no part in comparisons of answers.",
        "The system named 2 fingerprints: it was not one system all the time.",
        "The system named 2 models: m, n.",
        "Answers are compared word by word: the system does not tell its tokens.",
        "1 answers are empty; a hidden part of an answer may have used up its length.",
    )


def test_few_references_few_prompts_and_spread_are_warned_of() -> None:
    unlike = [MarkovReference.random(vocabulary=16, sharpness=s, seed=1) for s in (0.5, 8.0)]
    found = analyse(simulated(0.2, prompts=6), references=unlike, draws=100)
    matched = found.estimate("matched")
    assert matched is not None
    said = " ".join(matched.warnings)
    assert "The systematic error needs 3 references, and there are 2." in said
    assert "References of different sharpness give" in said
    assert "Prompts are few (6)" in said


def test_unreported_tokens_are_warned_of() -> None:
    found = analyse(simulated(0.3, top=2), draws=100).estimate("likelihood")
    assert found is not None
    assert found.systematic is not None
    assert found.systematic[0] < found.systematic[1]
    assert any("ask for more alternatives" in one for one in found.warnings)


def test_loads_and_blocks_that_answer_otherwise_are_told() -> None:
    answers = []
    for prompt in range(4):
        for k in range(24):
            load, block, repeat = ("alone", "burst:2")[k % 2], k // 12, k // 2 % 6
            spelled = "abc"[(load == "alone") + (block == 1 and prompt < 2)]
            answers.append(answer(spelled, len(answers), prompt=prompt, repeat=repeat, load=load, block=block))
    found = analyse(recording(answers), draws=500)
    assert found.load_test["text"].startswith("Answers depend on the load (p = 0.002")
    assert found.drift["text"].startswith("Answers changed from time block 2 on")
    assert found.drift["change_at"] == 1  # from 0 in the record


@pytest.mark.parametrize(
    ("measured_at", "cell"),
    [
        ((12, 8, 0.0), "10 prompts with 10 answers to each at a temperature of 0.001,"),
        ((20, 60, 0.005), "30 prompts with 100 answers to each at a temperature of 0.003,"),
        ((1000, 1, 0.06), "100 prompts with 10 answers to each at a temperature of 0.1,"),
        ((30, 30, 1.0), "30 prompts with 30 answers to each at a temperature of 0.3,"),
    ],
)
def test_trust_is_of_the_closest_cell_of_the_study(measured_at: tuple[int, int, float], cell: str) -> None:
    said = sentence("likelihood", *measured_at)
    assert said.startswith(f"In simulations of {cell}")
    assert "log-probabilities without the noise in them" in said
    assert "eight fixed configurations" in said
    assert "log-probabilities with the noise in them" in sentence("likelihood", *measured_at, noisy=True)


def test_trust_in_the_other_protocols() -> None:
    assert "factor of two" in sentence("matched", 10, 10, 0.1)
    assert "no uncertainty" in sentence("published", 10, 10, 0.1)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="no prompt has two answers that are not from a cache, of 2 answers in all"):
        analyse(recording([answer("a", 0), answer("a", 1, cached=True)]))
    with pytest.raises(InputError, match="ask each prompt several times"):
        analyse(recording([]))


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(UsageError, match="from 100, but it is 5"):
        analyse(simulated(0.1, prompts=2, runs=2), draws=5)
    with pytest.raises(UsageError, match="A seed is a whole number from 0"):
        analyse(simulated(0.1, prompts=2, runs=2), seed=-1)


def _told(recorded: Recording) -> dict[str, Any]:
    return analyse(recorded, draws=100).to_json()


def test_one_prompt_says_nothing_of_others() -> None:
    found = analyse(simulated(0.1, prompts=1), references=REFERENCES, draws=100).to_json()
    assert found["repeatability"]["exact_match"]["value"] < 1
    assert [found["repeatability"]["exact_match"][end] for end in ("low", "high")] == [0, 1]
    matched = found["estimates"][1]
    assert all(one["low"] < one["temperature"] < one["high"] for one in matched["by_reference"])


@pytest.mark.parametrize(("spelled", "value"), [(("abcd",) * 4, 1.0), (("abcd", "bcda", "cdab", "dabc"), 0.25)])
def test_prompts_that_are_all_alike_leave_room_for_others(spelled: tuple[str, ...], value: float) -> None:
    """With 10 prompts alike, at most a share p of others with (1 - p)^10 = 2.5 % is to be reckoned with."""
    answers = [answer(spelled[k % 4], k, prompt=k // 4, repeat=k % 4) for k in range(40)]
    found = _told(recording(answers))["repeatability"]
    missed = 1 - 0.025 ** (1 / 10)
    assert found["exact_match"]["value"] == value
    assert found["exact_match"]["low"] == pytest.approx(value * (1 - missed), rel=1e-5)
    assert found["exact_match"]["high"] == pytest.approx(value + (1 - value) * missed, rel=1e-5)


def test_prompts_with_one_answer_take_no_part() -> None:
    """Neither in a load, where they would always match, nor in what share of answers never parts."""
    answers = [answer("abcd" if k else "abdd", k, repeat=k) for k in range(4)]
    answers += [answer("bbbb", 4 + k, prompt=1 + k) for k in range(3)]
    answers += [answer("abcd", 7, load="burst:2", repeat=0)]
    found = _told(recording(answers))
    alone, burst = found["loads"]
    assert alone["exact_match"]["value"] == 0.75
    assert (burst["answers"], burst["exact_match"]) == (1, None)
    assert found["repeatability"]["first_divergence"]["never"] == 0.8
    assert found["curves"]["divergence"][-1][1] == 0.8
    assert "Does load matter?" in report_page(found)


def test_above_the_highest_temperature_there_is_no_number() -> None:
    text = _told(simulated(5.0))["headline"]["text"]
    assert text.startswith("Background temperature of 1.0, the highest that is tried, or more (95 %: ")


def test_tokens_that_no_temperature_gives() -> None:
    """A system that half the time takes a token to which it gives no probability."""
    tops = tuple(((letter, 0.0), ("z", -9999.0)) for letter in "abcd")
    answers = [answer("abcd" if k % 2 else "abce", k, logprobs=(0.0,) * 4, top=tops) for k in range(40)]
    found = _told(recording(answers))
    assert found["fit"]["text"].startswith("One temperature does not describe this noise: ")
    assert found["fit"]["p"] == 0


@pytest.mark.parametrize(
    ("spelled", "top", "why"),
    [
        ("abcd", None, "the system reports log-probabilities of the chosen tokens only; ask for alternatives"),
        ("abcd", 1, "the system reports log-probabilities of the chosen tokens only; ask for alternatives"),
        ("", 2, "every answer is empty"),
    ],
)
def test_why_there_is_no_likelihood(spelled: str, top: int | None, why: str) -> None:
    others = tuple((("a", -0.1), ("b", -3.0))[:top] for _ in spelled)
    given: dict[str, Any] = {"logprobs": (-0.1,) * len(spelled), "top": None if top is None else others}
    found = _told(recording([answer(spelled, k, **given) for k in range(4)]))
    assert found["unavailable"][0] == {"protocol": "likelihood", "why": why}
