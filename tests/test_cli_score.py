"""`smalti score`: numbers of the library, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_program import smalti
from smalti.corpus import open_text
from smalti.machines.text import TextMachine
from smalti.machines.text_score import score_documents, total_score

TEXT = "to be or not to be, that is the question: whether it is nobler to be or not to be\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for index, text in enumerate((TEXT * 3, "that is not the question, or is it\n" * 4)):
        (folder / f"{index}.txt").write_text(text)
    return folder


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    path = tmp_path / "held.jsonl"
    lines = [{"text": "not to be is the question", "name": "short"}, {"text": "or be it nobler\n" * 3}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_json_holds_the_scores_of_the_library(corpus: Path, held_out: Path) -> None:
    record = smalti("score", held_out, "--corpus", corpus, "--json", "--seed", "4").json
    machine, texts = TextMachine(open_text(corpus)), open_text(held_out)
    assert (record["corpus_digest"], record["text_digest"]) == (machine.corpus.digest, texts.digest)
    assert record["settings"] == machine.settings()
    assert list(record["scores"]) == ["left-to-right", "any"]
    for order, found in record["scores"].items():
        scores = score_documents(machine, texts, order=order, seed=4)
        total = total_score(scores)
        assert found["nats_per_token"] == total.nats_per_token
        assert found["bits_per_character"] == total.bits_per_character
        assert found["standard_error"] == total.error
        assert (found["tokens"], found["looked_at"]) == (73, 73)
        assert [d["name"] for d in found["documents"]] == list(texts.names)
        for entry, own, score in zip(found["documents"], texts.ids, scores, strict=True):
            assert entry["id"] == own
            assert entry["nats_per_token"] == total_score([score]).nats_per_token


def test_the_table_names_orders_and_documents(corpus: Path, held_out: Path) -> None:
    done = smalti("score", held_out, "--corpus", corpus, "--order", "left-to-right", "--tokens", "words")
    assert done.code == 0, done.err
    head, total, *documents, last = done.out.splitlines()
    assert head.split("  ")[-1].strip() == "tokens looked at"
    assert total.startswith("left to right")
    assert {line.split()[0] for line in documents} == {"short", "held.jsonl:2"}
    assert last.startswith("by 2 documents, ")
    assert "words" in last


def test_samples(corpus: Path, held_out: Path) -> None:
    found = smalti("score", held_out, "--corpus", corpus, "--json", "--samples", "20").json["scores"]
    assert found["any"]["looked_at"] == found["left-to-right"]["looked_at"] == 20
    assert found["left-to-right"]["standard_error"] > 0
    every = smalti("score", held_out, "--corpus", corpus, "--json", "--samples", "all").json["scores"]
    assert every["left-to-right"]["standard_error"] == 0


def test_settings_of_a_file(corpus: Path, held_out: Path, tmp_path: Path) -> None:
    settings = {"tokens": "bytes", "radius": 3, "kappa": [4.0], "gamma": [0.5]}
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"format": "smalti.text-settings/1", "settings": settings}))
    record = smalti("score", held_out, "--corpus", corpus, "--json", "--settings", path).json
    assert {name: record["settings"][name] for name in settings} == settings
    other = smalti("score", held_out, "--corpus", corpus, "--json", "--settings", path, "--tokens", "words").json
    assert other["settings"]["tokens"] == "words"


def test_a_text_that_is_in_the_corpus(corpus: Path) -> None:
    words = ("score", corpus / "0.txt", "--corpus", corpus, "--json", "--order", "left-to-right")
    copied, left_out = smalti(*words), smalti(*words, "--leave-out")
    assert "note: the corpus holds '0.txt' word for word, so the score is that of a copy" in copied.err
    assert "word for word" not in left_out.err
    bits = [done.json["scores"]["left-to-right"]["bits_per_character"] for done in (copied, left_out)]
    assert bits[0] < 0.7 * bits[1]


def test_what_is_impossible_is_null_in_json(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abab" * 30 + "c")
    (tmp_path / "b.txt").write_text("acca")
    settings = {"noise": "mask", "beta": 0.0, "discount": 0.0, "ladders": ["left"]}
    (tmp_path / "s.json").write_text(json.dumps({"format": "smalti.text-settings/1", "settings": settings}))
    words = ("score", tmp_path / "b.txt", "--corpus", tmp_path / "a.txt", "--settings", tmp_path / "s.json")
    found = smalti(*words, "--json", "--order", "left-to-right").json["scores"]["left-to-right"]
    assert found["nats_per_token"] is None
    assert "inf" in smalti(*words).out


def test_progress_counts_tokens_and_settings_for_others_are_noted(corpus: Path, held_out: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"format": "smalti.text-settings/1", "settings": {"tokens": "words"}}))
    words = ("score", held_out, "--corpus", corpus, "--order", "any", "--settings", file)
    done = smalti(*words, "--tokens", "characters")
    assert f"the settings of '{file}' were found for words, and are used for characters" in done.err
    assert "scoring, any order (bound): 73 of 73" in done.err
    done = smalti(*words, "--samples", "5")
    assert "were found for" not in done.err
    assert "scoring, any order (bound): 5 of 5" in done.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--order", "up"), 2, "there is no order of scoring called 'up': choose one of both, left-to-right, any"),
        (("--samples", "0"), 2, "--samples '0' has no meaning: give a number of tokens from 1, or all"),
        (("--samples", "many"), 2, "--samples 'many' has no meaning: give a number of tokens from 1, or all"),
        (("--tokens", "runes"), 2, "there are no tokens called 'runes'"),
        (("--settings", "none.json"), 1, "'none.json' cannot be read"),
    ],
)
def test_settings_without_meaning(
    words: tuple[str, ...], code: int, sentence: str, corpus: Path, held_out: Path
) -> None:
    found = smalti("score", held_out, "--corpus", corpus, *words)
    assert found.code == code
    assert found.failure.startswith(sentence)


def test_texts_that_cannot_be_scored(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("zebra")
    found = smalti("score", tmp_path / "other.txt", "--corpus", corpus)
    assert (found.code, found.failure) == (
        2,
        "'other.txt': the corpus has no character 'z' (character 0 of the text): leave it out, or cut the text into "
        "bytes (--tokens bytes)",
    )
    found = smalti("score", tmp_path / "none.txt", "--corpus", corpus)
    assert found.code == 1
    assert "does not exist" in found.failure
    only = corpus / "0.txt"
    found = smalti("score", only, "--corpus", only, "--leave-out")
    assert found.code == 1
    assert found.failure.startswith("the corpus holds nothing but the document that is to be left out of it")
