"""The proof of a token: fractions found again from the definition are the machine's numbers, for every noise."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from smalti.corpus.text import TextCorpus
from smalti.engine import text as native
from smalti.engine.text_query import TextQuery, hybrid, windows_of
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.receipts import UNITS
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.exact_parts import exact_parts
from smalti.receipts.text.proof import bound_of, exact_token
from smalti.sampling.truncation import Truncation
from text_receipts import corpus_of, texts_of

PLAIN: dict[str, Any] = {"pair": 0.0, "caution": 0.0}
KINDS: list[dict[str, Any]] = [
    {},
    {**PLAIN, "sampler": {"truncation": Truncation(temperature=0.7, top_k=5)}},
    {**PLAIN, "mixture": 0.0, "kappa": 6.0, "gamma": 0.6},
    {**PLAIN, "mixture": 1.0, "ladders": ("left", "right", "left")},
    {"mixture": 0.0, "tokens": "words", "prompt": "the cat", "length": 12},
    {"noise": "mask", "radius": 4, "beta": 0.0, "discount": 0.0},
    {"noise": "mask", "radius": 5, "beta": 0.25, "discount": 0.9, "sampler": {"order": "ancestral", "steps": 5}},
    {"radius": (8, 2), "sampler": {"order": "confidence"}},
    {"sampler": {"order": "remask", "steps": 7}},
    {"tokens": "bytes", "sampler": {"order": "entropy-bounded"}},
    {"noise": "uniform", "radius": 3, "sampler": {"steps": 6}},
    {"noise": "uniform", "radius": 3, "centre": "included", "sampler": {"steps": 6}},
    {"noise": "structured", "radius": 3, "sampler": {"steps": 6}},
    {**PLAIN, "after": "the rat\n", "radius": (9, 2), "mixture": 0.999999, "discount": 0.999999},
    {
        "noise": "structured",
        "radius": (4, 2),
        "after": "\nand ",
        "sampler": {"steps": 6, "truncation": Truncation(top_k=9)},
    },
]


@pytest.fixture(scope="module", params=range(len(KINDS)), ids=lambda k: str(KINDS[k]))
def receipt(request: pytest.FixtureRequest) -> TextReceipt:
    return texts_of(corpus_of(), **KINDS[request.param])[0].receipt


def drawn_of(receipt: TextReceipt) -> list[int]:
    return [token for token in range(len(receipt.sample.tokens)) if receipt.last_event(token) is not None]


def test_every_token_of_every_noise(receipt: TextReceipt) -> None:
    """What the float64 of the receipt says is the fraction, rounded; shares of documents sum to 1 without rounding."""
    made, machine = receipt.at(top=5), receipt.machine
    for token in drawn_of(receipt):
        found = exact_token(receipt, token, top=5)
        assert found.symbol == receipt.sample.tokens[token]
        assert found.step == made.step[token]
        assert found.posterior[found.symbol] == made.posterior[token]
        assert found.law[found.symbol] == made.probability[token]
        assert found.low <= found.number < found.high
        assert sum((weight for _, weight in found.documents), found.prior) == found.mixture
        shares = {document: found.share(weight) for document, weight in found.documents}
        assert sum(shares.values(), found.of_prior + found.of_noise) == 1
        if not found.shifted:
            assert float(found.posterior[found.symbol]) == pytest.approx(float(found.mixture), rel=1e-13)
        # Units are floors of shares, but for the largest part.
        for document, units in zip(made.document[token].tolist(), made.document_units[token].tolist(), strict=True):
            if document >= 0:
                assert abs(units - shares[document] * UNITS) < len(machine.corpus) + 2
        assert abs(int(made.no_document[token, 1]) - found.of_noise * UNITS) < 2 + len(machine.corpus)
        assert abs(int(made.no_document[token, 2]) - found.of_prior * UNITS) < 2 + len(machine.corpus)
        places = zip(found.places, made.source[token], made.source_share[token], strict=False)
        assert found.places[0].weight == max(place.weight for place in found.places)
        for place, document, share in places:
            # (A back-off lists no places that meet no rung, though these have weight too.)
            if document >= 0:
                assert float(found.share(place.weight)) == pytest.approx(share, rel=1e-9)


def test_whole_numbers_of_a_kernel_are_those_of_the_engine() -> None:
    """The sums over all places and over those of the symbol, slice by slice, from the compiled kernel."""
    receipt = texts_of(corpus_of(), **PLAIN, mixture=0.0, kappa=9.0, gamma=0.7)[0].receipt
    machine = receipt.machine
    for token in drawn_of(receipt)[::5]:
        event = receipt.last_event(token)
        assert event is not None
        site, symbol = int(receipt.sample.events.site[event]), int(receipt.sample.events.token[event])
        state = receipt.sample.state(event)
        window = windows_of(state, [site], machine.reach)
        known = {d - machine.reach: int(x) for d, x in enumerate(window[0]) if x >= 0}
        held, (part,) = exact_parts(machine, known, symbol, radius=6, keep=None)
        near = np.ascontiguousarray(window[:, machine.reach - 6 : machine.reach + 7])
        sums = native.sums(TextQuery(machine.symbols, near), hybrid(6, 9.0, 0.7))
        all_of_it, own = (sum(int(s) << 15 * j for j, s in enumerate(sums.slices[0, k])) for k in (0, 1 + symbol))
        assert (part.whole, part.probability) == (all_of_it, Fraction(own, all_of_it))
        assert sum(part.weights[kind] for kind in part.kind.tolist()) == own
        assert len(held) == len(part.kind) == int((machine.symbols.symbols == symbol).sum())


def test_counts_in_the_limit_are_infinity_grams() -> None:
    """Without beta and discount the longest left context that is there decides, by counting alone."""
    trace = texts_of(corpus_of(), noise="mask", radius=6, beta=0.0, discount=0.0, ladders=("left",))
    receipt = trace[0].receipt
    for token in drawn_of(receipt):
        text = receipt.sample.text[:token]
        symbol = receipt.sample.text[token]
        for long in range(min(6, len(text)), -1, -1):
            context = text[len(text) - long :]
            follow = [
                d[k + long]
                for d in receipt.machine.corpus.documents
                for k in range(len(d) - long)
                if d[k : k + long] == context
            ]
            if follow:
                assert exact_token(receipt, token).mixture == Fraction(follow.count(symbol), len(follow))
                break


def test_the_machine_is_within_the_roundings_that_are_counted() -> None:
    """A rare symbol and a discount that is hard to write: as float64, 1 - 0.999991 is not 9 millionths."""
    corpus = TextCorpus.from_texts(["ab" * 150_000, "xz"])
    machine = TextMachine(corpus, noise="mask", radius=1, beta=0.0, discount=0.999991, ladders=("left",))
    x, z = machine.tokenizer.encode("xz").tolist()
    (given,) = machine(np.array([x, -1], np.int32)).probabilities
    _, parts = exact_parts(machine, {-1: x}, z, radius=1, keep=None)
    mixture = sum((part.share * part.probability for part in parts), Fraction(0))
    apart = abs(Fraction(float(given[z])) / mixture - 1)
    assert Fraction(1000, 2**52) < apart <= bound_of(parts) < 1e-10


def test_a_token_that_no_place_holds_is_the_priors() -> None:
    """Bytes that the corpus never has are drawn from the prior, whose float64 is not its fraction."""
    settings = {"beta": 2.0, "discount": 0.9, "mixture": 1.0, "pair": 0.25, "caution": 0.0, "back_off_radius": 2}
    receipt = texts_of(corpus_of(), tokens="bytes", length=60, sampler={"order": "confidence"}, **settings)[0].receipt
    found = [exact_token(receipt, token) for token in drawn_of(receipt)]
    of_nobody = [one for one in found if not one.documents]
    assert of_nobody
    for one in of_nobody:
        assert (one.shifted, one.of_prior, one.places, one.places_in_all) == (True, 1, (), 0)
        assert one.mixture == one.prior != one.probability
    for one in found:
        assert sum((one.share(weight) for _, weight in one.documents), one.of_prior) == 1


def test_windows_that_reach_far_under_uniform_noise() -> None:
    """Factors of as many matches as no place has would leave the floats."""
    text = "the cat sat on the mat and the rat sat on the cat " * 30
    corpus = TextCorpus.from_texts([text, "a rat ran to the mat and ran on"])
    machine = TextMachine(corpus, noise="uniform", radius=700)
    state = np.arange(1400, dtype=np.int32) % machine.vocabulary
    near = {d: int(state[700 + d]) for d in range(-700, 700) if d}
    (given,) = machine(state, [700], keep=0.9).probabilities
    for symbol in range(machine.vocabulary):
        held, (part,) = exact_parts(machine, near, symbol, radius=700, keep=0.9)
        assert abs(Fraction(float(given[symbol])) - part.probability) <= bound_of((part,)) * part.probability
        assert sum(part.weight(kind) for kind in part.kind.tolist()) == part.probability
        assert all(float(part.weight(kind)) <= 1.0 for kind in range(len(part.weights)))
        assert len(held) == int((machine.symbols.symbols == symbol).sum())


def test_what_cannot_be_proved() -> None:
    receipt = texts_of(corpus_of())[0].receipt
    with pytest.raises(UsageError, match="there is no token 24: the text's tokens are 0 to 23"):
        exact_token(receipt, 24)
    with pytest.raises(UsageError, match="token 0 was not drawn"):
        exact_token(receipt, 0)
    with pytest.raises(UsageError, match="at least one place"):
        exact_token(receipt, 5, top=0)
    events = receipt.sample.events
    altered = replace(receipt.sample, seed=receipt.sample.seed + 1)
    # (Another number may lead to the same token, but not at all of them.)
    with pytest.raises(InputError, match="of seed 1 comes out otherwise than the trace says"):
        _ = [exact_token(TextReceipt(altered, receipt.machine), token) for token in drawn_of(receipt)]
    other = replace(events, probability=events.probability * (1 - 1e-15))
    with pytest.raises(InputError, match="was altered"):
        exact_token(TextReceipt(replace(receipt.sample, events=other), receipt.machine), 5)


def test_a_sample_has_its_receipt_where_the_machine_is_at_hand() -> None:
    trace = texts_of(corpus_of(), seeds=(0, 3))
    assert trace[1].receipt.items(top=3) == trace.of_seed(3).receipt.items(top=3)
    assert sum(trace[1].receipt.by("licence").values()) == int(trace[1].receipt.credits().sum())
    with pytest.raises(UsageError, match="this trace came without it: open the run with open_run"):
        _ = replace(trace, machine=None)[0].receipt
