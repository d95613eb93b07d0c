"""Settings for texts: what is left out, what is chosen, and the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smalti.calibration import text as calibration
from smalti.calibration.text import (
    TextCalibration,
    cached_text_calibration,
    calibrate_text,
    read_text_settings,
)
from smalti.calibration.text_questions import REACH, Questions
from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus, tokenizer_for
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine, text_machine_from
from smalti.progress import SILENT

WORDS = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "sat", "on", "so", "the", "mat", "was", "flat"]


def documents(count: int, length: int = 60) -> TextCorpus:
    """Random sentences of a few words."""
    rng = np.random.default_rng(3)
    return TextCorpus.from_texts([" ".join(rng.choice(WORDS, length // 4)) for _ in range(count)])


def asked(corpus: TextCorpus) -> tuple[TokenCorpus, Questions]:
    """Some questions."""
    symbols = TokenCorpus(corpus, tokenizer_for("characters", corpus), REACH)
    return symbols, Questions.drawn(symbols, "any", 40, 0)


def test_a_document_is_guessed_from_the_others() -> None:
    corpus = documents(4)
    symbols, questions = asked(corpus)
    settings: dict[str, Any] = {"radius": 5, "back_off_radius": 4}
    machine = TextMachine(corpus, symbols, **settings)
    with SILENT.task("", 1) as task:
        (nats,) = questions.nats([machine], None, task)
    cut = REACH - machine.reach
    windows = questions.windows[:, cut : 2 * REACH + 1 - cut]
    for begin, end in {(int(b), int(e)) for b, e in questions.exclude}:
        document = int(np.searchsorted(symbols.starts, begin, side="right")) - 1
        assert (begin, end) == machine.places(document)
        never = TextMachine(corpus.without([document]), machine.tokenizer, **settings)
        mine = (questions.exclude[:, 0] == begin) & (questions.exclude[:, 1] == end)
        p = never.distributions(np.ascontiguousarray(windows[mine]))
        assert nats[mine] == pytest.approx(-np.log(p[np.arange(len(p)), questions.own[mine]]), rel=1e-9)


def test_of_a_long_document_a_tenth_around_the_token_is_left_out() -> None:
    corpus = TextCorpus.from_texts([" ".join(WORDS * 40)])
    symbols, questions = asked(corpus)
    begin, length = int(symbols.starts[0]), int(symbols.lengths[0])
    half = length // 20
    for first, last in questions.exclude.tolist():
        assert begin <= first < last <= begin + length
        inner = first > begin and last < begin + length
        assert last - first == 2 * (half + REACH) + 1 if inner else last - first < 2 * (half + REACH) + 1


def test_the_best_of_each_kind_is_chosen_and_goes_on() -> None:
    found = calibrate_text(documents(5), samples=60, aim="any")
    kinds = list(dict.fromkeys(t.kind for t in found.trials))
    assert kinds == ["kernels", "radius", "back-off radius", "back-off", "mixture", "pair", "caution"]
    for kind in kinds:
        trials = [t for t in found.trials if t.kind == kind]
        (best,) = [t for t in trials if t.chosen]
        assert best.bits[0] == min(t.bits[0] for t in trials)
        for name, value in best.settings.items():
            assert found.settings[name] == (list(value) if isinstance(value, tuple) else value)
    # Kinds are judged on the same tokens, so the chosen of the last are the bits of the whole.
    assert found.bits == next(t.bits for t in found.trials if t.kind == "caution" and t.chosen)
    assert (found.samples, found.left_out, found.aim) == (60, "documents", "any")


def test_copies_do_not_tell_what_is_left_out() -> None:
    once = documents(4)
    twice = once.adding(once)
    one, two = (calibrate_text(corpus, samples=30, noise="mask") for corpus in (once, twice))
    assert [t.bits for t in one.trials] == [t.bits for t in two.trials]


def test_the_file_is_read_back(tmp_path: Path) -> None:
    corpus = documents(6)
    found = calibrate_text(corpus, samples=20, noise="mask", tokens="words", threads=1)
    assert found.to_json() == calibrate_text(corpus, samples=20, noise="mask", tokens="words").to_json()
    assert TextCalibration.from_json(found.to_json()).to_json() == found.to_json()
    path = tmp_path / "s.json"
    path.write_text(found.to_json())
    given = read_text_settings(path)
    machine = TextMachine(corpus, **given)
    assert machine.settings() == found.settings
    assert text_machine_from(found.settings, corpus, machine.tokenizer).settings() == found.settings
    found.plot(tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


def test_calibrations_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path))
    asked_for: dict[str, Any] = {"samples": 20, "noise": "mask", "tokens": "bytes"}
    first, fresh = cached_text_calibration(documents(3), **asked_for)
    again, kept = cached_text_calibration(documents(3), **asked_for, threads=1)
    assert fresh is None
    assert kept is not None
    assert again.to_json() == first.to_json()
    assert cached_text_calibration(documents(3), samples=21, noise="mask", tokens="bytes")[1] is None
    assert cached_text_calibration(documents(4), **asked_for)[1] is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": "uniform"}, "not uniform"),
        ({"aim": "up"}, "no aim 'up'"),
        ({"samples": 1}, "2 tokens or more, not 1"),
    ],
)
def test_settings_without_meaning(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        calibrate_text(documents(3), **settings)


def test_too_small_a_corpus() -> None:
    with pytest.raises(InputError, match="of 6 tokens is too small"):
        calibrate_text(TextCorpus.from_texts(["ab", "cdef"]))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    for content, words in (
        ("{", "is not JSON"),
        ("[]", "holds no settings"),
        ('{"format": "other", "settings": {}}', "holds no settings"),
        ('{"format": "' + calibration.FORMAT + '", "settings": {"age": 3}}', "holds no settings"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=words):
            read_text_settings(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_text_settings(tmp_path / "none.json")
    for content in ("{", "{}", '{"format": "other"}'):
        with pytest.raises(InputError, match="file of text settings"):
            TextCalibration.from_json(content)
