"""The text machine against answers known otherwise: brute-force counts, enumeration, plain floating point."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus
from smalti.engine.text_query import overlapping, windows_of
from smalti.errors import InputError, UsageError
from smalti.machines.text import NOISES, TextMachine, text_machine_from
from smalti.noise.similar import RateTable

TEXTS = st.lists(st.text("abc", min_size=1, max_size=40), min_size=1, max_size=4)
STATES = st.lists(st.integers(-1, 2), min_size=1, max_size=12).map(lambda s: np.array(s, np.int32))


def machine_for(texts: list[str], **settings: Any) -> TextMachine:
    """With all three letters in the vocabulary."""
    return TextMachine(TextCorpus.from_texts([*texts, "abc"]), **settings)


def settings_of(noise: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a machine of a noise is made with, and called with."""
    rows = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.25, 0.25, 0.5]])
    calls: dict[str, dict[str, Any]] = {"uniform": {"keep": 0.7}, "structured": {"matrix": rows}}
    return {"noise": noise, "radius": 3, "back_off_radius": 2}, calls.get(noise, {})


def windows(machine: TextMachine, radius: int):
    """(place, document, symbol, {offset: symbol}) of all places of the corpus."""
    corpus = machine.symbols
    for document, (start, length) in enumerate(zip(corpus.starts, corpus.lengths, strict=True)):
        text = corpus.symbols[start : start + length].tolist()
        for i in range(length):
            yield (
                start + i,
                document,
                text[i],
                {d: text[i + d] for d in range(-radius, radius + 1) if 0 <= i + d < length},
            )


@given(TEXTS, st.text("abc", max_size=10))
def test_left_to_right_with_the_longest_supported_context_is_infinity_gram_counting(
    texts: list[str], context: str
) -> None:
    machine = machine_for(texts, noise="mask", radius=12, beta=0.0, discount=0.0, ladders=("left",))
    state = np.append(machine.tokenizer.encode(context), np.int32(-1)).astype(np.int32)
    found = machine(state, [len(context)])
    n, follows = 0, Counter[str]()
    for n in range(len(context), -1, -1):
        wanted = context[len(context) - n :]
        follows = Counter(
            text[i + n] for text in machine.corpus.documents for i in range(len(text) - n) if text[i : i + n] == wanted
        )
        if follows:
            break
    expected = [follows["abc"[a]] / sum(follows.values()) for a in range(3)]
    assert found.probabilities[0].tolist() == expected
    assert found.support.tolist() == [n]
    assert found.prior.tolist() == [0.0]


@given(TEXTS, STATES, st.floats(0.0, 0.99), st.integers(1, 4), st.sampled_from(["leave-one-out", "included"]))
def test_uniform_noise_is_bayes_rule(
    texts: list[str], state: np.ndarray, keep: float, radius: int, centre: str
) -> None:
    # Every place explains the window with the product of what the noise makes of its symbols; outside the document
    # anything may stand.
    machine = machine_for(texts, noise="uniform", radius=radius, centre=centre)
    state = np.abs(state)
    v = machine.vocabulary
    found = machine(state, keep=keep)
    for i in range(len(state)):
        p = np.zeros(v)
        for _, _, symbol, window in windows(machine, radius):
            likelihood = 1.0
            for d in range(-radius, radius + 1):
                if 0 <= i + d < len(state) and (d != 0 or centre == "included"):
                    same = window.get(d) == state[i + d]
                    likelihood *= (1 - keep) / v + keep * same
            p[symbol] += likelihood
        # Sums and products of at most a hundred positive numbers: relative error below 1e-13.
        assert found.probabilities[i] == pytest.approx(p / p.sum(), rel=1e-12, abs=1e-300)


