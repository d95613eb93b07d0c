"""Receipts of texts: every weight is the machine's own, units add up to the last one, altered traces are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Bytes, tokenizer_for
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.noise.discrete import kept, uniform_reverse
from smalti.receipts import UNITS
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.places import characters_of, written
from smalti.receipts.text.record import text_record
from smalti.receipts.text.rows import COLUMNS, about, rows
from smalti.receipts.text.units import divided
from smalti.sampling.truncation import Truncation
from text_receipts import NAMES, corpus_of, texts_of

KINDS: list[dict[str, Any]] = [
    {},
    {"noise": "mask", "radius": 4},
    {"noise": "mask", "radius": 4, "sampler": {"order": "ancestral", "steps": 5}},
    {"noise": "hybrid", "tokens": "words", "prompt": "the cat", "length": 12},
    {"noise": "hybrid", "tokens": "bytes", "sampler": {"order": "entropy-bounded"}},
    {"noise": "uniform", "radius": 3, "sampler": {"steps": 6}},
    {"noise": "structured", "radius": 3, "sampler": {"steps": 6, "truncation": Truncation(top_k=9)}},
    {"noise": "structured", "radius": (4, 2), "after": "\nand ", "sampler": {"steps": 6}},
    {"noise": "hybrid", "radius": (9, 2), "after": "mat,\n"},
    {"noise": "mask", "radius": (2, 5), "after": "mat,\n", "sampler": {"order": "confidence", "steps": 9}},
]


@pytest.fixture(scope="module", params=range(len(KINDS)), ids=lambda k: str(KINDS[k]))
def receipt(request: pytest.FixtureRequest) -> TextReceipt:
    trace = texts_of(corpus_of(), **KINDS[request.param])
    assert trace.machine is not None
    return TextReceipt(trace[0], trace.machine)


def test_units_add_up_to_the_last_one(receipt: TextReceipt) -> None:
    made = receipt.at(top=3)
    each = made.document_units.sum(axis=1) + made.rest_units + made.no_document.sum(axis=1)
    assert (each == UNITS).all()
    assert int(receipt.credits().sum()) + sum(receipt.no_document().values()) == receipt.whole_units
    assert receipt.whole_units == len(receipt.sample.tokens) * UNITS
    for column in ("licence", "writer"):
        assert sum(receipt.by(column).values()) == int(receipt.credits().sum())
    assert (made.units >= 0).all()
    # What is listed is not more than what there is, and a list of all has no rest.
    assert not receipt.at(top=len(NAMES)).rest_units.any()


def test_every_token_owes_what_the_machine_says_at_its_own_step(receipt: TextReceipt) -> None:
    sample, machine = receipt.sample, receipt.machine
    made = receipt.at(top=5)
    last = {int(site) - sample.context: event for event, site in enumerate(sample.events.site)}
    masks = machine.noise in ("mask", "hybrid")
    for site, origin in enumerate(made.origin):
        if origin != "drawn":
            assert site not in last
            assert (made.document[site] == -1).all()
            assert (made.source[site] == -1).all()
            assert made.step[site] == -1
            continue
        event = last[site]
        state, token = sample.state(event), int(sample.events.token[event])
        keep = None if masks else float(sample.events.kept[event])
        place = [site + sample.context]
        posterior = machine(state, place, keep=keep, report=("sources", "effective_sources"), of=[token], top=5)
        p = posterior.probabilities[0]
        ((_, weights),) = machine.document_weights(state, place, [token], keep=keep)
        drawn_from = Truncation(**sample.settings["sampler"]["truncation"])(p)
        of_sources, of_noise, chance = 1.0, 0.0, drawn_from[token]
        if not masks:
            after = float(kept(sample.settings["sampler"]["schedule"], 6)[made.step[site] + 1])
            jumps = machine.noise == "structured"
            forward = machine.jumps.forward(after) if jumps else after * np.eye(len(p)) + (1 - after) / len(p)
            # A token that is drawn anew is the noise's, even where it is the same again.
            of_sources = drawn_from[token] * (forward[token, token] - (1 - after) / len(p))
            of_noise = float(drawn_from @ forward[:, token]) - of_sources
            of_sources, of_noise = of_sources / (of_sources + of_noise), of_noise / (of_sources + of_noise)
            law = machine.jumps.reverse if jumps else uniform_reverse
            chance = law(drawn_from[None], state[place].astype(np.int64), keep or 0.0, after)[0, token]
        prior = posterior.prior[0] / machine.vocabulary
        assert made.posterior[site] == p[token]
        assert made.probability[site] == sample.events.probability[event]
        assert made.probability[site] == pytest.approx(chance, rel=1e-12)
        assert made.entropy[site] == sample.events.entropy[event]
        scale = of_sources / p[token]
        listed = made.document[site] >= 0
        np.testing.assert_allclose(
            made.document_units[site][listed] / UNITS, (weights * scale)[made.document[site][listed]], atol=1e-11
        )
        assert made.no_document[site, 1] / UNITS == pytest.approx(of_noise, abs=1e-11)
        assert made.no_document[site, 2] / UNITS == pytest.approx(prior * scale, abs=1e-11)
        assert posterior.sources is not None
        there = made.source[site] >= 0
        assert made.source[site].tolist() == np.where(there, posterior.sources.document[0], -1).tolist()
        np.testing.assert_allclose(made.source_share[site], posterior.sources.weight[0] * scale * there, rtol=1e-12)
        whole = made.source_share[site].sum() + made.left_out[site] + made.no_document[site].sum() / UNITS
        assert whole == pytest.approx(1.0, abs=1e-9)
        best = np.argsort(-p, kind="stable")[:5]
        assert made.symbol[site].tolist() == best.tolist()
        # Each place holds the token that was drawn.
        for rank in np.flatnonzero(there):
            document = machine.corpus.documents[made.source[site, rank]]
            begin, end = made.source_begin[site, rank], made.source_end[site, rank]
            if machine.tokenizer.name != "bytes":
                assert document[begin:end] == machine.tokenizer.decode([token])


def test_tokens_that_were_given_have_no_sources(receipt: TextReceipt) -> None:
    given = len(receipt.machine.tokenizer.encode("the cat" if receipt.machine.tokenizer.name == "words" else "the "))
    made = receipt.at()
    assert made.origin[:given] == ("given",) * given
    assert "given" not in made.origin[given:]
    assert (made.no_document[:given] == [UNITS, 0, 0]).all()
    assert receipt.no_document()["given"] == given * UNITS


def test_the_records_say_it_all_and_the_rows_too(receipt: TextReceipt) -> None:
    made = text_record(receipt, top=2, folder="out/run", name="000000.txt")
    assert made == text_record(TextReceipt(receipt.sample, receipt.machine), top=2, folder="out/run", name="000000.txt")
    assert made["text"] == receipt.sample.text
    credits = sum(units for _, units in made["credits"]) + made["others"]["units"]
    assert credits + sum(made["no_document"].values()) == receipt.whole_units
    listed = {(d["name"], units) for d, units in ((made["documents"][p], u) for p, u in made["credits"])}
    assert listed == {(c.name, c.units) for c in receipt.items(top=100)}
    for token in made["tokens"]:
        for document, begin, end, _ in token.get("sources", ()):
            text = receipt.machine.corpus.documents[made["documents"][document]["index"]]
            around = next(
                e
                for e in made["excerpts"]
                if e["document"] == document and e["begin"] <= begin and end <= e["begin"] + len(e["text"])
            )
            assert around["text"] == text[around["begin"] : around["begin"] + len(around["text"])]
    table = rows([made])
    assert list(table) == list(COLUMNS)
    assert sum(table["units"]) == receipt.whole_units
    for token in range(len(made["tokens"])):
        assert sum(u for t, u in zip(table["token"], table["units"], strict=True) if t == token) == UNITS
    assert "smalti.text-receipt-rows/1" in about([made])["smalti"]


def test_truncated_draws_are_taken_apart_as_they_were_drawn() -> None:
    trace = texts_of(corpus_of(), sampler={"truncation": Truncation(temperature=0.5, top_k=2)})
    assert trace.machine is not None
    sample, machine = trace[0], trace.machine
    made = TextReceipt(sample, machine).at()
    rule = Truncation(temperature=0.5, top_k=2)
    for event, (site, token) in enumerate(zip(sample.events.site, sample.events.token, strict=True)):
        p = machine(sample.state(event), [int(site)]).probabilities
        assert made.probability[site] == rule(p)[0, token]
        assert made.posterior[site] == p[0, token]


def test_a_trace_of_another_machine_is_refused() -> None:
    corpus = corpus_of()
    trace = texts_of(corpus)
    other = TextMachine(corpus, "characters", kappa=1.0, gamma=0.5)
    with pytest.raises(InputError, match="comes out otherwise than the trace says"):
        TextReceipt(trace[0], other).credits()
    with pytest.raises(InputError, match="give the machine that made it"):
        TextReceipt(trace[0], TextMachine(corpus.without([0]), "characters"))
    altered = replace(trace[0].events, entropy=trace[0].events.entropy + 1e-12)
    assert trace.machine is not None
    with pytest.raises(InputError, match="was altered"):
        TextReceipt(replace(trace[0], events=altered), trace.machine).credits()
    with pytest.raises(UsageError, match="at least one source"):
        TextReceipt(trace[0], trace.machine).at(top=0)
    with pytest.raises(UsageError, match="no column 'artist'"):
        TextReceipt(trace[0], trace.machine).by("artist")


def test_units_go_to_the_largest_part_and_never_below_zero() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 1000):
        weights = rng.random(count) * (rng.random(count) < 0.7)
        weights[0] = max(weights[0], 1e-300)
        units = divided(weights)
        assert int(units.sum()) == UNITS
        assert (units >= 0).all()
        assert (units[weights == 0] == 0).all()
    assert divided(np.array([1.0, 1.0, 1.0])).tolist() == [UNITS // 3 + 1, UNITS // 3, UNITS // 3]


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words", "bpe:256", "bpe:300"])
def test_places_in_documents_are_characters(tokens: str) -> None:
    if tokens.startswith("bpe"):
        pytest.importorskip("tokenizers")
    corpus = TextCorpus.from_texts(["über €20 … naïve\n\n  ok 😀!", "another\tone"])
    tokenizer = tokenizer_for(tokens, corpus)
    for text in corpus.documents:
        symbols = tokenizer.encode(text).tolist()
        ranges = characters_of(tokenizer, text)
        assert len(ranges) == len(symbols)
        assert ranges[0, 0] == 0
        assert ranges[-1, 1] == len(text)
        for symbol, (begin, end) in zip(symbols, ranges.tolist(), strict=True):
            alone = tokenizer.decode([symbol])
            assert alone == text[begin:end] or "\ufffd" in alone


def test_bytes_that_are_no_text_are_written_as_numbers() -> None:
    assert [written(Bytes(), symbol) for symbol in (65, 0xE2, 10)] == ["A", "<e2>", "\n"]
