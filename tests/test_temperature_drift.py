"""Permutation tests of load and time: small cases counted whole, effects that must be seen, and few false alarms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from smalti.temperature.drift import ALARM, change, fingerprints, load_effect
from smalti.temperature.plan import Load, Plan, Request
from smalti.temperature.record import Recording
from temperature_recordings import answer, recording


def asked(spelled: str, groups: str, blocks: str | None = None, prompts: int = 1) -> Recording:
    """One-letter answers, each with a load and a block, the same for several prompts."""
    answers = []
    for prompt in range(prompts):
        for k, (one, group, block) in enumerate(zip(spelled, groups, blocks or "0" * len(spelled), strict=True)):
            answers.append(answer(one, len(answers), prompt=prompt, repeat=k, load=group, block=int(block)))
    return recording(answers, max_tokens=1)


def between(spelled: str, groups: str) -> float:
    """The statistic, by its definition."""
    total = 0.0
    for group in set(groups):
        members = [s for s, g in zip(spelled, groups, strict=True) if g == group]
        total += sum(members.count(form) ** 2 for form in set(members)) / len(members)
    return total - sum(spelled.count(form) ** 2 for form in set(spelled)) / len(spelled)


def test_the_chance_is_that_of_all_exchanges() -> None:
    """aaab and abbb: all 70 ways to share eight answers out, against 20,000 drawn ones (deviation 0.0036)."""
    spelled, groups = "aaababbb", "xxxxyyyy"
    seen = between(spelled, groups)
    ways = {tuple(p) for p in permutations(groups)}
    exact = np.mean([between(spelled, "".join(way)) >= seen - 1e-9 for way in ways])
    effect = load_effect(asked(spelled, groups), draws=20_000, seed=0)
    assert effect.p == pytest.approx(float(exact), abs=0.015)
    variety = len(spelled) - sum(spelled.count(f) ** 2 for f in "ab") / len(spelled)
    assert effect.statistic == pytest.approx(seen / variety)


def test_a_load_that_answers_otherwise_and_one_that_varies_more_are_seen() -> None:
    assert (load_effect(asked("aaaabbbb", "xxxxyyyy", prompts=3), draws=999, seed=0).p or 1) < 0.01
    assert (load_effect(asked("aaaaabcd", "xxxxyyyy", prompts=5), draws=999, seed=0).p or 1) < ALARM
    assert load_effect(asked("aaaabbbb", "xxxxyyyy"), draws=99, seed=0).statistic == 1.0


def test_exchanges_keep_within_time_blocks() -> None:
    """A load that was asked under in one block alone cannot be told from that block."""
    effect = load_effect(asked("aaaabbbb", "xxxxyyyy", "00001111", prompts=3), draws=99, seed=0)
    assert effect.p is None


def test_false_alarms_are_as_rare_as_stated() -> None:
    """Answers without any effect, 200 times: 5 % of alarms with a deviation of 1.5 %; 4 of them are allowed."""
    generator = np.random.default_rng(0)
    loads = times = 0
    for _ in range(200):
        spelled = "".join("abc"[k] for k in generator.choice(3, 12, p=(0.6, 0.3, 0.1)))
        found = asked(spelled, "xyxyxyxyxyxy", "000011112222")
        loads += (load_effect(found, draws=199, seed=0).p or 1) < ALARM
        times += (change(found, draws=199, seed=0).p or 1) < ALARM
    assert loads / 200 <= 0.112
    assert times / 200 <= 0.112


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_change_is_found_where_it_is(at: int) -> None:
    blocks = "0000111122223333"
    spelled = "".join("a" if int(block) < at else "b" for block in blocks)
    found = change(asked(spelled, "x" * 16, blocks, prompts=2), draws=499, seed=0)
    assert found.at == at
    assert (found.p or 1) < 0.01


def configured(
    loads: str, repeats: int, generator: np.random.Generator, other: Callable[[Request], bool] = lambda request: False
) -> Recording:
    """Six prompts in three blocks under batch noise: all that is under way together meets one of eight configurations,
    of which each has one answer to a prompt; `other` requests meet eight others.
    """
    plan = Plan(prompts=6, repeats=repeats, loads=tuple(map(Load.of, loads.split())), blocks=3)
    forms = [generator.choice(3, (6, 8), p=p) for p in ((0.6, 0.3, 0.1), (0.1, 0.3, 0.6))]
    answers, configuration = [], 0
    for each in (each for block in range(3) for each in plan.rounds(block)):
        for k, one in enumerate(each.requests):
            configuration = int(generator.integers(8)) if k % each.width == 0 else configuration
            spelled = "abc"[forms[other(one)][one.prompt, configuration]]
            place = {"prompt": one.prompt, "repeat": one.repeat, "load": one.load, "block": one.block}
            answers.append(answer(spelled, len(answers), **place))
    return recording(answers, max_tokens=1)


@pytest.mark.parametrize(("loads", "repeats"), [("alone burst:8", 8), ("alone burst:8", 16), ("alone mixed:8", 10)])
def test_what_is_asked_together_gives_no_false_alarm_and_hides_no_change(loads: str, repeats: int) -> None:
    """80 systems without any effect: 5 % of alarms with a deviation of 2.4 %; 3 of them are allowed."""
    generator = np.random.default_rng(0)
    even = [configured(loads, repeats, generator) for _ in range(80)]
    assert sum((load_effect(one, draws=199, seed=0).p or 1) < ALARM for one in even) / 80 <= 0.122
    assert sum((change(one, draws=199, seed=0).p or 1) < ALARM for one in even) / 80 <= 0.122
    by_load = [configured(loads, repeats, generator, lambda one: one.load != "alone") for _ in range(20)]
    assert sum((load_effect(one, draws=199, seed=0).p or 1) < ALARM for one in by_load) >= 14
    by_time = [configured(loads, repeats, generator, lambda one: one.block > 1) for _ in range(20)]
    assert sum(change(one, draws=199, seed=0).at == 2 for one in by_time) >= 14


@pytest.mark.parametrize("load", ["alone", "burst:3", "mixed:2", "mixed:16"])
def test_rounds_are_those_of_the_plan(load: str) -> None:
    plan = Plan(prompts=5, repeats=7, loads=(Load.of(load),))
    repeats = plan.repeats_under(plan.loads[0])
    for each in plan.rounds(0):
        places = {plan.loads[0].round_of(one.prompt, one.repeat, prompts=5, repeats=repeats) for one in each.requests}
        assert len(places) == 1
    assert len(plan.rounds(0)) == 1 + plan.loads[0].round_of(4, repeats - 1, prompts=5, repeats=repeats)


def test_what_cannot_be_tested_has_no_chance() -> None:
    assert load_effect(asked("abab", "xxxx"), draws=99, seed=0).p is None
    assert load_effect(asked("aaaa", "xxyy"), draws=99, seed=0).p is None
    assert change(asked("abab", "xxxx"), draws=99, seed=0).p is None
    assert change(asked("aaaa", "xxxx", "0011"), draws=99, seed=0).p is None
    none = change(asked("abab", "xxxx", "0011"), draws=99, seed=0)
    assert none.at is None
    assert none.p == 1.0


def test_fingerprints_in_the_order_of_their_first_answers() -> None:
    names = ["old", "old", "new", None, "new", "old"]
    whole = recording([answer("a", 5 - k, fingerprint=name) for k, name in enumerate(reversed(names))])
    found = [(one.value, one.answers, one.first, one.last) for one in fingerprints(whole)]
    assert found == [("old", 3, 0, 5), ("new", 2, 2, 4)]