def test_leave_one_out_is_the_posterior_of_one_site_given_the_others() -> None:
    # Documents of length 3, each at the same offset: enumerate all clean and noisy states.
    texts = ["abc", "aba", "cab", "bbc"]
    machine = TextMachine(TextCorpus.from_texts(texts), noise="uniform", radius=2)
    clean = [machine.tokenizer.encode(t) for t in machine.corpus.documents]
    keep, v = 0.6, 3
    for state in np.ndindex(3, 3, 3):
        x = np.array(state, np.int32)
        expected = np.zeros(v)
        for k in clean:
            q = [(1 - keep) / v + keep * (k[j] == x[j]) for j in range(3)]
            expected[k[1]] += q[0] * q[2]
        # Only the middle of a document has its whole window inside; others are left out.
        ends = [p for p, _, _, w in windows(machine, 2) if not {-1, 1} <= set(w)]
        alone = machine(x, [1], keep=keep)
        for place in ends:
            # Take what the ends contribute away again, from the definition.
            document, offset = machine.symbols.document_of(np.array([place]))
            k = clean[int(document[0])]
            i = int(offset[0])
            q = 1.0
            for d in (-1, 1):
                same = 0 <= i + d < 3 and k[i + d] == x[1 + d]
                q *= (1 - keep) / v + keep * same
            expected[k[i]] += q
        assert alone.probabilities[0] == pytest.approx(expected / expected.sum(), rel=1e-12)


@given(TEXTS, STATES, st.floats(0.1, 9.0), st.floats(0.0, 1.0))
def test_a_hybrid_is_a_softmax_of_what_matches_are_worth(
    texts: list[str], state: np.ndarray, kappa: float, gamma: float
) -> None:
    machine = machine_for(texts, noise="hybrid", mixture=0.0, pair=0.0, caution=0.0, radius=3, kappa=kappa, gamma=gamma)
    state[0] = -1
    found = machine(state, [0])
    p = np.zeros(3)
    for _, _, symbol, window in windows(machine, 3):
        matches = [d for d in (1, 2, 3) if d < len(state) and state[d] >= 0 and window.get(d) == state[d]]
        p[symbol] += math.exp(sum(kappa * gamma ** (d - 1) for d in matches))
    # Values are rounded to 1/256 bit, so three of them are off by at most 3/512 bit, and a ratio by twice that; weights
    # are cut off below 2^-15 of the largest sums.
    off = 2 ** (6 / 512) - 1 + 1e-4
    assert found.probabilities[0] == pytest.approx(p / p.sum(), rel=off)
    # And the evidence, half as far off.
    assert found.evidence[0] == pytest.approx(math.log(p.sum()), abs=off)


@given(TEXTS, STATES, st.sampled_from(NOISES), st.data())
@settings(max_examples=60)
def test_what_a_posterior_promises(texts: list[str], state: np.ndarray, noise: str, data: st.DataObject) -> None:
    made, called = settings_of(noise)
    machine = machine_for(texts, **made)
    sites = np.arange(len(state))
    of = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=len(state), max_size=len(state))), np.int32)
    found = machine(state, sites, report=("sources", "effective_sources"), top=3, of=of, **called)
    again = machine_for(texts[::-1], **made)(state, sites, threads=1, **called)
    assert again.probabilities.tobytes() == found.probabilities.tobytes()
    one = machine(state, sites[-1:], **called)
    assert one.probabilities.tobytes() == found.probabilities[-1:].tobytes()
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert found.entropy.min() >= 0
    assert found.effective_sources is not None
    assert found.effective_sources.min() >= 1.0 - 1e-3
    assert found.effective_sources.max() <= machine.symbols.lengths.sum() * (1 + 1e-3)
    assert found.sources is not None
    # What is listed and what is left out make up the mass of the places, and documents add up to it too.
    share = np.where(of >= 0, found.probabilities[sites, np.maximum(of, 0)], 1.0)
    prior = np.where(of >= 0, found.prior / machine.vocabulary, found.prior)
    # The kernel drops at most 2^-15 of a weight here and there.
    assert found.sources.weight.sum(axis=1) + found.sources.left_out == pytest.approx(share - prior, abs=1e-4)
    every = machine(state, sites, report=("sources",), top=200, of=of, **called).sources
    assert every is not None
    # Back-off alone does not list places that meet no rung.
    assert noise == "mask" or every.left_out.max() < 1e-4
    assert (np.diff(every.weight, axis=1) <= 0).all()
    held = every.symbol[every.symbol >= 0]
    assert held.max(initial=0) < machine.vocabulary
    drawn = np.maximum(of, 0)
    for index, weights in machine.document_weights(state, sites, drawn, **called):
        own = found.probabilities[index, drawn[index]] - found.prior[index] / machine.vocabulary
        assert weights.sum() == pytest.approx(own, abs=1e-4)


