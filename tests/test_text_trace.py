from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Bytes, Tokenizer, tokenizer_for
from smalti.errors import InputError, UsageError
from smalti.machines import TextMachine, text_machine_from
from smalti.sampling import TextRequest, TextSettings, TextTrace
from smalti.sampling.text_ranges import character_ranges

CORPUS = TextCorpus.from_texts(["to be, or not to be: that is the question", "whether it is nobler in the mind", "né"])


def made(noise: str = "hybrid", seeds: tuple[int, ...] = (0, 3), **sampler: Any) -> TextTrace:
    machine = TextMachine(CORPUS, noise=noise, radius=4, back_off_radius=3)  # type: ignore[arg-type]
    template = np.array([*machine.tokenizer.encode("to be"), *[-1] * 20], np.int32)
    request = TextRequest.of(
        machine, template, sampler=TextSettings.for_noise(noise, **sampler), source="memory", seeds=seeds
    )
    return request.maker(machine)(seeds, _Task())


class _Task:
    def advance(self, count: float = 1) -> None: ...


@pytest.fixture(scope="module")
def trace() -> TextTrace:
    return made()


def test_a_saved_trace_comes_back_in_the_same_bytes(trace: TextTrace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors")
    again = TextTrace.load(tmp_path / "t.safetensors")
    assert again.machine is None
    assert again.to_bytes() == trace.to_bytes()
    assert again.texts == trace.texts
    assert again.made_by(trace.machine).machine is trace.machine  # type: ignore[arg-type]


def test_joined_parts_are_the_whole(trace: TextTrace) -> None:
    assert TextTrace.join([trace.only(0), trace.only(1)]).to_bytes() == trace.to_bytes()
    assert trace.of_seed(3).text == trace[1].text == trace.only(1).texts[0]


@pytest.mark.parametrize(
    ("noise", "sampler"), [("hybrid", {}), ("mask", {"order": "ancestral", "steps": 4}), ("uniform", {"steps": 6})]
)
def test_events_lead_from_the_start_to_the_text(noise: str, sampler: dict[str, Any]) -> None:
    for sample in made(noise, **sampler):
        row = before = sample.start.copy()
        for event, (step, site, token) in enumerate(
            zip(sample.events.step, sample.events.site, sample.events.token, strict=True)
        ):
            same_step = np.flatnonzero(sample.events.step == step)
            if event == same_step[0]:
                before = row.copy()
            assert np.array_equal(sample.state(event), before)
            row[site] = token
        assert np.array_equal(row, sample.tokens)
        assert sample.text == trace_text(sample.tokens)


def trace_text(tokens: np.ndarray) -> str:
    return TextMachine(CORPUS).tokenizer.decode(tokens.tolist())


def test_probabilities_are_those_of_the_machine_at_the_state(trace: TextTrace) -> None:
    machine = trace.machine
    assert machine is not None
    sample = trace[0]
    for event in range(len(sample.events)):
        site, token = int(sample.events.site[event]), int(sample.events.token[event])
        posterior = machine(sample.state(event), [site])
        p = posterior.probabilities[0]
        # The sampler normalises what it draws from once more.
        assert sample.events.probability[event] == (p / np.cumsum(p)[-1])[token]


@given(st.lists(st.integers(0, 244), max_size=12))
def test_every_character_belongs_to_a_byte(symbols: list[int]) -> None:
    text = Bytes().decode(symbols)
    ranges = character_ranges(Bytes(), symbols)
    assert len(ranges) == len(symbols)
    assert [r[0] for r in ranges] == sorted(r[0] for r in ranges)
    covered = {c for begin, end in ranges for c in range(begin, end)}
    assert covered == set(range(len(text)))
    assert all(begin < end for begin, end in ranges)


@pytest.mark.parametrize("tokens", ["characters", "words", "bytes", "bpe:260"])
def test_pieces_are_the_text_of_their_tokens(tokens: str) -> None:
    if tokens.startswith("bpe"):
        pytest.importorskip("tokenizers")
    tokenizer: Tokenizer = tokenizer_for(tokens, CORPUS)
    for text in CORPUS.documents:
        symbols = tokenizer.encode(text).tolist()
        ranges = character_ranges(tokenizer, symbols)
        assert ranges[0][0] == 0
        assert ranges[-1][1] == len(text)
        if text.isascii():
            assert [text[a:b] for a, b in ranges] == [tokenizer.decode([s]) for s in symbols]


def test_a_machine_comes_back_from_its_settings() -> None:
    machine = TextMachine(CORPUS, noise="mask", radius=3, ladders=("left", "distance"))
    again = text_machine_from(machine.settings(), CORPUS, machine.tokenizer)
    assert again.settings() == machine.settings()
    with pytest.raises(UsageError, match="not those of a text machine"):
        text_machine_from({**machine.settings(), "depth": 3}, CORPUS, machine.tokenizer)


def test_what_is_shown_of_a_trace_is_short(trace: TextTrace) -> None:
    assert repr(trace) == "TextTrace(2 texts of 25 tokens, seeds 0, 3)"
    assert repr(trace[1]) == f"TextSample(seed 3, 25 tokens, {trace.texts[1]!r})"
    assert repr(dataclasses.replace(trace[1], text="a" * 41)).endswith(f"'{'a' * 40}…')")


def test_what_does_not_belong_together_is_refused(trace: TextTrace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seed 7; it has 0, 3"):
        trace.of_seed(7)
    for place in (2, -3):
        with pytest.raises(IndexError, match=f"^there is no sample {place}: the trace has 2, from 0; "):
            trace[place]
    with pytest.raises(UsageError, match=r"did not make this trace: its radius is 3, and that of the trace is 4$"):
        trace.made_by(TextMachine(CORPUS, radius=3, back_off_radius=4))
    other = dataclasses.replace(trace, tokenizer={"tokens": "characters", "alphabet": CORPUS.documents[0] * 9})
    with pytest.raises(UsageError, match=r"its tokenizer is another than that of the trace$"):
        other.made_by(trace.machine)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="same settings"):
        TextTrace.join([trace, made("mask")])
    with pytest.raises(UsageError, match="do not belong together"):
        dataclasses.replace(trace, texts=())
    with pytest.raises(InputError, match="cannot be read"):
        TextTrace.load(tmp_path / "none")
    (tmp_path / "bad").write_bytes(trace.to_bytes()[:-9])
    with pytest.raises(InputError, match="not a complete trace"):
        TextTrace.load(tmp_path / "bad")
