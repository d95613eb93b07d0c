"""A recording is written and read without loss, and one that contradicts itself is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from smalti.errors import InputError
from smalti.temperature.record import Recording
from temperature_recordings import answer, recording, simulated


def test_a_recording_is_the_same_after_json() -> None:
    whole = replace(simulated(0.1, prompts=3, runs=3), failed=2)
    assert Recording.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    words = recording([answer("ab", 0, model=None, fingerprint=None, finish=None, cached=True)], units="words")
    assert Recording.from_json(json.loads(json.dumps(words.to_json()))) == words


def test_selections_are_in_the_order_of_asking() -> None:
    whole = simulated(0.1, prompts=4, runs=6)
    for prompt in (None, 2):
        for load in (None, "burst:8"):
            for block in (None, 1):
                chosen = [
                    one
                    for one in whole.answers
                    if (prompt is None or one.prompt == prompt)
                    and (load is None or one.load == load)
                    and (block is None or one.block == block)
                ]
                assert list(whole.of(prompt=prompt, load=load, block=block)) == sorted(chosen, key=lambda a: a.order)
    assert set(whole.loads) == {"alone", "burst:8"}
    assert whole.loads[0] == whole.of()[0].load
    assert whole.blocks == (0, 1)


def test_the_length_is_that_asked_for_or_of_the_longest_answer_in_words() -> None:
    answers = [answer("ab", 0), answer("abc", 1)]
    assert recording(answers).length == 4
    assert recording(answers, units="words").length == 3
    assert recording([answer("", 0)], units="words").length == 1


def test_answers_from_a_cache_can_be_left_out() -> None:
    whole = recording([answer("ab", 0), answer("ab", 1, cached=True)])
    assert [one.order for one in whole.fresh().answers] == [0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompt": 3, "order": 1}, "is to a prompt that is not there; the recording has 1"),
        ({"repeat": -1}, "has a negative number"),
        ({"seconds": -1.0}, "no such times"),
        ({"started": float("nan")}, "no such times"),
        ({"logprobs": (-1.0,)}, "has 2 tokens but 1 log-probabilities"),
        ({"top": ((("a", -1.0),),)}, "has 2 tokens but 1 lists of alternatives"),
        ({"logprobs": (-1.0, 0.5)}, "reports the log-probability 0.5"),
        ({"logprobs": (-1.0, float("-inf"))}, "reports the log-probability -inf"),
        ({"top": ((("a", float("nan")),), ())}, "reports the log-probability nan"),
    ],
)
def test_an_answer_that_contradicts_itself_is_named(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Recording(
            prompts=("p",), answers=(answer("ab", 0, **more),), units="tokens", max_tokens=4, system={"model": "m"}
        )
    assert "answer " in str(caught.value)


def test_the_same_answer_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"answer 0 .* is there twice"):
        recording([answer("ab", 0), answer("ab", 0)])
    with pytest.raises(InputError, match=r"answer 1 .* is there twice"):
        recording([answer("ab", 0), answer("ab", 1, repeat=0)])


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(InputError, match="not 'letters'"):
        recording([], units="letters")
    with pytest.raises(InputError, match="max_tokens of a recording"):
        recording([], max_tokens=0)
    with pytest.raises(InputError, match="failed of a recording"):
        recording([], failed=-1)
    with pytest.raises(InputError, match="its units are words"):
        recording([answer("a", 0, logprobs=(-1.0,))], units="words")


@pytest.mark.parametrize("damage", ["format", "answers", "prompts", "system"])
def test_a_damaged_record_is_refused(damage: str) -> None:
    record = recording([answer("ab", 0)]).to_json()
    record[damage] = 3
    with pytest.raises(InputError, match="record it again"):
        Recording.from_json(record)
    del record[damage]
    with pytest.raises(InputError, match="record it again"):
        Recording.from_json(record)