@given(st.lists(st.text("abc", min_size=1, max_size=40), min_size=2, max_size=4), STATES, st.sampled_from(NOISES))
@settings(max_examples=40)
def test_an_excluded_document_and_one_that_never_was_give_the_same_bytes(
    texts: list[str], state: np.ndarray, noise: str
) -> None:
    made, called = settings_of(noise)
    machine = machine_for(texts, **made)
    gone = machine.corpus.find(f"texts[{len(texts) - 1}]")[0]
    never = machine_for(texts[:-1], **made)
    left = machine(state, np.arange(len(state)), exclude=machine.places(gone), **called)
    right = never(state, np.arange(len(state)), **called)
    assert left.probabilities.tobytes() == right.probabilities.tobytes()
    assert left.evidence.tobytes() == right.evidence.tobytes()


def test_back_off_as_written_down() -> None:
    # One ladder, one rung, by hand: after `a` come b, b, c.
    machine = TextMachine(
        TextCorpus.from_texts(["ababac"]), noise="mask", radius=1, beta=2.0, discount=0.5, ladders=("left",)
    )
    found = machine(np.array([0, -1], np.int32), [1]).probabilities[0]
    p = [1 / 3] * 3
    n0 = [3, 2, 1]
    p = [(n - 0.5 + (1.5 + 2.0) * q) / (6 + 2.0) for n, q in zip(n0, p, strict=True)]
    n1 = [0, 2, 1]
    p = [(n - min(n, 0.5) + (1.0 + 2.0) * q) / (3 + 2.0) for n, q in zip(n1, p, strict=True)]
    assert found == pytest.approx(p, rel=1e-15)


def test_leaving_out_a_block_leaves_out_what_sees_it() -> None:
    machine = TextMachine(TextCorpus.from_texts(["abcabcabcabc"]), noise="mask", radius=2)
    begin, end = machine.places(0, 3, 6)
    state = np.array([-1], np.int32)
    with pytest.raises(InputError, match="no admitted place"):
        machine(state, [0], exclude=overlapping(0, 100, 2))
    found = machine(state, [0], exclude=overlapping(begin, end, 2), report=("sources",), top=12).sources
    assert found is not None
    assert not set(found.offset[found.offset >= 0].tolist()) & set(range(1, 8))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": "pink"}, "no noise 'pink'"),
        ({"radius": 0}, "radius of at least 1"),
        ({"radius": (6, 0)}, "radius of at least 1"),
        ({"radius": (6, 5, 4)}, "or two of them"),
        ({"radius": (1, 9_000), "kappa": 400.0, "gamma": 1.0}, "worth more than scores can hold"),
        ({"radius": 10_000}, "at most 9,999"),
        ({"back_off_radius": 10**12}, "at most 9,999"),
        ({"centre": "half"}, "no centre 'half': choose one of leave-one-out, included"),
        ({"mixture": 1.5}, "mixture of 1.5"),
        ({"ladders": ("up",)}, "ladders"),
        ({"beta": -1.0}, "beta -1"),
        ({"pair": 1.0}, "pair of 1"),
        ({"caution": -0.1}, "caution of -0.1"),
        ({"kappa": (1.0, 2.0, 3.0)}, "3 kappas and 2 gammas"),
        ({"tokens": "runes"}, "no tokens called 'runes'"),
    ],
)
def test_settings_without_meaning(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        machine_for(["a"], **settings)


def test_calls_without_meaning() -> None:
    machine, uniform, structured = (machine_for(["a"], noise=noise) for noise in ("hybrid", "uniform", "structured"))
    state = np.array([0, -1], np.int32)
    cases: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: machine(np.array([0.5])), "int32"),
        (lambda: machine(np.array([7], np.int32)), "within -1"),
        (lambda: machine(np.array([0], np.int32)), "mask at least one"),
        (lambda: machine(state, [2]), "0 to 1"),
        (lambda: machine(state, keep=0.5), "needs the probability keep"),
        (lambda: uniform(state), "needs the probability keep"),
        (lambda: uniform(state, keep=1.0), "below 1"),
        (lambda: machine(state, matrix=np.eye(3)), "no other noise has one"),
        (lambda: structured(state, matrix=np.eye(3)), "positive"),
        (lambda: structured(state), "structured noise needs the share keep"),
        (lambda: structured(state, keep=1.0), "above 0 and below 1"),
        (lambda: structured(state, keep=0.5, matrix=np.eye(3)), "or a matrix instead"),
        (lambda: machine(state, report=cast(Any, ("age",))), "no report named 'age'"),
    )
    for call, words in cases:
        with pytest.raises((UsageError, InputError), match=words):
            call()


def test_the_sides_as_written_down() -> None:
    # m, the sides and the whole corpus each from a machine of its own; then the formula of machines.text_mixture.
    corpus = TextCorpus.from_texts(["abcabcaabbcc", "cabbac"])
    pair, caution = 0.4, 0.3
    made: dict[str, Any] = {"radius": 2, "back_off_radius": 2, "kappa": (3.0, 5.0), "gamma": (0.5, 0.4)}
    machine = TextMachine(corpus, pair=pair, caution=caution, **made)
    plain = TextMachine(corpus, pair=0.0, caution=0.0, **made)
    side = {name: TextMachine(corpus, noise="mask", radius=2, ladders=(name,)) for name in ("left", "right")}
    for text, left, right in (("ab?ca", True, True), ("ab?", True, False), ("?ca", False, True), ("?", False, False)):
        state = np.array(["abc".find(c) for c in text], np.int32)
        site = [text.index("?")]
        found, linear = machine(state, site), plain(state, site)
        p_left, p_right = (side[name](state, site).probabilities[0] for name in ("left", "right"))
        bottom = side["left"](np.array([-1], np.int32), [0]).probabilities[0]
        floor = linear.prior[0] / 3
        z = (p_left if left else 1.0) * (p_right if right else 1.0) / (bottom if left and right else 1.0)
        g = (linear.probabilities[0] - floor) ** (1 - pair) * z**pair
        g = g ** (1.0 if left == right else 1.0 - caution)
        expected = floor + (1 - 3 * floor) * g / g.sum() if left or right else linear.probabilities[0]
        # A dozen operations, and logarithms within some units of the last place: far below 1e-11.
        assert found.probabilities[0] == pytest.approx(expected, rel=1e-11)
        assert found.prior.tolist() == linear.prior.tolist()


@given(TEXTS, STATES, st.integers(0, 2))
def test_shifted_mass_is_split_among_the_places_of_a_symbol_as_it_was(
    texts: list[str], state: np.ndarray, symbol: int
) -> None:
    machine = machine_for(texts, radius=2, back_off_radius=2)
    plain = machine_for(texts, radius=2, back_off_radius=2, pair=0.0, caution=0.0)
    sites, of = np.arange(len(state)), np.full(len(state), symbol, np.int32)
    before = dict(plain.document_weights(state, sites, of))
    after = dict(machine.document_weights(state, sites, of))
    found = machine(state, sites)
    for site in range(len(state)):
        own = found.probabilities[site, symbol] - found.prior[site] / 3
        # Sums of at most a hundred positive numbers; the kernel drops at most 2^-15 of a weight here and there.
        assert after[site].sum() == pytest.approx(own, abs=1e-4)
        assert after[site] * before[site].sum() == pytest.approx(before[site] * after[site].sum(), rel=1e-9, abs=1e-300)


@given(TEXTS, STATES, st.floats(0.01, 0.99))
def test_structured_noise_is_that_of_its_matrix(texts: list[str], state: np.ndarray, keep: float) -> None:
    machine = machine_for(texts, noise="structured", radius=2, jump=0.4)
    state = np.abs(state)
    found = machine(state, keep=keep)
    by_matrix = machine(state, matrix=machine.jumps.forward(keep))
    assert found.probabilities.tobytes() == by_matrix.probabilities.tobytes()
    q = machine.jumps.forward(keep)
    for i in range(len(state)):
        p = np.zeros(3)
        for _, _, symbol, window in windows(machine, 2):
            likelihood = 1.0
            for d in (-2, -1, 1, 2):
                if 0 <= i + d < len(state):
                    x = state[i + d]
                    # A place outside the document is worth as little as the symbol that turns into x least often.
                    likelihood *= q[window[d], x] if d in window else q[:, x].min()
            p[symbol] += likelihood
        # Scores are rounded to 2^-16 bit or somewhat more, and weights are cut off below 2^-15 of the largest sums.
        assert found.probabilities[i] == pytest.approx(p / p.sum(), rel=1e-3, abs=2e-4)


def test_jumps_come_back_from_settings_whatever_they_are_made_of() -> None:
    corpus = TextCorpus.from_texts(["abcabcaabbcc"])
    table = RateTable(("a", "c"), ((0.0, 2.0), (2.0, 0.0)))
    for similar in ("contexts", table):
        machine = TextMachine(corpus, noise="structured", similar=similar, jump=0.2)
        again = text_machine_from(json.loads(json.dumps(machine.settings())), corpus, machine.tokenizer)
        assert again.settings() == machine.settings()
        assert again.jumps.forward(0.3).tobytes() == machine.jumps.forward(0.3).tobytes()


@given(TEXTS, STATES, st.sampled_from(NOISES), st.sampled_from([(5, 2), (1, 4), (3, 3)]), st.floats(0.01, 0.99))
@settings(max_examples=60)
def test_a_radius_that_changes_is_at_each_time_the_radius_of_that_time(
    texts: list[str], state: np.ndarray, noise: str, radii: tuple[int, int], keep: float
) -> None:
    masks = noise in ("mask", "hybrid")
    state = state if masks else np.abs(state)
    how: dict[str, Any] = {} if masks else {"keep": keep}
    share = float((state >= 0).mean()) if masks else keep
    radius = math.floor(radii[0] + (radii[1] - radii[0]) * share + 0.5)
    machine = machine_for(texts, noise=noise, radius=radii, back_off_radius=3)
    fixed = machine_for(texts, noise=noise, radius=radius, back_off_radius=3)
    assert machine.reach == (max(*radii, 3) if noise == "hybrid" else max(radii))
    sites = np.arange(len(state))
    found = machine(state, sites, report=("sources", "effective_sources"), **how)
    expected = fixed(state, sites, report=("sources", "effective_sources"), **how)
    assert found.probabilities.tobytes() == expected.probabilities.tobytes()
    assert found.effective_sources is not None
    assert expected.effective_sources is not None
    assert found.effective_sources.tobytes() == expected.effective_sources.tobytes()
    assert found.sources is not None
    assert expected.sources is not None
    assert found.sources.weight.tobytes() == expected.sources.weight.tobytes()
    drawn = np.zeros(len(state), np.int32)
    for one, other in zip(
        machine.document_weights(state, sites, drawn, **how),
        fixed.document_weights(state, sites, drawn, **how),
        strict=True,
    ):
        assert one[1].tobytes() == other[1].tobytes()


def test_windows_of_rows_at_different_times_are_asked_about_together() -> None:
    corpus = TextCorpus.from_texts(["abcabcaabbcc", "cabbac"])
    machine = TextMachine(corpus, radius=(5, 1), back_off_radius=2)
    state = np.array([0, 1, -1, 0, -1, -1, 2], np.int32)
    exclude = [(0, 3), (20, 24), (4, 4)]
    visible = [0.0, 1.0, 0.5]
    found = machine.distributions(windows_of(state, [2, 4, 5], machine.reach), visible=visible, exclude=exclude)
    for row, (site, radius) in enumerate(((2, 5), (4, 1), (5, 3))):
        fixed = TextMachine(corpus, machine.symbols, radius=radius, back_off_radius=2)
        alone = fixed(state, [site], exclude=exclude[row]).probabilities
        assert found[row].tobytes() == alone[0].tobytes()


def test_parts_made_for_one_machine_serve_the_next() -> None:
    corpus = TextCorpus.from_texts(["abcabcaabbcc", "cabbac"])
    symbols = TokenCorpus(corpus, TextMachine(corpus).tokenizer, 4)
    state = np.array([0, 1, -1, 0, -1, -1, 2], np.int32)
    made: dict[Any, Any] = {}
    for radius, far, beta, mixture in ((3, 3, 2.0, 0.3), (2, 4, 2.0, 0.3), (2, 2, 1.0, 0.5), (2, 4, 1.0, 0.0)):
        settings: dict[str, Any] = {"radius": radius, "back_off_radius": far, "beta": beta, "mixture": mixture}
        machine = TextMachine(corpus, symbols, **settings)
        windows = windows_of(state, [2, 4, 5], machine.reach)
        alone = TextMachine(corpus, **settings)(state, [2, 4, 5]).probabilities
        assert machine.distributions(windows, made=made).tobytes() == alone.tobytes()
